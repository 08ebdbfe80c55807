"""When an account is read after fills: one read at a time, at most one more, later and later while it fails (B5)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sor.ids import Symbol
from sor.refresh import GAP_NS, RETRY_NS_MAX, TRIES_MAX, Refresh
from sor.units import NS

BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")
T0 = 1_000 * NS


def test_b5_a_fill_is_read_for_at_once_and_again_when_it_has_been_quiet() -> None:
    refresh = Refresh()
    assert refresh.filled(BTC, T0)
    assert not refresh.filled(BTC, T0)  # the same fill, told twice
    assert refresh.next_ns() == T0
    assert refresh.begin(T0) == (BTC,)
    assert refresh.next_ns() is None  # one at a time
    refresh.done(T0 + 7, later={BTC: T0 + 5 * NS})
    assert refresh.next_ns() == T0 + 5 * NS
    assert refresh.begin(T0 + 5 * NS) == (BTC,)
    refresh.done(T0 + 6 * NS, later={})
    assert refresh.next_ns() is None  # nothing is wanted any more


def test_b5_fills_during_a_read_share_one_more() -> None:
    refresh = Refresh()
    refresh.filled(BTC, T0)
    refresh.begin(T0)
    for late in range(1, 50):
        refresh.filled(BTC, T0 + late)
        refresh.filled(ETH, T0 + late)
        assert refresh.next_ns() is None
    refresh.done(T0 + 100, later={BTC: T0 + 5 * NS})
    assert refresh.next_ns() == T0 + 100 + GAP_NS  # not missed, and not at once
    assert refresh.begin(T0 + 100 + GAP_NS) == (BTC, ETH)
    refresh.done(T0 + 3 * NS, later={})
    assert refresh.next_ns() is None


def test_b5_a_read_that_fails_is_tried_later_and_later_and_given_up() -> None:
    refresh = Refresh()
    refresh.filled(BTC, T0)
    now, waits = T0, []
    while True:
        assert refresh.begin(now) == (BTC,)
        if not refresh.failed(now):
            break
        next_ns = refresh.next_ns()
        assert next_ns is not None
        waits.append((next_ns - now) // NS)
        now = next_ns
    assert waits == [1, 2, 4, 8, 16, 32, 60]
    assert len(waits) == TRIES_MAX - 1
    assert refresh.next_ns() is None
    assert refresh.filled(BTC, now + 1)  # the next fill begins anew
    assert refresh.begin(now + NS) == (BTC,)
    assert refresh.failed(now + NS)


@given(st.lists(st.tuples(st.sampled_from(["fill", "begin", "done", "fail"]), st.integers(1, 3 * NS)), max_size=60))
def test_no_fill_is_missed_and_reads_never_overlap(steps: list[tuple[str, int]]) -> None:
    """After the last fill either a read began at or after it, or one is planned, unless it was given up."""
    refresh = Refresh()
    now, reading, last_fill, last_begin, given_up = T0, False, 0, 0, False
    for what, wait in steps:
        now += wait
        due = refresh.next_ns()
        if what == "fill":
            refresh.filled(BTC, now)
            last_fill, given_up = now, False
        elif what == "begin" and due is not None and due <= now:
            assert not reading
            assert refresh.begin(now) == (BTC,)
            reading, last_begin = True, now
        elif what == "done" and reading:
            refresh.done(now, later={})
            reading = False
        elif what == "fail" and reading:
            given_up = not refresh.failed(now)
            reading = False
        if last_fill > last_begin and not given_up and not reading:
            planned = refresh.next_ns()
            assert planned is not None
            assert planned <= now + RETRY_NS_MAX
