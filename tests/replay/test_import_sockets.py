"""The recorded raw sockets, Bybit's history and Gemini's seconds as tapes: every sequence and checksum holds.

The figures were measured on the raw files by another program, as far as it could see them.
"""

from __future__ import annotations

import lzma
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest

from sor.lab.importers import Terms, import_recording
from sor.tape import check_tape

BYBIT = "ws-recorded/bybit_part1.jsonl.gz"
BITGET = "ws-recorded/bitget_part1.jsonl.gz"
GATE = "ws-recorded/gateio_futures_part1.jsonl.gz"
OKX = "ws-recorded/okx_part1.jsonl.gz"
HISTORY = "ws-recorded/bybit_xrpusdt_ob500_20241201_50msg.data.zip"
GEMINI = "gemini-ethusd-202107/gemini_ethusd_2021-07-01_"


class Expected(NamedTuple):
    """A tape's instrument, shape, and findings that are not 0 but for those of the clock."""

    venue: str
    tick: str
    lot: str
    groups: int
    trades: int
    findings: str
    digest: str


CASES = {
    (BYBIT, "SOLUSDT"): Expected(
        *("bybit", "0.010", "0.1", 274, 133),
        "lines 1634, snapshots 1, changes 238, quotes 112, quotes_unused 2, trades 133, recv_raised 1",
        "de6cdb6aab82d86f",
    ),
    (OKX, "BTC-USDT"): Expected(
        *("okx", "0.1", "1E-8", 47, 32),
        "lines 235, snapshots 1, changes 46, quotes 14, quotes_unused 14, trades 33, checksums 47, trades_early 1",
        "13661d865c5f6e65",
    ),
    (OKX, "UNI-USD-SWAP"): Expected(
        *("okx", "0.001", "1", 40, 0),
        "lines 235, snapshots 1, changes 41, quotes 1, quotes_unused 1, trades 1, checksums 42, trades_early 1",
        "a4c32a384a246ffe",
    ),
    (HISTORY, "XRPUSDT"): Expected(
        *("bybit", "0.0001", "1", 50, 0),
        "lines 50, snapshots 1, changes 49",
        "1d781bc0af4ee983",
    ),
    (BITGET, "EOS-USDT"): Expected(
        *("bitget_spot", "0.0001", "0.0001", 47, 4),
        "lines 584, snapshots 1, changes 46, quotes 14, quotes_unused 14, trades 4, checksums 47",
        "6abda5088d3c484c",
    ),
    (BITGET, "CULT-USDT"): Expected(
        *("bitget_spot", "1E-8", "1", 43, 2),
        "lines 584, snapshots 1, changes 42, quotes 13, quotes_unused 13, trades 2, checksums 43",
        "7714c01eb61bb37e",
    ),
    (GATE, "PHB_USDT"): Expected(
        *("gate", "0.0001", "1", 46, 0),
        "lines 260, snapshots 1, changes 33, quotes 15, quotes_unused 2, too_old 4",
        "01da8fcfa67b4c8e",
    ),
    (GATE, "WOO_USDT"): Expected(
        *("gate", "0.0001", "1", 33, 0),
        "lines 260, snapshots 1, changes 18, quotes 23, quotes_unused 7, too_old 3",
        "141c6ad85968b215",
    ),
}


@pytest.mark.parametrize(("file", "symbol"), CASES)
def test_a_recording_of_sockets_becomes_the_tape_it_must(
    recordings: Path, tmp_path: Path, file: str, symbol: str
) -> None:
    listed = file != HISTORY
    terms = Terms(symbol=symbol) if listed else Terms(symbol=symbol, tick=Decimal("0.0001"), lot=Decimal(1))
    import_recording([recordings / file], tmp_path / "tape", terms=terms)
    manifest = check_tape(tmp_path / "tape")
    found = [f"{one.what} {one.count}" for one in manifest.findings if one.count and one.what != "clock_offset_ns"]
    instrument = manifest.instrument
    made = Expected(
        *(instrument.venue, str(instrument.tick_size), str(instrument.lot_size), manifest.groups, manifest.trades),
        ", ".join(found),
        manifest.digest,
    )
    wanted = CASES[file, symbol]
    assert made._replace(findings="") == wanted._replace(findings="")
    assert sorted(found) == sorted(wanted.findings.split(", "))


@pytest.mark.parametrize(
    ("file", "symbol", "steps", "shape"),
    [
        ("binance_futures_part1", "SUSHIUSDT", ("0.0010", "1"), (328, 25)),
        ("binance_delivery_part1", "BCHUSD_PERP", ("0.01", "1"), (196, 2)),
        ("binance_part1", "BLZ-ETH", ("1E-8", "1"), (8, 0)),
    ],
)
def test_binances_sockets_in_an_envelope(
    recordings: Path, tmp_path: Path, file: str, symbol: str, steps: tuple[str, str], shape: tuple[int, int]
) -> None:
    path = recordings / "ws-recorded" / f"{file}.jsonl.gz"
    import_recording([path], tmp_path / "tape", terms=Terms(symbol=symbol))
    manifest = check_tape(tmp_path / "tape")
    found = {one.what: one.count for one in manifest.findings}
    instrument = manifest.instrument
    assert tuple(Decimal(one) for one in steps) == (instrument.tick_size, instrument.lot_size)
    assert (manifest.groups, manifest.trades) == shape
    assert (found["snapshots"], found["gaps"], found["crossed"], found["malformed"], found["torn"]) == (1, 0, 0, 0, 0)


def test_the_head_of_geminis_seconds(recordings: Path, tmp_path: Path) -> None:
    for name in ("bbo1s", "trades"):
        with lzma.open(recordings / f"{GEMINI}{name}.csv.xz", "rb") as packed:
            (tmp_path / name).write_bytes(b"".join(islice(packed, 2_001)))
    terms = Terms(venue="gemini", symbol="ETHUSD")
    import_recording([tmp_path / "trades", tmp_path / "bbo1s"], tmp_path / "tape", terms=terms)
    manifest = check_tape(tmp_path / "tape")
    found = {one.what: one.count for one in manifest.findings if one.count}
    assert found == {"lines": 4_002, "rows": 2_000, "trades": 2_000, "silence_ns_max": found["silence_ns_max"]}
    assert (manifest.groups, manifest.trades) == (2_000, 2_000)
