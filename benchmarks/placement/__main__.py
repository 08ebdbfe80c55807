"""`python -m benchmarks.placement`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.placement.markets import MADE_UP
from benchmarks.placement.parts import DEADLINES_S, PARTS, QUEUES, Desk, power
from benchmarks.placement.scores import Score
from benchmarks.placement.tables import put, shown

RECORDINGS = Path("shared/data")


def main(argv: Sequence[str] | None = None) -> None:
    """Score one part and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement", description="Compare placement policies.")
    parser.add_argument("--part", choices=tuple(PARTS), required=True)
    parser.add_argument("--hours", type=int, default=4, help="of each made-up market to score, one seed an hour")
    parser.add_argument("--queue", choices=QUEUES, action="append", help="how own places move; default: both in turn")
    parser.add_argument("--deadline", type=float, action="append", help="s, on made-up markets; default: 15 and 60")
    parser.add_argument("--brief", action="store_true", help="only cross, the fixed waits and the fitted arms")
    parser.add_argument("--power", action="store_true", help="only say how many hours each comparison needs")
    parser.add_argument("--data", type=Path, default=RECORDINGS, help="folder of the recordings")
    parser.add_argument("--scratch", type=Path, help="keeps tapes and journals; default: forgotten at the end")
    parser.add_argument("--json", action="store_true", help="the scores for programs")
    parser.add_argument("--page", type=Path, help="put the tables between the part's marks of this page")
    parser.add_argument("--scores", type=Path, help="what --json printed before, instead of scoring again")
    asked = parser.parse_args(argv)
    if asked.power and asked.part not in MADE_UP:
        parser.error(f"--power is for made-up markets: {', '.join(MADE_UP)}")
    page = asked.page.read_text(encoding="utf-8") if asked.page else ""
    if page:
        put(page, asked.part, ())  # a page without marks is told before hours of scoring
    with tempfile.TemporaryDirectory() as forgotten:
        scratch = asked.scratch or Path(forgotten)
        scratch.mkdir(parents=True, exist_ok=True)
        desk = Desk(
            scratch=scratch,
            data=asked.data,
            say=lambda line: print(line, file=sys.stderr, flush=True),
            hours=asked.hours,
            queues=tuple(asked.queue or QUEUES),
            deadlines_s=tuple(asked.deadline or DEADLINES_S),
            brief=asked.brief,
        )
        if asked.power:
            print(json.dumps(power(desk, asked.part), indent=2))
            return
        if asked.scores:
            scores = msgspec.json.decode(asked.scores.read_bytes(), type=list[Score])
        else:
            scores = PARTS[asked.part](desk)
    if page:
        asked.page.write_text(put(page, asked.part, scores), encoding="utf-8")
    if asked.json:
        print(msgspec.json.encode(scores).decode())
    else:
        print("\n\n".join(shown(one) for one in scores))


if __name__ == "__main__":
    main()
