"""`python -m benchmarks`: every row, or those that `--only` names. Rows go to standard output, progress to the other.

A row whose peer is not installed is named with the reason and left out; `make bench` makes an environment with all.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version

import msgspec

from benchmarks import (
    book_path,
    decision,
    journal_append,
    journal_recovery,
    maker,
    order_lane,
    order_round,
    reaction,
    replay_lane,
    replay_policy,
)
from benchmarks.rows import Document, Machine, Row, table

PACKAGES = ("ccxt", "hftbacktest", "httpx", "msgspec", "nautilus_trader", "numba", "numpy", "uvloop")


class Size(msgspec.Struct, frozen=True):
    """How much is measured: rounds of each row (many short ones of the books), and the work in one round of it."""

    rounds: int
    book_rounds: int
    orders: int
    maker_events: int
    turns: int
    events: int
    messages: int
    lane_orders: int
    reactions: int
    lane_events: int


FULL = Size(
    rounds=9,
    book_rounds=21,
    orders=500,
    maker_events=20_000,
    turns=2_000,
    events=5_000,
    messages=4_000,
    lane_orders=192,
    reactions=60,
    lane_events=400_000,
)
TINY = Size(
    rounds=1,
    book_rounds=1,
    orders=5,
    maker_events=1_000,
    turns=10,
    events=200,
    messages=200,
    lane_orders=10,
    reactions=5,
    lane_events=2_000,
)
"""For a look at whether everything runs; its figures mean nothing."""

Progress = Callable[[str], None]
SUITE: dict[str, Callable[[Size, Progress], list[Row]]] = {
    "book": lambda size, say: book_path.rows(count=size.messages, rounds=size.book_rounds, progress=say),
    "lane": lambda size, say: order_lane.rows(orders=size.lane_orders, rounds=size.rounds, progress=say),
    "g6": lambda size, say: reaction.rows(count=size.reactions, rounds=size.rounds, progress=say),
    "replay": lambda size, say: [
        *replay_lane.rows(count=size.lane_events, router_events=size.maker_events, rounds=size.rounds, progress=say),
        *replay_policy.rows(count=size.lane_events, rounds=size.rounds, progress=say),
    ],
    "g9": lambda size, say: [maker.row(count=size.maker_events, rounds=size.rounds, progress=say)],
    "g10": lambda size, say: [order_round.row(orders=size.orders, rounds=size.rounds, progress=say)],
    "g11": lambda size, say: journal_append.rows(count=size.turns, rounds=size.rounds, progress=say),
    "recovery": lambda size, say: journal_recovery.rows(
        count=size.turns, orders=size.orders, rounds=size.rounds, progress=say
    ),
    "decision": lambda size, say: decision.rows(count=size.events, rounds=size.rounds, progress=say),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when every row that was asked for could be measured, whether it meets its bar or not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=tuple(SUITE), help="measure this; may be given again")
    parser.add_argument(
        "--rounds", type=int, help=f"rounds of each row, {FULL.rounds} unless given, of a book's {FULL.book_rounds}"
    )
    parser.add_argument("--tiny", action="store_true", help="see whether everything runs; the figures mean nothing")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    asked = parser.parse_args(arguments)
    size = TINY if asked.tiny else FULL
    if asked.rounds is not None:
        if asked.rounds < 1:
            parser.error(f"--rounds {asked.rounds}: give 1 or more")
        size = msgspec.structs.replace(size, rounds=asked.rounds, book_rounds=asked.rounds)
    rows: list[Row] = []
    missing: dict[str, str] = {}
    for name in asked.only or SUITE:
        try:
            rows += SUITE[name](size, _say)
        except ModuleNotFoundError as error:
            missing[name] = f"{error.name} is not installed; `make bench` installs every peer"
    document = Document(machine=_machine(), rows=tuple(rows), missing=missing)
    if asked.json:
        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        machine = document.machine
        versions = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
        print(f"{machine.cpus} processors, {machine.system}, Python {machine.python}; {versions}\n")
        print(table(rows))
        for name, why in missing.items():
            print(f"{name}: not measured, {why}")
    return 1 if missing else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _machine() -> Machine:
    return Machine(
        cpus=os.cpu_count() or 0,
        system=f"{platform.system()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: found for name in PACKAGES if (found := _version(name))},
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
