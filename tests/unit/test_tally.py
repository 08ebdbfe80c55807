"""Counts within a window, at the edges of its steps, and what is kept of them."""

from sor.tally import STEP_NS, WITHIN_NS_MAX, Tally
from sor.units import NS


def test_a_window_counts_what_lies_in_it_and_up_to_a_step_more() -> None:
    tally = Tally()
    for second in range(100):
        tally.add(1_000 * NS + second * NS)
    now_ns = 1_099 * NS
    assert [tally.within(within * NS, now_ns) for within in (9, 10, 60, 3_600)] == [10, 20, 70, 100]
    assert tally.within(10 * NS, now_ns + 60 * NS) == 0
    assert not tally.fewer_than(100)
    assert tally.fewer_than(101)


def test_what_is_older_than_anybody_may_ask_for_is_not_kept() -> None:
    tally = Tally()
    for _ in range(5):
        tally.add(0)
    tally.add(WITHIN_NS_MAX)
    assert not tally.fewer_than(6)
    tally.add(WITHIN_NS_MAX + STEP_NS)
    assert tally.fewer_than(3)
