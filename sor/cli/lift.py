"""`sor lift`: let a halted symbol trade again."""

from __future__ import annotations

from pathlib import Path

import click

from sor.cli.asking import ask
from sor.cli.common import Output, say_json


@click.command(short_help="Let a halted symbol trade again, or show what is halted.")
@click.argument("symbol", required=False)
@click.option("--journal", required=True, type=click.Path(path_type=Path), help="The journal whose symbol it is.")
@click.option("--venue", default="", help="Where, if it is halted on several.")
@click.option("--reason", default="", help="What was looked at, and why it may trade: for the record.")
@click.option("--wait", default="5s", show_default=True, help="How long to wait for a router that runs to heed it.")
@click.pass_context
def lift(ctx: click.Context, symbol: str | None, journal: Path, venue: str, reason: str, wait: str) -> None:
    """Let SYMBOL trade again, which was halted because its venue refused too much or broke its contract.

    Without SYMBOL, say what is halted and why. A router that runs on the journal takes it up within a second, and
    records it with the reason; where none runs the next one does, before it connects. It is refused while an order of
    the symbol is not known to be over. Exit code 1 when it is refused, or a router that runs does not heed it.
    """
    from sor.by_hand import check_lift, halted
    from sor.ids import VenueName
    from sor.instruments import canonical_symbol
    from sor.journal.lock import lock_holder
    from sor.journal.wanted import LiftAsked
    from sor.recovery import folded

    output = ctx.ensure_object(Output)
    core = folded(journal)
    found = tuple(halted(core))
    if symbol is None:
        if output.json:
            say_json({"halted": [{"venue": place, "symbol": name, "why": why} for place, name, why in found]})
            return
        for place, name, why in found:
            output.out.print(f"{name} on {place}: {why}")
        if not found:
            output.out.print("Nothing is halted.")
        return
    if not reason:
        raise click.UsageError("--reason says what was looked at, and why it may trade; it goes on record")
    name = canonical_symbol(symbol)
    places = [place for place, other, _ in found if other == name]
    if not venue and len(places) > 1:
        raise click.UsageError(f"{name} is halted on {', '.join(places)}: say which with --venue")
    where = VenueName(venue or (places[0] if places else "any venue"))
    check_lift(core, where, name)
    heeded = ask(journal, LiftAsked(venue=where, symbol=name, reason=reason), wait)
    router = lock_holder(journal)
    if output.json:
        say_json({"venue": where, "symbol": name, "router": router, "heeded": heeded})
    elif heeded:
        output.out.print(f"{name} on {where} trades again; the router, process {router}, has it on record.")
    elif router is None:
        output.out.print(f"No router runs on it: the next one lets {name} on {where} trade, before it connects.")
    else:
        output.out.print(f"The router, process {router}, did not heed it within {wait}. It stays asked for.")
    ctx.exit(1 if router is not None and not heeded else 0)
