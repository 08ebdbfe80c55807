"""`sor route`: one parent order, on any venue."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from sor.cli.common import PARAM_DIR_HELP, Output
from sor.cli.venue import ALLOW_LIVE, LIVE, access_of, venue_options
from sor.errors import CallerError


@click.command(short_help="Route one parent order on a venue.")
@click.option("--venue", required=True, help="Name of the venue, such as simulated or bingx.")
@venue_options
@click.option("--symbol", required=True, help="What to trade, in any spelling: BTC-USDT, BTCUSDT, btc/usdt.")
@click.option("--side", required=True, type=click.Choice(["buy", "sell"], case_sensitive=False))
@click.option("--qty", required=True, help="How much, on the venue's step, in the venue's unit.")
@click.option("--policy", default="cost_aware", show_default=True, help="How to place it; see `sor policies`.")
@click.option("--limit", help="Worst price of any fill.")
@click.option("--deadline", default="60s", show_default=True, help="By when it must have ended, like 90s or 5m.")
@click.option(
    "--urgency", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="From 0, patient, to 1, now."
)
@click.option("--reduce-only", is_flag=True, help="Only reduce a position, never open or flip one.")
@click.option("--schedule", default="immediate", show_default=True, help="How it is spread over its time.")
@click.option("--schedule-arg", "schedule_args", multiple=True, metavar="NAME=NUMBER", help="Such as slices=5.")
@click.option("--leverage", type=click.IntRange(1), help="Set before an order that may open a position.")
@click.option("--param-set", default="", help="Name of the param-set; default: the venue's own, or baseline.")
@click.option("--experiment", default="", help="Let this experiment of the journal choose policy and param-set.")
@click.option("--params", "param_dirs", multiple=True, type=click.Path(path_type=Path), help=PARAM_DIR_HELP)
@click.option("--id", "parent_id", help="The order's id: the same id on the same journal is the same order.")
@click.option(
    "--settle",
    "settled",
    multiple=True,
    metavar="ORDER=FILLED",
    help="An order in doubt is over, as you saw at the venue.",
)
@click.option(
    "--trust-fit",
    "trusted",
    multiple=True,
    metavar="SET",
    help="Rest by this set again although its outcomes contradict its fit.",
)
@click.option("--same-account", is_flag=True, help="The journal's account is this one, although it says it is another.")
@click.option("--adopt", "neighbours", flag_value="adopt", help="Withdraw orders that another journal left behind.")
@click.option("--leave", "neighbours", flag_value="leave", help="Another journal's router runs: its orders stay.")
@click.option("--journal", type=click.Path(path_type=Path), help="Default: .sor/journals/VENUE-ENV.")
@click.option("--paper", is_flag=True, help="The venue's market, but simulated fills: nothing is sent to it.")
@click.option("--dry-run", is_flag=True, help="Show market, account and what would be decided; place nothing.")
@click.option(
    "--watch",
    metavar="TIME",
    help="Watch the market first, like 10s; 0: decide at once. Default: 0, and long enough for estimates in a dry run.",
)
@click.option("--allow-live", is_flag=True, help=f"Permit real money, together with {ALLOW_LIVE}=yes.")
@click.option("--yes", is_flag=True, help="Do not ask before real money is traded.")
@click.pass_context
def route(
    ctx: click.Context,
    venue: str,
    env: str | None,
    secrets: Path | None,
    pairs: tuple[str, ...],
    symbol: str,
    side: str,
    qty: str,
    policy: str,
    limit: str | None,
    deadline: str,
    urgency: float,
    reduce_only: bool,
    schedule: str,
    schedule_args: tuple[str, ...],
    leverage: int | None,
    param_set: str,
    experiment: str,
    param_dirs: tuple[Path, ...],
    parent_id: str | None,
    settled: tuple[str, ...],
    trusted: tuple[str, ...],
    same_account: bool,
    neighbours: str | None,
    journal: Path | None,
    paper: bool,
    dry_run: bool,
    watch: str | None,
    allow_live: bool,
    yes: bool,
) -> None:
    """Route one parent order and watch it until it has ended.

    Ctrl-C withdraws what rests and waits until that is known; a second one does not wait, and names what is not
    confirmed. The same command with the same --id goes on after a crash, and trades nothing twice.

    Exit codes: 0 filled as ordered, 4 partly filled, 5 not filled, 6 left with orders that are not confirmed gone, 3
    the venue filled too much, 130 interrupted and withdrawn, 1 an error, 2 wrong usage.
    """
    from sor.cli.live import run_live
    from sor.cli.outcome import say_document, show
    from sor.cli.preview import preview, say_preview, show_preview
    from sor.cli.terms import arguments, decimal, orders, seconds, seconds_or_none
    from sor.cli.trade import Job, own_set, trade
    from sor.ids import ParentId
    from sor.orders import ParentOrder, Side
    from sor.settings import Neighbours

    output = ctx.ensure_object(Output)
    access = access_of(
        venue,
        env=env,
        secrets=secrets,
        pairs=pairs,
        paper=paper,
        allow_live=allow_live,
        orders=not dry_run,
        symbol=symbol,
    )
    order = ParentOrder(
        parent_id=ParentId(parent_id or _new_id()),
        symbol=symbol,
        side=Side.BUY if side == "buy" else Side.SELL,
        quantity=decimal(qty),
        limit=None if limit is None else decimal(limit, what="--limit"),
        deadline_s=seconds(deadline),
        urgency=urgency,
        reduce_only=reduce_only,
        schedule=schedule,
        schedule_args=arguments(schedule_args),
        policy=policy,
        param_set=param_set or own_set(venue, param_dirs),
        experiment=experiment,
    )
    job = Job(
        access=access,
        order=order,
        leverage=leverage,
        journal=journal or access.journal,
        param_dirs=param_dirs,
        settled=orders(settled),
        trusted=trusted,
        same_account=same_account,
        neighbours=Neighbours(neighbours or Neighbours.REFUSE),
        watch_s=None if watch is None else seconds_or_none(watch),
    )
    job.check()
    if dry_run:
        seen = run_live(partial(preview, job, output))
        if output.json:
            say_preview(seen)
        else:
            show_preview(output.out, seen)
        return
    if access.env == LIVE and not paper and not yes:
        _confirm(job.headline)
    outcome = run_live(partial(trade, job, output))
    if output.json:
        say_document(outcome)
    else:
        show(output.out, outcome)
    if outcome.sentence:
        output.err.print(f"sor: {outcome.sentence}")
    ctx.exit(outcome.exit_code)


def _new_id() -> str:
    """An id that nobody has used: the moment, to the microsecond."""
    return datetime.now(UTC).strftime("r%y%m%d-%H%M%S-%f")


def _confirm(headline: str) -> None:
    """Ask before real money is traded. Raises `CallerError` for anything but yes."""
    try:
        agreed = click.confirm(f"Real money: {headline}. Go on?", err=True)
    except click.exceptions.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise CallerError(
            "not confirmed; nothing was opened and nothing was sent. Give --yes where nobody can be asked"
        )
