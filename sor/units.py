"""Units: what the integers mean, and the few conversions that everybody needs.

prices      ticks (int); mids and other averages of two prices in half-ticks (int, `_hticks`), so they stay exact
quantities  lots (int), always positive; the side says the direction
times       nanoseconds since the Unix epoch (int, `_ns`); durations too
money       integer atoms of 10**-money_exp quote units, per instrument (`Instrument.money_exp`)
fee rates   integer 1e-8 of notional (`_e8`): 0.05 % is 50_000
estimates   floats, in bps of the arrival mid, seconds and bps/sqrt(s)
"""

from __future__ import annotations

NS = 1_000_000_000
MS = 1_000_000
US = 1_000
BPS = 10_000.0
RATE_E8 = 100_000_000
"""One (100 %) in fee-rate units."""


def seconds(duration_ns: int) -> float:
    """Nanoseconds as float seconds, for people and estimates."""
    return duration_ns / NS


def to_ns(duration_s: float) -> int:
    """Seconds as whole nanoseconds, rounded to the nearest."""
    return round(duration_s * NS)


def rate_bps(rate_e8: int) -> float:
    """Fee rate in 1e-8 of notional as bps."""
    return rate_e8 / 10_000


def slippage_bps(*, side_sign: int, exec_px: float, bench_px: float) -> float:
    """Cost of one price against a benchmark in bps of the benchmark, positive when adverse on both sides (F3)."""
    return BPS * side_sign * (exec_px - bench_px) / bench_px
