"""Old journals stay readable: the golden one still says what it said, byte for byte and field for field."""

from pathlib import Path

import msgspec

from sor.journal import Verification, turns, verify
from sor.journal.records import by_name
from tests.replay.golden.make_journal import EPOCH, JOURNAL, RECORDS

# Written down when the journal was made. When this test fails the journal is right and the code is wrong: give new
# fields a default and put them at the end. Only before the first release may the journal be made anew.
LAST_CHAIN = "7d06c12cd576dd230e229d42da58334f"


def test_the_golden_journal_verifies_to_the_same_digest() -> None:
    assert verify(JOURNAL) == Verification(
        epoch=EPOCH,
        environment="simulated",
        turns=7,
        records=54,
        segments=3,
        first_turn=1,
        checkpoints=0,
        spare_segments=0,
        last_chain=LAST_CHAIN,
        torn_tail_bytes=0,
        faults=(),
    )


def test_the_golden_journal_still_means_the_same() -> None:
    said = msgspec.json.decode(RECORDS.read_bytes())
    found = [[by_name(record) for record in turn.records] for turn in turns(JOURNAL)]
    assert lost(said, msgspec.json.decode(msgspec.json.encode(found)), "") == []


def test_what_is_lost_is_found() -> None:
    old = {"kind": "woke", "now_ns": 1, "seen": [1.0, {"a": None}]}
    assert lost(old, {**old, "news": 3}, "") == []
    assert lost(old, {"kind": "woke", "now_ns": 2, "seen": [1.0, {"b": None}]}, "") == [".now_ns", ".seen[1].a"]
    assert lost([1, 2], [1], "") == [""]


def test_nothing_else_lies_in_the_golden_folder() -> None:
    names = sorted(path.name for path in Path(JOURNAL).iterdir())
    assert [name for name in names if not name.endswith(".seg")] in (["journal.json"], ["index.sqlite", "journal.json"])


def lost(old: object, new: object, where: str) -> list[str]:
    """Places where `new` does not say what `old` says; fields that only `new` has are growth."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            place
            for name, value in old.items()
            for place in (lost(value, new[name], f"{where}.{name}") if name in new else [f"{where}.{name}"])
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [place for at, (a, b) in enumerate(zip(old, new, strict=True)) for place in lost(a, b, f"{where}[{at}]")]
    return [] if old == new else [where]
