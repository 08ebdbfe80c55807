"""`sor chaos`: real router processes killed against a real emulator, judged by its books."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from sor.cli.common import Output, progress_of, say_json
from sor.cli.simulate import EXIT_CRASHED, EXIT_STUCK, EXIT_UNSAFE

if TYPE_CHECKING:
    from sor.chaos.supervisor import Outcome
    from sor.sim.storm import Findings

SENTENCES_MAX = 8
"""Of one kind that are shown to people; programs get all."""


@click.command(short_help="Kill real routers against a real emulator.")
@click.option("--kills", default=10, show_default=True, type=click.IntRange(0, 100_000), help="How often to kill.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Decides what is planned.")
@click.option("--faults/--no-faults", "weather", default=True, help="Whether the venue misbehaves too.")
@click.option("--bans", is_flag=True, help="Whether it shuts routers out, too: slower, as they then wait for minutes.")
@click.option("--power-loss", is_flag=True, help="A synced journal, of which each kill takes what was not synced yet.")
@click.option("--account", default="", help="Of the emulator: on BingX one-way or hedge. Default: its first.")
@click.option("--venue", default="bingx", show_default=True, help="Whose emulator; see `sor emulate`.")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="A new directory for journal, books and logs, kept in any case."
)
@click.pass_context
def chaos(
    ctx: click.Context,
    kills: int,
    seed: int,
    weather: bool,
    bans: bool,
    power_loss: bool,
    account: str,
    venue: str,
    keep: Path | None,
) -> None:
    """Kill a router (`kill -9`) again and again while it trades on an emulated venue, and judge what came of it.

    Both are processes of their own on this machine, talking over loopback; faults are switched on and off meanwhile.
    After each kill another router goes on from the journal: nothing may be doubled, orphaned or exceeded, and once it
    is calm everything must end. About two seconds a kill. No network, no money.

    A seed decides what is planned; what falls between two instructions is up to the machine, so a run that failed need
    not fail again. Its journal, the books and the logs stay, and are named.

    Exit codes: 0 all is well, 3 something unsafe happened, 5 a router crashed, 4 something was stuck; the first of
    these that holds.
    """
    from sor.chaos.supervisor import run

    output = ctx.ensure_object(Output)
    if bans and not weather:
        raise click.UsageError("--bans are faults, and --no-faults wants none")
    parent = None if keep is not None else Path(tempfile.mkdtemp(prefix="sor-chaos-"))
    with progress_of(output, {"kills": kills}) as bars:
        bar, task = bars["kills"]

        def killed(number: int) -> None:
            bar.update(task, completed=number)  # type: ignore[arg-type]

        outcome = run(
            seed=seed,
            kills=kills,
            folder=keep or _inside(parent),
            venue=venue,
            account=account,
            weather=weather,
            bans=bans,
            power_loss=power_loss,
            killed=killed,
        )
    if output.json:
        say_json(_document(outcome))
    else:
        _show(output, outcome)
    if not outcome.findings.clean:
        output.err.print(f"sor: journal, books and logs of this run are in {outcome.folder}")
    elif parent is not None:
        shutil.rmtree(parent)
    ctx.exit(exit_code(outcome.findings))


def _inside(parent: Path | None) -> Path:
    assert parent is not None
    return parent / "run"


def _again(outcome: Outcome) -> str:
    """The line that plans the same run again."""
    words = ["sor", "chaos", "--kills", f"{outcome.planned}", "--seed", f"{outcome.seed}"]
    if outcome.venue != "bingx":
        words += ["--venue", outcome.venue]
    given = (
        (not outcome.weather, ("--no-faults",)),
        (outcome.bans, ("--bans",)),
        (outcome.power_loss, ("--power-loss",)),
        (bool(outcome.account), ("--account", outcome.account)),
    )
    words += [word for holds, option in given if holds for word in option]
    return shlex.join(words)


def _document(outcome: Outcome) -> dict[str, object]:
    """For programs: as `sor simulate` has it, and the kills."""

    def told(what: list[str]) -> list[dict[str, object]]:
        return [{"seed": outcome.seed, "what": what, "again": _again(outcome)}] if what else []

    return {
        "level": "process",
        "account": outcome.account,
        "seeds": 1,
        "kills": dict(sorted(outcome.kills.items())),
        "lives": outcome.lives,
        "gave_up": outcome.gave_up,
        "power_loss": {"cuts": outcome.cuts, "bytes": outcome.cut_bytes} if outcome.power_loss else None,
        "parents": outcome.count.parents,
        "orders": outcome.count.orders,
        "fills": outcome.count.fills,
        "fees_open": outcome.count.fees_open,
        "wallet": None if outcome.count.wallet is None else f"{outcome.count.wallet:f}",
        "faults": dict(sorted(outcome.faults.items())),
        "alarms": outcome.alarms,
        "real_s": round(outcome.real_s, 3),
        "unsafe": told(outcome.findings.unsafe),
        "stuck": told(outcome.findings.stuck),
        "crashed": told(outcome.findings.crashed),
        "folder": None if outcome.findings.clean else str(outcome.folder),
    }


def _show(output: Output, outcome: Outcome) -> None:
    """For people."""
    out, count, faults = output.out, outcome.count, outcome.faults
    table = Table(
        title=f"chaos, {outcome.venue}, account {outcome.account}", title_justify="left", box=None, show_header=False
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for what, value in (
        ("seed", f"{outcome.seed}"),
        ("kills", f"{sum(outcome.kills.values()):,}: {_counted(outcome.kills)}"),
        ("processes", f"{outcome.lives:,}, of which {outcome.gave_up:,} could not come up"),
        *_losses(outcome),
        ("parents", f"{count.parents:,}"),
        ("orders", f"{count.orders:,}"),
        ("fills", f"{count.fills:,}"),
        ("fees not known", f"of {count.fees_open:,} orders, in full"),
        ("wallet", "never known" if count.wallet is None else f"{count.wallet.normalize():f}, here and at the venue"),
        ("time", f"{outcome.real_s:,.0f} s"),
        ("faults", f"{sum(faults.values()):,} of {len(faults)} kinds"),
        ("", _counted(faults)),
        ("alarms", f"{len(outcome.alarms):,}"),
    ):
        table.add_row(what, value)
    out.print(table)
    findings = outcome.findings
    for kind, sentences in (
        ("unsafe", findings.unsafe),
        ("crashed", findings.crashed),
        ("stuck", findings.stuck),
    ):
        for sentence in sentences[:SENTENCES_MAX]:
            out.print(f"{kind}: {sentence}")
        if len(sentences) > SENTENCES_MAX:
            out.print(f"{kind}: and {len(sentences) - SENTENCES_MAX} more")
    if findings.clean:
        out.print("Nothing doubled, orphaned, exceeded or lost, says the venue's own book-keeping.")
    else:
        out.print(f"again: {_again(outcome)}")


def _losses(outcome: Outcome) -> list[tuple[str, str]]:
    """What went with the power."""
    if not outcome.power_loss:
        return []
    return [("power", f"gone with each of them, and {outcome.cut_bytes:,} bytes with it {outcome.cuts:,} times")]


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items(), key=lambda one: (-one[1], one[0])))


def exit_code(findings: Findings) -> int:
    """0, or what is worst."""
    for code, wrong in (
        (EXIT_UNSAFE, findings.unsafe),
        (EXIT_CRASHED, findings.crashed),
        (EXIT_STUCK, findings.stuck),
    ):
        if wrong:
            return code
    return 0
