"""The venue's clock: bounds from round trips, drift, clocks that are set, and what the receive window allows."""

import pytest

from sor.errors import CallerError
from sor.units import MS, NS, US
from venues.plumbing.clock import Skew, VenueClock

T = 1_700_000_000 * NS


def test_one_sample_is_half_the_round_trip_give_or_take() -> None:
    clock = VenueClock(rounding_ns=0, drift_ppm_max=0)
    clock.sample(sent_ns=T, recv_ns=T + 40 * MS, venue_ns=T + 120 * MS)
    assert clock.bounds_ns(T) == (80 * MS, 120 * MS)
    assert clock.offset_ns(T) == 100 * MS
    assert clock.error_ns(T) == 20 * MS
    assert clock.venue_ns(T + NS) == T + NS + 100 * MS


def test_a_venue_that_truncates_to_milliseconds_may_be_almost_one_later() -> None:
    clock = VenueClock(drift_ppm_max=0)
    clock.sample(sent_ns=T, recv_ns=T + 2 * MS, venue_ns=T)
    assert clock.bounds_ns(T) == (-2 * MS, 1 * MS)


def test_the_sample_with_the_least_delay_decides() -> None:
    clock = VenueClock(rounding_ns=0, drift_ppm_max=0)
    for delay_ms, seen_ms in [(100, 60), (10, 11), (300, 200)]:
        assert clock.sample(sent_ns=T, recv_ns=T + delay_ms * MS, venue_ns=T + seen_ms * MS)
    assert clock.bounds_ns(T) == (1 * MS, 11 * MS)


def test_two_samples_can_bound_more_tightly_than_either() -> None:
    clock = VenueClock(rounding_ns=0, drift_ppm_max=0)
    clock.sample(sent_ns=T, recv_ns=T + 20 * MS, venue_ns=T + 20 * MS)  # offset in [0, 20]: all delay on the way there
    clock.sample(sent_ns=T, recv_ns=T + 20 * MS, venue_ns=T + 2 * MS)  # offset in [-18, 2]: all on the way back
    assert clock.bounds_ns(T) == (0, 2 * MS)
    assert clock.error_ns(T) == 1 * MS


def test_bounds_grow_with_drift_while_nothing_is_heard() -> None:
    clock = VenueClock(rounding_ns=0, drift_ppm_max=100)
    clock.sample(sent_ns=T, recv_ns=T + 10 * MS, venue_ns=T + 5 * MS)
    trip_ns = 1 * US  # what 10 ms add to the half of them
    assert clock.error_ns(T + 10 * MS) == 5 * MS + trip_ns
    assert clock.error_ns(T + 10 * MS + 100 * NS) == 15 * MS + trip_ns  # 100 us a second
    clock.sample(sent_ns=T + 100 * NS, recv_ns=T + 100 * NS + 10 * MS, venue_ns=T + 100 * NS + 5 * MS)
    assert clock.error_ns(T + 100 * NS + 10 * MS) == 5 * MS + trip_ns


def test_a_clock_that_was_set_is_noticed_and_the_newer_sample_believed() -> None:
    clock = VenueClock(rounding_ns=0)
    assert clock.sample(sent_ns=T, recv_ns=T + 10 * MS, venue_ns=T + 5 * MS)
    later = T + 10 * NS
    assert not clock.sample(sent_ns=later, recv_ns=later + 10 * MS, venue_ns=later + 3 * NS)
    assert clock.offset_ns(later) == 3 * NS - 5 * MS
    assert clock.drift_ppm() == (-100.0, 100.0)


def test_an_answer_from_before_a_clock_was_set_does_not_undo_what_is_known() -> None:
    clock = VenueClock(rounding_ns=0)
    assert clock.sample(sent_ns=T, recv_ns=T + 10 * MS, venue_ns=T + 5 * MS)
    # Two are under way when the venue's clock is set; the one sent later is answered first.
    assert not clock.sample(sent_ns=T + 20 * MS, recv_ns=T + 30 * MS, venue_ns=T + 25 * MS + 3 * NS)
    known = clock.bounds_ns(T + NS)
    assert not clock.sample(sent_ns=T + 15 * MS, recv_ns=T + 400 * MS, venue_ns=T + 18 * MS)
    assert clock.bounds_ns(T + NS) == known


def test_drift_is_bounded_by_what_the_offsets_did() -> None:
    clock = VenueClock(rounding_ns=0, drift_ppm_max=200)
    assert clock.drift_ppm() == (-200.0, 200.0)
    clock.sample(sent_ns=T, recv_ns=T + 10 * MS, venue_ns=T + 5 * MS)
    # 1000 s later the venue has gained 50 ms, seen through the same round trip: 50 +- 10 ppm.
    later = T + 1_000 * NS
    clock.sample(sent_ns=later, recv_ns=later + 10 * MS, venue_ns=later + 55 * MS)
    least, most = clock.drift_ppm()
    assert (round(least, 1), round(most, 1)) == (40.0, 60.0)


@pytest.mark.parametrize(
    ("offset_ms", "skew"),
    [
        (0, Skew.WITHIN),
        (4_900, Skew.WITHIN),
        (4_995, Skew.UNSURE),
        (5_100, Skew.BEYOND),  # our timestamps look too old
        (-900, Skew.WITHIN),
        (-995, Skew.UNSURE),
        (-1_100, Skew.BEYOND),  # and too far ahead
        (10_000, Skew.BEYOND),
    ],
)
def test_a_receive_window_of_5_s_and_1_s_ahead(offset_ms: int, skew: Skew) -> None:
    clock = VenueClock(rounding_ns=0, drift_ppm_max=0)
    clock.sample(sent_ns=T, recv_ns=T + 20 * MS, venue_ns=T + (10 + offset_ms) * MS)
    assert clock.skew(T, behind_ns=5 * NS, ahead_ns=NS) is skew


def test_before_the_first_sample_nothing_is_claimed() -> None:
    clock = VenueClock()
    assert not clock.known
    assert clock.venue_ns(T) == T
    assert clock.skew(T, behind_ns=5 * NS, ahead_ns=NS) is Skew.UNKNOWN
    with pytest.raises(CallerError, match="not known yet"):
        clock.error_ns(T)
    with pytest.raises(CallerError, match="before it was sent"):
        clock.sample(sent_ns=T, recv_ns=T - 1, venue_ns=T)
    with pytest.raises(CallerError, match="negative"):
        VenueClock(rounding_ns=-1)
    assert not clock.known
