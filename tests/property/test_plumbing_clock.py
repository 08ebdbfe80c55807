"""The bounds of a venue's clock hold whatever the network did, as long as the drift is what was promised."""

from hypothesis import given
from hypothesis import strategies as st

from sor.units import MS, NS
from venues.plumbing.clock import VenueClock

delays = st.integers(0, 2 * NS)
trips = st.lists(st.tuples(st.integers(0, 600 * NS), delays, delays), min_size=1, max_size=30)


@given(st.integers(-3_600 * NS, 3_600 * NS), st.integers(-80, 80), trips, st.integers(0, 600 * NS))
def test_the_truth_is_always_within_the_bounds(
    offset_ns: int, drift_ppm: int, trips: list[tuple[int, int, int]], after_ns: int
) -> None:
    start_ns = 1_700_000_000 * NS

    def truth(at_ns: int) -> int:
        return offset_ns + (at_ns - start_ns) * drift_ppm // 1_000_000

    clock, now_ns = VenueClock(drift_ppm_max=100), start_ns
    for pause_ns, there_ns, back_ns in trips:
        sent_ns = now_ns + pause_ns
        look_ns = sent_ns + there_ns
        now_ns = look_ns + back_ns
        stated_ns = (look_ns + truth(look_ns)) // MS * MS
        assert clock.sample(sent_ns=sent_ns, recv_ns=now_ns, venue_ns=stated_ns)
        low_ns, high_ns = clock.bounds_ns(now_ns)
        assert low_ns <= truth(now_ns) <= high_ns
        assert high_ns - low_ns <= (there_ns + back_ns) * 1.0003 + MS + 2
    later_ns = now_ns + after_ns
    assert abs(clock.offset_ns(later_ns) - truth(later_ns)) <= clock.error_ns(later_ns)
    least, most = clock.drift_ppm()
    assert least - 0.01 <= drift_ppm <= most + 0.01
