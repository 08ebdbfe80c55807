"""`sor ab`: whether one policy is cheaper than another, or nobody can tell yet."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from sor.cli.common import PARAM_DIR_HELP, RUNS, Output, progress_of, say_json
from sor.cli.plan import PlanTerms, jobs_option, plan_of, plan_options

if TYPE_CHECKING:
    from sor.lab.ab.run import Market

SYNTHETIC_SEED = 1_000_003
"""Made-up market no. N has N times this and the plan's seed for its own, so that no plan near by meets it again."""


@click.command(short_help="Is policy A cheaper than policy B?")
@click.option("--a", "arm_a", metavar="POLICY", help="One arm; POLICY@SET reads another param-set.")
@click.option(
    "--b", "arms_b", metavar="POLICY", multiple=True, help="The other arm; given again, several against --a at once."
)
@click.option(
    "--family",
    type=click.Choice(["control", "all"]),
    help="Several arms: each against --a (default), or each against each.",
)
@click.option(
    "--live", "live", metavar="JOURNAL", type=click.Path(path_type=Path), help="Compare live parents of an experiment."
)
@click.option("--experiment", metavar="NAME", help="Which one of the journal; then --a and --b are its arms.")
@click.option(
    "--tape", "tapes", multiple=True, type=click.Path(path_type=Path), help="A recording; may be given again."
)
@click.option("--synthetic", metavar="TIME", help="A made-up market of this length, such as 1h, instead of a tape.")
@click.option(
    "--option", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the made-up market; repeatable."
)
@click.option("--markets", default=1, show_default=True, help="How many made-up markets, each with a seed of its own.")
@click.option("--effect-bps", metavar="BPS", help="Difference worth knowing of, for the number of parents needed.")
@click.option(
    "--margin-bps", default="0.5", show_default=True, metavar="BPS", help="By how much the winner's tail may be worse."
)
@plan_options
@jobs_option
@click.option("--html", type=click.Path(path_type=Path), help="Also write a page with charts, whole in one file.")
@click.option("--param-dir", "param_dirs", multiple=True, type=click.Path(path_type=Path), help=PARAM_DIR_HELP)
@click.option("--runs", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Where journals go.")
@click.pass_context
def ab(
    ctx: click.Context,
    arm_a: str | None,
    arms_b: tuple[str, ...],
    family: str | None,
    live: Path | None,
    experiment: str | None,
    tapes: tuple[Path, ...],
    synthetic: str | None,
    pairs: tuple[str, ...],
    markets: int,
    effect_bps: str | None,
    margin_bps: str,
    jobs: int,
    html: Path | None,
    param_dirs: tuple[Path, ...],
    runs: Path,
    **terms: Unpack[PlanTerms],
) -> None:
    """Run the same parents under two policies on recorded or made-up markets and say which is cheaper, if any.

    --parents is per market. The estimate is cost(a) - cost(b) in bps, paired by parent, with an interval over blocks
    of start time, as parents that overlap are not independent. A winner is named only when the interval excludes
    zero and every guard holds; otherwise the answer is `undecided`, and how many parents would tell. The exit code
    is 0 either way, 3 when the venue's books contradict the router.

    With --b given again all differences are told at once, so that any of all statements is wrong with a chance of 5 %
    at most: each arm against --a, or with `--family all` each against each, which can name the cheapest of several.

    With --live nothing is run: the parents that an experiment has given to arms are read from a journal, with the
    chances that they had, and the answer has the same form. `--a explore:NAME` sets what a policy does by itself
    against what its parents did that explored.
    """
    import tempfile

    from sor.cli.ab_live import tell_live
    from sor.cli.ab_page import check_page, command_of, story_of, write_page
    from sor.cli.ab_tables import report, report_several
    from sor.cli.run import EXIT_BROKEN, sets_of
    from sor.cli.tables import setting_line
    from sor.cli.terms import BadValue, decimal
    from sor.lab.ab.family import LETTERS, Family
    from sor.lab.ab.page_replay import page_of_several, page_of_two
    from sor.lab.ab.run import Market, ab_document, compare_ab, compare_arms, run_arms, several_document
    from sor.tape import open_whole

    output = ctx.ensure_object(Output)
    effect = None if effect_bps is None else float(decimal(effect_bps, what="--effect-bps"))
    margin = float(decimal(margin_bps, what="--margin-bps"))
    if html is not None:
        check_page(html)
    if live is not None:
        if tapes or synthetic is not None:
            raise BadValue("--live reads a journal: give it without --tape and --synthetic; nothing was run")
        tell_live(
            output, live, experiment, arm_a, arms_b, family=family, html=html, effect_bps=effect, margin_bps=margin
        )
        return
    if arm_a is None or not arms_b:
        raise BadValue("give --a and --b; nothing was run")
    if len(arms_b) >= len(LETTERS):
        raise BadValue(f"{1 + len(arms_b)} arms: give up to {len(LETTERS)}; nothing was run")
    if bool(tapes) == (synthetic is not None):
        raise BadValue("give --tape or --synthetic, one of them; nothing was run")
    if pairs and synthetic is None:
        raise BadValue("--option says what a made-up market is like, and --tape is none; nothing was run")
    plan = plan_of((arm_a, *arms_b), **terms)
    with tempfile.TemporaryDirectory(prefix="sor-ab-") as scratch:
        if synthetic is None:
            grounds = [Market(tape=open_whole(path), path=path) for path in tapes]
        else:
            grounds = _made_up(output, Path(scratch), synthetic, pairs, count=markets, seed=plan.seed)
        total = plan.parents * len(grounds)
        rows = {f"{letter} {policy}": total for letter, policy in zip(LETTERS, plan.policies, strict=False)}
        with progress_of(output, rows) as bars:
            shown = dict(zip(LETTERS, bars.values(), strict=False))

            def progress(arm: str, ended: int) -> None:
                bar, task = shown[arm]
                bar.update(task, completed=ended)  # type: ignore[arg-type]

            ran = run_arms(
                plan,
                grounds,
                sets=sets_of(plan, param_dirs, now_ns=int(grounds[0].tape.group_recv_ns[0])),
                runs=runs,
                progress=progress,
                jobs=jobs,
            )
        if family is None and len(ran) == len("ab"):
            found = compare_ab(plan, ran, effect_bps=effect, margin_bps=margin)
            guards, document, told = found.found.guards, partial(ab_document, found), partial(report, output.out, found)
            page = partial(page_of_two, found, grounds, setting=setting_line(ran[0][0]))
        else:
            several = compare_arms(plan, ran, family=Family(family or "control"), effect_bps=effect, margin_bps=margin)
            guards, document = several.found.guards, partial(several_document, several)
            told = partial(report_several, output.out, several)
            page = partial(page_of_several, several, grounds, setting=setting_line(ran[0][0]))
        if html is not None:
            write_page(output, html, page(story_of))
        if output.json:
            say_json(document())
        else:
            told(page(command_of))
    broken = any(guard.name == "books" and not guard.holds for guard in guards)
    ctx.exit(EXIT_BROKEN if broken else 0)


def _made_up(
    output: Output, scratch: Path, length: str, pairs: tuple[str, ...], *, count: int, seed: int
) -> list[Market]:
    """Tapes of a made-up market, recorded before anybody trades: both arms meet the very same."""
    from sor.cli.terms import BadValue, seconds
    from sor.cli.venue import access_of
    from sor.lab.ab.run import Market
    from sor.lab.recorder import record_market
    from sor.plugins import Plugins
    from sor.tape import open_tape, save_tape

    length_s = seconds(length)
    if not 1 <= count <= 1_000:
        raise BadValue(f"--markets {count}: give 1 to 1000; nothing was run")
    given = access_of("simulated", env=None, secrets=None, pairs=pairs).options
    found = []
    venue = Plugins.installed().venue("simulated")
    with progress_of(output, {"recording": round(length_s) * count}) as bars:
        bar, task = bars["recording"]
        for no in range(count):
            market = str(SYNTHETIC_SEED * (no + 1) + seed)

            def progress(done_s: float, no: int = no) -> None:
                bar.update(task, completed=no * length_s + done_s)  # type: ignore[arg-type]

            options = {"market": "zi", "feed": "0", **given, "seed": market}
            made = record_market(venue, options, seconds=length_s, progress=progress)
            path = scratch / f"synthetic-{no + 1}"
            save_tape(made.tape, path, source=(), importer=made.importer, findings=made.findings)
            found.append(Market(tape=open_tape(path), path=path))
    return found
