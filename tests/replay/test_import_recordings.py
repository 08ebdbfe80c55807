"""Every recording as a tape: what it holds, what was odd about it, and the same bytes each time.

The figures are those measured on the raw files by other programs, as far as those could see them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from sor.errors import CallerError
from sor.lab.importers import import_recording
from sor.tape import check_tape, open_tape
from sor.units import MS, NS
from tests.replay.conftest import FILES, Recorded


class Expected(NamedTuple):
    """What a recording's tape must be; `findings` are those that are not 0, but for those of the clock."""

    digest: str
    groups: int
    levels: int
    trades: int
    orders: int
    findings: dict[str, int]
    offset_ms: int
    silence_ms: int
    span_s: int
    volume: int
    trade_times: int
    mean_spread_ticks: float
    one_tick_share: float
    mid: tuple[float, float]
    moves_per_s: float


EXPECTED = {
    "usdm_aug": Expected(
        digest="51673ea9509dded9",
        groups=72_591,
        levels=464_787,
        trades=21_313,
        orders=0,
        findings={
            "lines": 93_954,
            "diffs": 6_551,
            "tickers": 66_089,
            "trades": 21_313,
            "snapshots": 1,
            "too_old": 37,
            "recv_raised": 966,
        },
        offset_ms=-1_272,
        silence_ms=344,
        span_s=344,
        volume=2_429,
        trade_times=5_260,
        mean_spread_ticks=1.14,
        one_tick_share=0.991,
        mid=(61_590, 61_840),
        moves_per_s=5.9,
    ),
    "usdm_jul": Expected(
        digest="82d7d19f049e1897",
        groups=61_268,
        levels=412_192,
        trades=10_701,
        orders=0,
        findings={
            "lines": 71_984,
            "diffs": 9_022,
            "tickers": 52_260,
            "trades": 10_701,
            "snapshots": 1,
            "too_old": 12,
            "recv_raised": 616,
        },
        offset_ms=-1_523,
        silence_ms=1_078,
        span_s=479,
        volume=1_122,
        trade_times=3_564,
        mean_spread_ticks=1.01,
        one_tick_share=0.999,
        mid=(63_835, 63_999),
        moves_per_s=2.0,
    ),
    "coinm_aug": Expected(
        digest="d98a493f78b04f50",
        groups=90_144,
        levels=587_225,
        trades=5_235,
        orders=0,
        findings={
            "lines": 98_386,
            "diffs": 44_795,
            "tickers": 48_355,
            "trades": 5_235,
            "snapshots": 1,
            "too_old": 33,
        },
        offset_ms=-1_273,
        silence_ms=169,
        span_s=646,
        volume=182_183,
        trade_times=1_832,
        mean_spread_ticks=1.11,
        one_tick_share=0.996,
        mid=(61_536, 61_845),
        moves_per_s=3.9,
    ),
    "spot_aug": Expected(
        digest="01b3af4d764096b2",
        groups=79_648,
        levels=334_839,
        trades=19_904,
        orders=0,
        findings={
            "lines": 99_574,
            "diffs": 6_495,
            "tickers": 73_174,
            "trades": 19_904,
            "snapshots": 1,
            "too_old": 3,
            "sizes_off_step": 7,
            "recv_raised": 75,
            "ticker_times_held": 1_023,
        },
        offset_ms=-1_276,
        silence_ms=201,
        span_s=650,
        volume=438,
        trade_times=7_108,
        mean_spread_ticks=2.73,
        one_tick_share=0.993,
        mid=(61_556, 61_861),
        moves_per_s=10.1,
    ),
    "bitstamp": Expected(
        digest="c555cd22741b2f2f",
        groups=122_437,
        levels=122_818,
        trades=2_020,
        orders=126_049,
        findings={
            "lines": 141_493,
            "created": 61_923,
            "changed": 2_156,
            "deleted": 61_970,
            "trades": 2_020,
            "books": 13_424,
            "books_compared": 13_423,
            "books_agreed": 13_411,
            "warm_books_compared": 12_368,
            "warm_books_agreed": 12_358,
            "unknown_deleted": 314,
            "unknown_changed": 13,
            "told_after_end": 78,
            "nameless_corrected": 104,
            "takers": 1_463,
            "repriced": 155,
            "trades_one_fill": 31,
            "recv_raised": 4,
        },
        offset_ms=0,
        silence_ms=13_632,
        span_s=43_191,
        volume=3_692,
        trade_times=2_020,
        mean_spread_ticks=18.60,
        one_tick_share=0.050,
        mid=(233, 239),
        moves_per_s=0.1,
    ),
}
"""No gap, no crossed book, no time that went back, no trade id left out, and no best that a diff and a ticker tell
differently: those findings are 0 in all of them."""


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recording_becomes_the_tape_it_must(recorded: Mapping[str, Recorded], name: str) -> None:
    path, manifest, touch = recorded[name]
    tape = open_tape(path)
    found = {one.what: one.count for one in manifest.findings if one.count}
    silence_ns = found.pop("silence_ns_max")
    found.pop("clock_offset_ns", None)
    instrument = manifest.instrument
    tick, lot = float(instrument.tick_size), float(instrument.lot_size)
    span_ns = manifest.last_ns - manifest.first_ns
    assert EXPECTED[name] == Expected(
        digest=manifest.digest,
        groups=manifest.groups,
        levels=manifest.levels,
        trades=manifest.trades,
        orders=manifest.orders,
        findings=found,
        offset_ms=round(manifest.clock_offset_ns / MS),
        silence_ms=silence_ns // MS,
        span_s=span_ns // NS,
        volume=round(int(tape.trade_lots.sum()) * lot),
        trade_times=len(np.unique(tape.trade_venue_ns)),
        mean_spread_ticks=round(touch.mean_spread_ticks, 2),
        one_tick_share=round(touch.one_tick_share, 3),
        mid=(round(touch.mid_least_hticks * tick / 2), round(touch.mid_most_hticks * tick / 2)),
        moves_per_s=round(touch.moves * NS / span_ns, 1),
    )
    assert [source.name for source in manifest.source] == sorted(Path(file).name for file in FILES[name])


