"""Crossed books on the way onto a tape: lost until the next snapshot, or repaired by believing the newer message."""

from __future__ import annotations

from random import Random

from sor.lab.both_sides import BothSides
from sor.lab.importers.crossing import uncrossed
from tests.fakes.tapes import Group, groups_in, tape_of

BEGIN = Group(10, 11, [(1, 999, 5), (1, 998, 7), (-1, 1_001, 4), (-1, 1_002, 6)], True)
CROSSES = Group(20, 21, [(1, 1_001, 3), (-1, 1_003, 1)])
AFTER = Group(30, 31, [(1, 1_000, 9)])
AGAIN = Group(40, 41, [(1, 990, 1), (-1, 991, 1)], True)


def test_a_sound_tape_is_handed_back_as_it_is() -> None:
    tape = tape_of([BEGIN, AFTER, AGAIN])
    assert uncrossed(tape, repair=True) == (tape, 0, 0, 0)


def test_a_crossed_book_is_lost_until_the_next_snapshot() -> None:
    found = uncrossed(tape_of([BEGIN, CROSSES, AFTER, AGAIN]), repair=False)
    assert groups_in(found.tape) == [BEGIN, Group(20, 21, [], True), AGAIN]
    assert found[1:] == (1, 0, 20)


def test_repaired_the_older_side_gives_way() -> None:
    found = uncrossed(tape_of([BEGIN, CROSSES, AFTER, AGAIN]), repair=True)
    assert groups_in(found.tape) == [BEGIN, Group(20, 21, [*CROSSES.levels, (-1, 1_001, 0)]), AFTER, AGAIN]
    assert found[1:] == (1, 1, 20)


def test_several_levels_may_have_to_go() -> None:
    found = uncrossed(tape_of([BEGIN, Group(20, 21, [(-1, 998, 2)])]), repair=True)
    assert groups_in(found.tape)[-1] == Group(20, 21, [(-1, 998, 2), (1, 999, 0), (1, 998, 0)])


def test_a_message_that_contradicts_itself_cannot_be_repaired() -> None:
    found = uncrossed(tape_of([BEGIN, Group(20, 21, [(1, 1_000, 1), (-1, 1_000, 1)]), AFTER]), repair=True)
    assert groups_in(found.tape) == [BEGIN, Group(20, 21, [], True)]
    assert (found.crossed, found.repaired) == (1, 0)


def test_a_crossed_snapshot_loses_the_book_too() -> None:
    crossed = Group(40, 41, [(1, 991, 1), (-1, 990, 1)], True)
    found = uncrossed(tape_of([BEGIN, crossed, AFTER, AGAIN]), repair=False)
    assert groups_in(found.tape) == [BEGIN, Group(40, 41, [], True), AGAIN]


def test_the_best_prices_are_those_of_all_levels_whatever_comes() -> None:
    book, draw = BothSides(), Random(4)
    for _ in range(2_000):
        book.put(draw.choice((1, -1)), draw.choice((draw.randrange(1, 9), draw.randrange(1, 1_000))), draw.randrange(2))
        assert (book.bid, book.ask) == (max(book.bids, default=0), min(book.asks, default=0))
