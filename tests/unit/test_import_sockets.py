"""Raw sockets as tapes: the venues' sequences and checksums, quotes over the book, reconnects, and what is refused."""

from __future__ import annotations

import json
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from sor.errors import CallerError
from sor.lab.importers import Terms, import_recording
from sor.tape import open_tape
from sor.units import MS
from tests.fakes.recorded import T, crc, imported, line, recv, written
from tests.fakes.tapes import Group, Traded, groups_in, trades_in

LINEAR = "wss://stream.bybit.com/v5/public/linear"


def bybit_book(
    at: int, update: int, bids: list[list[str]], asks: list[list[str]], *, kind: str = "delta", symbol: str = "BTCUSDT"
) -> str:
    data = {"s": symbol, "b": bids, "a": asks, "u": update, "seq": 1_000 + at}
    return recv(at, {"topic": f"orderbook.50.{symbol}", "type": kind, "ts": T + at, "data": data, "cts": T + at - 2})


def bybit_trade(at: int, trade_id: str, side: str, price: str, size: str) -> str:
    row = {"T": T + at, "s": "BTCUSDT", "S": side, "v": size, "p": price, "i": trade_id, "BT": False, "seq": 1}
    return recv(at, {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": T + at, "data": [row]})


def bybit_ticker(at: int, kind: str, **fields: str) -> str:
    data = {"symbol": "BTCUSDT", **fields}
    return recv(at, {"topic": "tickers.BTCUSDT", "type": kind, "ts": T + at, "cs": 1_000 + at, "data": data})


LISTED = line(
    "http",
    -500,
    conn="BYBIT.http.1",
    url="https://api.bybit.com/v5/market/instruments-info?category=linear",
    data=json.dumps(
        {
            "retCode": 0,
            "result": {
                "category": "linear",
                "list": [
                    {
                        "symbol": "BTCUSDT",
                        "baseCoin": "BTC",
                        "quoteCoin": "USDT",
                        "settleCoin": "USDT",
                        "priceFilter": {"tickSize": "0.10"},
                        "lotSizeFilter": {"qtyStep": "0.001", "minNotionalValue": "5"},
                    }
                ],
            },
        }
    ),
)
OPENED = line("connect", -10, addr=LINEAR)
SNAPSHOT = bybit_book(0, 7, [["99.9", "2"], ["99.8", "1"]], [["100.1", "1.5"], ["100.2", "3"]], kind="snapshot")
BYBIT = (LISTED, OPENED, SNAPSHOT)


def group(at: int, levels: list[tuple[int, int, int]], *, snapshot: bool = False) -> Group:
    """A group of Bybit's, received 2 ms after the engine's time: the clock offset is 100 ms throughout."""
    return Group((T + at - 2) * MS, (T + at) * MS, levels, snapshot)


BEGUN = group(0, [(1, 999, 2_000), (1, 998, 1_000), (-1, 1_001, 1_500), (-1, 1_002, 3_000)], snapshot=True)


def test_bybits_deltas_and_trades(tmp_path: Path) -> None:
    tape, found = imported(
        tmp_path,
        (
            bybit_trade(-30, "old", "Buy", "100.1", "1"),
            *BYBIT,
            bybit_book(50, 1, [["5.0", "1"]], [["6.0", "1"]], kind="snapshot", symbol="ETHUSDT"),
            bybit_trade(60, "a", "Sell", "99.9", "0.5"),
            bybit_trade(60, "a", "Sell", "99.9", "0.5"),
            bybit_book(100, 8, [["99.9", "1.5"], ["99.8", "1"], ["99.7", "4"]], [["100.2", "0"]]),
            recv(110, {"topic": "kline.1.BTCUSDT", "type": "snapshot", "ts": T, "data": []}),
        ),
        Terms(symbol="btc-usdt"),
    )
    assert groups_in(tape) == [BEGUN, group(100, [(1, 999, 1_500), (1, 997, 4_000), (-1, 1_002, 0)])]
    assert trades_in(tape) == [Traded((T + 60) * MS, (T + 60) * MS, -1, 999, 500)]
    assert (tape.instrument.venue, tape.instrument.tick_size, tape.instrument.min_notional) == (
        "bybit",
        Decimal("0.10"),
        Decimal(5),
    )
    assert (found["snapshots"], found["changes"], found["trades"]) == (1, 1, 3)
    assert (found["trades_early"], found["duplicates"]) == (1, 1)
    assert "gaps" not in found


def test_a_quote_lies_over_the_book_until_the_next_change(tmp_path: Path) -> None:
    tape, found = imported(
        tmp_path,
        (
            *BYBIT,
            # The bid fell behind 99.9, which the next change does not mention: it had come back by then.
            bybit_ticker(30, "snapshot", bid1Price="99.8", bid1Size="6", ask1Price="100.1", ask1Size="1.5"),
            bybit_ticker(40, "delta", ask1Size="1"),
            bybit_ticker(-5, "delta", ask1Size="8"),  # older than the book
            bybit_book(100, 8, [], [["100.1", "1"]]),
        ),
    )
    assert groups_in(tape)[1:] == [
        Group((T + 30) * MS, (T + 30) * MS, [(1, 998, 6_000), (1, 999, 0)]),
        Group((T + 40) * MS, (T + 40) * MS, [(-1, 1_001, 1_000)]),
        group(100, [(1, 998, 1_000), (1, 999, 2_000)]),
    ]
    assert (found["quotes"], found["quotes_unused"]) == (3, 1)


def test_a_gap_loses_the_book_until_the_next_snapshot(tmp_path: Path) -> None:
    tape, found = imported(
        tmp_path,
        (
            *BYBIT,
            bybit_book(100, 8, [["99.9", "1"]], []),
            bybit_book(100, 8, [["99.9", "1"]], []),
            bybit_book(200, 10, [["99.9", "7"]], []),
            bybit_book(300, 11, [["99.9", "8"]], []),
            bybit_book(400, 1, [["99.5", "1"]], [["99.6", "1"]]),  # the service began anew
            bybit_book(500, 2, [["99.5", "2"]], []),
        ),
    )
    assert groups_in(tape) == [
        BEGUN,
        group(100, [(1, 999, 1_000)]),
        group(200, [], snapshot=True),
        group(400, [(1, 995, 1_000), (-1, 996, 1_000)], snapshot=True),
        group(500, [(1, 995, 2_000)]),
    ]
    assert (found["gaps"], found["duplicates"], found["unplaced"]) == (1, 1, 2)


def test_a_connection_that_is_opened_anew_has_lost_the_book(tmp_path: Path) -> None:
    again = line("connect", 150, addr=LINEAR)
    tape, found = imported(tmp_path, (*BYBIT, again, bybit_book(200, 8, [["99.9", "1"]], [])))
    assert groups_in(tape) == [BEGUN, Group(BEGUN.venue_ns, (T + 150) * MS, [], True)]
    assert (found["reconnects"], found["unplaced"]) == (1, 1)


def test_a_connection_that_is_opened_anew_before_there_was_a_book_has_lost_none(tmp_path: Path) -> None:
    early = bybit_book(-5, 6, [["99.9", "1"]], [])
    tape, found = imported(tmp_path, (LISTED, OPENED, early, line("connect", -3, addr=LINEAR), SNAPSHOT))
    assert groups_in(tape) == [BEGUN]
    assert found["unplaced"] == 1
    assert "reconnects" not in found


def test_a_crossing_delta_loses_the_book_unless_repair_is_asked_for(tmp_path: Path) -> None:
    lines = (*BYBIT, bybit_book(100, 8, [["100.1", "1"]], []))
    tape, found = imported(tmp_path, lines)
    assert groups_in(tape) == [BEGUN, group(100, [], snapshot=True)]
    assert found["crossed"] == 1
    tape, found = imported(tmp_path, lines, Terms(repair=True))
    assert groups_in(tape) == [BEGUN, group(100, [(1, 1_001, 1_000), (-1, 1_001, 0)])]
    assert (found["crossed"], found["crossed_repaired"]) == (1, 1)


def test_bybits_history_is_the_messages_alone(tmp_path: Path) -> None:
    message = json.loads(json.loads(SNAPSHOT)["data"])
    with zipfile.ZipFile(tmp_path / "history.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("2026_BTCUSDT.data", json.dumps(message, separators=(",", ":")) + "\n")
    steps = Terms(tick=Decimal("0.1"), lot=Decimal("0.001"))
    import_recording([tmp_path / "history.zip"], tmp_path / "tape", terms=steps)
    tape = open_tape(tmp_path / "tape")
    assert groups_in(tape) == [BEGUN]
    with pytest.raises(CallerError, match="one clock only"):
        import_recording(
            [tmp_path / "history.zip"],
            tmp_path / "other",
            terms=Terms(tick=Decimal("0.1"), lot=Decimal("0.001"), clock_offset_ns=5),
        )


def test_a_zip_of_several_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a", "x")
        archive.writestr("b", "x")
    with pytest.raises(CallerError, match="holds 2 files; nothing was written"):
        import_recording([tmp_path / "two.zip"], tmp_path / "tape")


# --- OKX ----------------------------------------------------------------------------------------------------------

OKX_LISTED = line(
    "http",
    -500,
    conn="OKX.http.sync",
    url="https://www.okx.com/api/v5/public/instruments?instType=SWAP",
    data=json.dumps(
        {
            "code": "0",
            "data": [
                {
                    "instId": "BTC-USD-SWAP",
                    "instType": "SWAP",
                    "tickSz": "0.1",
                    "lotSz": "1",
                    "ctType": "inverse",
                    "ctVal": "100",
                    "ctMult": "1",
                    "settleCcy": "BTC",
                }
            ],
        }
    ),
)


def okx_book(
    at: int,
    bids: list[list[str]],
    asks: list[list[str]],
    *,
    action: str = "update",
    seq: tuple[int, int] | None = None,
    checksum: int = 0,
) -> str:
    data: dict[str, object] = {"bids": bids, "asks": asks, "ts": str(T + at), "checksum": checksum}
    if seq is not None:
        data |= {"prevSeqId": seq[0], "seqId": seq[1]}
    arg = {"channel": "books", "instId": "BTC-USD-SWAP"}
    return recv(at, {"arg": arg, "action": action, "data": [data]}, conn="OKX.ws.1")


BIDS, ASKS = [["99.9", "2", "0", "1"], ["99.8", "1", "0", "1"]], [["100.1", "15", "0", "1"]]


def test_okxs_checksums_are_those_of_the_text_as_it_came(tmp_path: Path) -> None:
    tape, found = imported(
        tmp_path,
        (
            OKX_LISTED,
            okx_book(0, BIDS, ASKS, action="snapshot", checksum=crc("99.9:2:100.1:15:99.8:1")),
            okx_book(100, [["99.90", "3", "0", "1"]], [], checksum=crc("99.90:3:100.1:15:99.8:1")),
            okx_book(200, [["99.8", "0", "0", "0"]], [], checksum=crc("99.90:3:100.1:15:99.8:1")),
            okx_book(300, [["99.7", "1", "0", "1"]], [], checksum=1),
        ),
    )
    assert [(one.levels, one.snapshot) for one in groups_in(tape)] == [
        ([(1, 999, 2), (1, 998, 1), (-1, 1_001, 15)], True),
        ([(1, 999, 3)], False),
        ([], True),
    ]
    assert (found["checksums"], found["checksums_wrong"], found["unplaced"]) == (3, 1, 1)
    assert (tape.instrument.inverse, tape.instrument.multiplier) == (True, Decimal(100))


def test_okxs_sequence_may_stand_still_or_begin_anew(tmp_path: Path) -> None:
    tape, found = imported(
        tmp_path,
        (
            OKX_LISTED,
            okx_book(0, BIDS, ASKS, action="snapshot", seq=(-1, 10)),
            okx_book(100, [], [], seq=(10, 10)),  # nothing for a minute
            okx_book(200, [["99.9", "3", "0", "1"]], [], seq=(10, 4)),  # maintenance
            okx_book(300, [["99.9", "4", "0", "1"]], [], seq=(4, 12)),
            okx_book(400, [["99.9", "5", "0", "1"]], [], seq=(13, 14)),
        ),
    )
    assert [(one.levels, one.snapshot) for one in groups_in(tape)[1:]] == [
        ([(1, 999, 3)], False),
        ([(1, 999, 4)], False),
        ([], True),
    ]
    assert found["gaps"] == 1
    assert "checksums" not in found


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "terms", "sentence"),
    [
        (
            (*BYBIT, bybit_book(5, 1, [["5.0", "1"]], [["6.0", "1"]], kind="snapshot", symbol="ETHUSDT")),
            Terms(),
            "holds BTCUSDT of bybit, ETHUSDT of bybit; .* name it with --symbol",
        ),
        (BYBIT, Terms(symbol="SOLUSDT"), "holds BTCUSDT of bybit; nothing was written"),
        (BYBIT, Terms(venue="bybit_spot"), "holds BTCUSDT of bybit; nothing was written"),
        (BYBIT[1:], Terms(), "does not list BTCUSDT; nothing was written. State its --tick and --lot"),
        (BYBIT[:2], Terms(), "holds no book; nothing was written"),
        ((*BYBIT[:2], bybit_book(0, 8, [["99.9", "1"]], [])), Terms(), "holds no snapshot of BTCUSDT"),
        ((line("recv", 0, conn="MYEX.ws.1", data="{}"),), Terms(), "is of MYEX; nothing was written. Raw sockets are"),
        ((*BYBIT, '{"t":"recv","conn":"BYBIT.ws.1"', BYBIT[1]), Terms(strict=True), "line 4 of sockets cannot be read"),
        ((*BYBIT, bybit_book(9, 8, [["99.95", "1"]], [])), Terms(), "price 99.95 is off the step of 0.10"),
    ],
)
def test_what_cannot_be_a_tape_is_refused(tmp_path: Path, lines: tuple[str, ...], terms: Terms, sentence: str) -> None:
    with pytest.raises(CallerError, match=sentence):
        imported(tmp_path, lines, terms)
    assert not (tmp_path / "tape").exists()


def test_bad_lines_are_counted_and_named_by_their_place_in_their_file(tmp_path: Path) -> None:
    first = written(tmp_path / "a", BYBIT)
    second = written(tmp_path / "b", (bybit_book(100, 8, [["99.9", "1"]], []), "{", recv(1, {"topic": 3}), OPENED))
    manifest = import_recording([second, first], tmp_path / "tape")
    (malformed,) = [one for one in manifest.findings if one.what == "malformed"]
    assert malformed.count == 2
    assert malformed.note.endswith("line 2 of b, line 3 of b")


# --- Binance in an envelope ---------------------------------------------------------------------------------------


def binance(kind: str, at: int, **fields: str) -> str:
    return line(kind, at, conn="BINANCE_FUTURES.ws.1", **fields)


def binance_diff(at: int, prev: int, last: int, bids: list[list[str]], *, symbol: str = "SOLUSDT") -> str:
    data = {"e": "depthUpdate", "E": T + at, "T": T + at, "s": symbol, "U": prev + 1, "u": last, "pu": prev, "b": bids}
    message = {"stream": f"{symbol.lower()}@depth@100ms", "data": data | {"a": []}}
    return binance("recv", at, data=json.dumps(message))


def filters(symbol: str) -> dict[str, object]:
    steps = [{"filterType": "PRICE_FILTER", "tickSize": "0.10"}, {"filterType": "LOT_SIZE", "stepSize": "1"}]
    return {"symbol": symbol, "filters": steps}


DEPTH = json.dumps({"lastUpdateId": 10, "T": T, "bids": [["99.9", "2"]], "asks": [["100.1", "1"]]})
BINANCE = (
    binance("http", -9, url="https://x/fapi/v1/exchangeInfo", data=json.dumps({"symbols": [filters("SOLUSDT")]})),
    binance_diff(-5, 8, 9, [["99.9", "1"]]),
    binance("http", 0, url="https://x/fapi/v1/depth?symbol=SOLUSDT&limit=1000", data=DEPTH),
    binance("http", 1, url="https://x/fapi/v1/depth?symbol=SOLUSD&limit=1000", data=DEPTH),
    binance_diff(10, 9, 12, [["99.9", "3"]]),
    binance_diff(15, 1, 2, [["5.0", "1"]], symbol="ADAUSDT"),
    "{",
    binance_diff(20, 12, 14, [["99.8", "4"]]),
)


def test_binances_messages_come_out_of_an_envelope(tmp_path: Path) -> None:
    file = written(tmp_path / "sockets", BINANCE)
    manifest = import_recording([file], tmp_path / "tape", terms=Terms(symbol="SOL-USDT"))
    assert [one.levels for one in groups_in(open_tape(tmp_path / "tape"))] == [
        [(1, 999, 2), (-1, 1_001, 1)],
        [(1, 999, 3)],
        [(1, 998, 4)],
    ]
    found = {one.what: one for one in manifest.findings}
    assert (found["diffs"].count, found["snapshots"].count, found["malformed"].count) == (3, 1, 1)
    assert found["malformed"].note.endswith("line 7 of sockets")
    with pytest.raises(CallerError, match=r"holds ADAUSDT, SOLUSDT; nothing was written. .* name it with --symbol"):
        import_recording([file], tmp_path / "other")