@pytest.mark.parametrize("name", ["usdm_jul", "bitstamp"])
def test_a_tape_keeps_every_rule(recorded: Mapping[str, Recorded], name: str) -> None:
    assert check_tape(recorded[name].path) == recorded[name].manifest


def test_the_same_files_give_the_same_bytes(recordings: Path, tmp_path: Path) -> None:
    file = recordings / FILES["usdm_jul"][0]
    first, second = (import_recording([file], tmp_path / name / "tape") for name in "ab")
    assert first == second
    for column in (tmp_path / "a" / "tape").iterdir():
        assert column.read_bytes() == (tmp_path / "b" / "tape" / column.name).read_bytes(), column.name


@pytest.mark.parametrize("name", ["usdm_jul", "bitstamp"])
def test_a_recording_that_was_cut_off_is_told_of(recordings: Path, tmp_path: Path, name: str) -> None:
    packed = (recordings / FILES[name][0]).read_bytes()
    (tmp_path / "cut").write_bytes(packed[: len(packed) // 8])
    manifest = import_recording([tmp_path / "cut"], tmp_path / "tape")
    assert {one.what: one.count for one in manifest.findings}["torn"] == 1
    assert manifest.groups > 100


@pytest.mark.parametrize("name", ["usdm_jul", "bitstamp"])
def test_a_recording_damaged_in_its_middle_leaves_no_tape(recordings: Path, tmp_path: Path, name: str) -> None:
    packed = bytearray((recordings / FILES[name][0]).read_bytes())
    middle = len(packed) // 16
    packed[middle : middle + 512] = bytes(512)
    (tmp_path / "damaged").write_bytes(packed)
    with pytest.raises(CallerError, match=r"damaged is damaged \(.*\); nothing was written. Get the file again"):
        import_recording([tmp_path / "damaged"], tmp_path / "tape")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged"]
