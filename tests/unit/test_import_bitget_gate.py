"""Bitget's and Gate's sockets as tapes: checksums without numbers, books that come beside the stream, signed trades."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from sor.errors import CallerError
from sor.lab.importers import Terms
from sor.units import MS
from tests.fakes.recorded import T, crc, imported, line, recv
from tests.fakes.tapes import Group, Traded, groups_in, trades_in

# --- Bitget -------------------------------------------------------------------------------------------------------

MIX, SPOT = "wss://ws.bitget.com/mix/v1/stream", "wss://ws.bitget.com/spot/v1/stream"
CONTRACT = {
    "baseCoin": "UNI",
    "quoteCoin": "USDT",
    "makerFeeRate": "0.0002",
    "takerFeeRate": "0.0006",
    "priceEndStep": "5",
    "pricePlace": "1",
    "volumePlace": "0",
}
PRODUCT = {
    "baseCoin": "UNI",
    "quoteCoin": "USDT",
    "makerFeeRate": "0.001",
    "takerFeeRate": "0.001",
    "priceScale": "1",
    "quantityScale": "2",
}


def bitget_listing(path: str, *rows: dict[str, str]) -> str:
    url = f"https://api.bitget.com/api/{path}"
    return line("http", -500, conn="BITGET.http.sync", url=url, data=json.dumps({"code": "00000", "data": rows}))


def bitget(
    at: int, channel: str, data: object, *, action: str = "update", kind: str = "mc", inst: str = "UNIUSDT"
) -> str:
    arg = {"instType": kind, "channel": channel, "instId": inst}
    return recv(at, {"action": action, "arg": arg, "data": data}, conn=f"BITGET.ws.{kind}")


def bitget_book(
    at: int, bids: list[list[str]], asks: list[list[str]], sum_of: str, *, action: str = "update", kind: str = "mc"
) -> str:
    row = {"bids": bids, "asks": asks, "checksum": crc(sum_of), "ts": str(T + at)}
    return bitget(at, "books", [row], action=action, kind=kind)


LISTINGS = (
    bitget_listing("mix/v1/market/contracts?productType=umcbl", {"symbol": "UNIUSDT_UMCBL", **CONTRACT}),
    bitget_listing("spot/v1/public/products", {"symbol": "UNIUSDT_SPBL", **PRODUCT}),
)
BITGET = (
    *LISTINGS,
    line("connect", -10, conn="BITGET.ws.mc", addr=MIX),
    line("connect", -10, conn="BITGET.ws.sp", addr=SPOT),
    bitget_book(0, [["99.5", "2"]], [["100.0", "3"]], "99.5:2:100.0:3", action="snapshot"),
    bitget_book(1, [["99.4", "1"]], [["99.6", "1.25"]], "99.4:1:99.6:1.25", action="snapshot", kind="sp"),
)


def test_bitgets_books_have_checksums_and_its_trades_no_ids(tmp_path: Path) -> None:
    rows = [[str(T + 60), "99.5", "1", "sell"], [str(T + 60), "99.5", "1", "sell"]]
    tape, found = imported(
        tmp_path,
        (
            *BITGET,
            bitget(5, "trade", [[str(T + 4), "99.5", "7", "buy"]], action="snapshot"),
            bitget(6, "ticker", [{"instId": "UNIUSDT", "bestBid": "99", "bestAsk": "101", "ts": T + 6}]),
            bitget(60, "trade", rows),
            bitget_book(100, [["99.50", "1"]], [["100.5", "4"]], "99.50:1:100.0:3:100.5:4"),
            bitget_book(200, [["99.5", "0"]], [], "something else"),
            bitget_book(300, [["99.5", "9"]], [], "unknown"),
        ),
        Terms(venue="bitget"),
    )
    assert groups_in(tape) == [
        Group(T * MS, T * MS, [(1, 199, 2), (-1, 200, 3)], True),
        Group((T + 100) * MS, (T + 100) * MS, [(1, 199, 1), (-1, 201, 4)], False),
        Group((T + 200) * MS, (T + 200) * MS, [], True),
    ]
    assert trades_in(tape) == [Traded((T + 60) * MS, (T + 60) * MS, -1, 199, 1)] * 2
    one = tape.instrument
    assert (one.symbol, one.venue, one.tick_size, one.lot_size) == ("UNIUSDT", "bitget", Decimal("0.5"), Decimal(1))
    assert (one.maker_fee_e8, one.taker_fee_e8) == (20_000, 60_000)
    assert (found["checksums"], found["checksums_wrong"], found["unplaced"]) == (3, 1, 1)
    assert (found["quotes_unused"], "duplicates" in found) == (1, False)


def test_bitgets_spot_is_a_market_of_its_own(tmp_path: Path) -> None:
    tape, _ = imported(tmp_path, BITGET, Terms(venue="bitget_spot"))
    assert groups_in(tape) == [Group((T + 1) * MS, (T + 1) * MS, [(1, 994, 100), (-1, 996, 125)], True)]
    assert (tape.instrument.venue, tape.instrument.maker_fee_e8) == ("bitget_spot", 100_000)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            (
                bitget_listing("mix/v1/market/contracts?productType=dmcbl", {"symbol": "UNIUSDT_DMCBL", **CONTRACT}),
                *BITGET[2:],
            ),
            "does not list UNIUSDT",
        ),
        (
            (*BITGET[:4], bitget_book(0, [["99.5", "2"]], [], "", action="snapshot", kind="USDT-FUTURES")),
            "holds no book",
        ),
    ],
)
def test_what_of_bitget_is_not_known_is_refused(tmp_path: Path, lines: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CallerError, match=sentence):
        imported(tmp_path, lines, Terms(venue="bitget"))


# --- Gate ---------------------------------------------------------------------------------------------------------

REST = "https://api.gateio.ws/api/v4/futures/usdt"
CONN = "GATEIO_FUTURES.ws.1"


def answer(at: int, path: str, data: object) -> str:
    return line("http", at, conn="GATEIO_FUTURES.http.0", url=f"{REST}/{path}", data=json.dumps(data))


def gate_listing(**fields: str) -> str:
    row = {"name": "BTC_USDT", "type": "direct", "order_price_round": "0.1", "quanto_multiplier": "0.0001"}
    fees = {"maker_fee_rate": "-0.0001", "taker_fee_rate": "0.0005"}
    return answer(-500, "contracts", [row | fees | fields])


def base(at: int, book_id: int, bids: list[tuple[str, int]], asks: list[tuple[str, int]]) -> str:
    """The answer of the REST interface with a book that was so 40 ms before."""
    levels = {"bids": [{"p": p, "s": s} for p, s in bids], "asks": [{"p": p, "s": s} for p, s in asks]}
    times = {"current": (T + at) / 1_000, "update": (T + at - 40) / 1_000}
    return answer(at, "order_book?contract=BTC_USDT&limit=100&with_id=true", {"id": book_id, **times, **levels})


def gate(at: int, channel: str, result: object) -> str:
    message = {"time": 1, "time_ms": T + at, "channel": f"futures.{channel}", "event": "update", "result": result}
    return recv(at, message, conn=CONN)


def update(at: int, first: int, last: int, *, bids: tuple[tuple[str, int], ...] = ()) -> str:
    levels = [{"p": p, "s": s} for p, s in bids]
    row = {"t": T + at - 5, "s": "BTC_USDT", "U": first, "u": last, "b": levels, "a": []}
    return gate(at, "order_book_update", row)


def ticker(at: int, last: int, bid: tuple[str, int], ask: tuple[str, int]) -> str:
    row = {"t": T + at - 5, "u": last, "s": "BTC_USDT", "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]}
    return gate(at, "book_ticker", row)


def trade(at: int, trade_id: int, size: int | str, *, internal: bool = False) -> str:
    row = {"contract": "BTC_USDT", "id": trade_id, "size": size, "price": "99.9", "create_time_ms": T + at - 5}
    return gate(at, "trades", [row | ({"is_internal": True} if internal else {})])


GATE = (gate_listing(), line("connect", -300, conn=CONN, addr="wss://fx-ws.gateio.ws/v4/ws/usdt"))
BOOK = ([("99.9", 5), ("99.8", 2)], [("100.1", 4)])
OF_BASE = [(1, 999, 5), (1, 998, 2), (-1, 1_001, 4)]


def told(at: int, levels: list[tuple[int, int, int]], *, known: int | None = None) -> Group:
    """A change that was made 5 ms before it was sent; received at `known` where it was held."""
    return Group((T + at - 5) * MS, (T + (at if known is None else known)) * MS, levels, False)


def test_gates_changes_wait_for_the_book_that_they_change(tmp_path: Path) -> None:
    tape, found = imported(
        tmp_path,
        (
            *GATE,
            base(50, 12, *BOOK),  # the recorder writes answers first; it came between two changes
            update(10, 9, 11, bids=(("99.9", 1),)),  # in the book already
            update(20, 12, 14, bids=(("99.9", 7),)),  # reaches over it
            update(30, 15, 15, bids=(("99.8", 0),)),
            base(60, 15, [("1.0", 1)], [("2.0", 1)]),  # a poll while the book is known
            update(90, 16, 18, bids=(("99.7", 3),)),
            update(90, 16, 18, bids=(("99.7", 3),)),
        ),
    )
    assert groups_in(tape) == [
        Group((T + 10) * MS, (T + 50) * MS, OF_BASE, True),
        told(20, [(1, 999, 7)], known=50),
        told(30, [(1, 998, 0)], known=50),
        told(90, [(1, 997, 3)]),
    ]
    assert (found["snapshots"], found["changes"], found["too_old"], found["snapshots_unused"]) == (1, 3, 1, 1)
    assert found["duplicates"] == 1
    assert not {"unplaced", "recv_raised"} & set(found)
    one = tape.instrument
    assert (one.venue, one.multiplier, one.lot_size, one.base) == ("gate", Decimal("0.0001"), Decimal(1), "BTC")
    assert (one.maker_fee_e8, one.taker_fee_e8, one.inverse) == (-10_000, 50_000, False)


def test_a_change_that_is_missing_loses_gates_book_until_the_next_answer(tmp_path: Path) -> None:
    tape, found = imported(
        tmp_path,
        (
            *GATE,
            base(50, 12, *BOOK),
            update(60, 14, 14, bids=(("99.9", 7),)),  # 13 is missing
            update(70, 15, 15, bids=(("99.9", 8),)),
            base(80, 14, [("99.9", 7)], [("100.1", 4)]),
            base(200, 20, [("99.5", 1)], [("100.1", 4)]),
            update(210, 16, 17, bids=(("99.9", 9),)),
            update(220, 17, 18, bids=(("99.9", 2),)),  # 17 is in it twice: only the first after an answer may be so
        ),
    )
    assert [(one.levels, one.snapshot) for one in groups_in(tape)] == [
        (OF_BASE, True),
        ([], True),
        ([(1, 999, 7), (-1, 1_001, 4)], True),
        ([(1, 999, 8)], False),
        ([(1, 999, 9)], False),
        ([], True),
    ]
    assert (found["gaps"], found["snapshots"], found["too_old"], found["snapshots_unused"]) == (2, 2, 1, 1)


def test_an_answer_after_the_last_message_and_those_of_other_markets(tmp_path: Path) -> None:
    other = base(50, 12, [("1.0", 1)], [("2.0", 1)]).replace("futures/usdt", "futures/btc")
    lines = (*GATE, other, update(60, 13, 13, bids=(("99.9", 7),)), base(70, 12, *BOOK))
    tape, _ = imported(tmp_path, lines, Terms(venue="gate"))
    assert [(one.levels, one.snapshot) for one in groups_in(tape)] == [(OF_BASE, True), ([(1, 999, 7)], False)]


def test_gates_quotes_are_in_one_order_with_its_changes(tmp_path: Path) -> None:
    tape, found = imported(
        tmp_path,
        (
            *GATE,
            base(50, 12, *BOOK),
            ticker(60, 12, ("99.9", 1), ("100.1", 1)),  # of the book itself
            ticker(70, 13, ("99.9", 6), ("100.1", 4)),
            update(90, 13, 14, bids=(("99.9", 3),)),
        ),
    )
    assert groups_in(tape)[1:] == [told(70, [(1, 999, 6)]), told(90, [(1, 999, 3)])]
    assert (found["quotes"], found["quotes_unused"]) == (2, 1)


def test_the_sign_of_gates_sizes_is_the_takers_side(tmp_path: Path) -> None:
    lines = (
        *GATE,
        base(50, 12, *BOOK),
        trade(60, 1, -3),
        trade(60, 1, -3),
        trade(70, 2, "2"),
        trade(80, 3, 5, internal=True),
    )
    tape, found = imported(tmp_path, lines)
    assert [(one.side, one.lots) for one in trades_in(tape)] == [(-1, 3), (1, 2)]
    assert (found["duplicates"], found["off_book"]) == (1, 1)


def test_gates_newer_channel_sends_its_own_snapshots(tmp_path: Path) -> None:
    whole = {"t": T, "full": True, "s": "ob.BTC_USDT.50", "u": 12, "b": [["99.9", "5"]], "a": [["100.1", "4"]]}
    after = {"t": T + 10, "s": "ob.BTC_USDT.50", "U": 13, "u": 13, "b": [["99.9", "0"], ["99.8", "2"]]}
    tape, _ = imported(tmp_path, (*GATE, gate(0, "obu", whole), gate(10, "obu", after)))
    assert [(one.levels, one.snapshot) for one in groups_in(tape)] == [
        ([(1, 999, 5), (-1, 1_001, 4)], True),
        ([(1, 999, 0), (1, 998, 2)], False),
    ]


def test_a_refused_answer_is_no_book(tmp_path: Path) -> None:
    refused = answer(50, "order_book?contract=BTC_USDT&with_id=true", {"label": "TOO_MANY_REQUESTS"})
    with pytest.raises(CallerError, match="no snapshot of BTCUSDT"):
        imported(tmp_path, (*GATE, refused, update(60, 13, 13, bids=(("99.9", 7),))))


def test_gates_inverse_contracts_are_of_one_dollar(tmp_path: Path) -> None:
    listing = gate_listing(name="BTC_USD", type="inverse", quanto_multiplier="0").replace("usdt", "btc")
    opened = line("connect", -300, conn=CONN, addr="wss://fx-ws.gateio.ws/v4/ws/btc")
    lines = (listing, opened, base(50, 12, *BOOK), update(60, 13, 13, bids=(("99.9", 7),)))
    text = tuple(one.replace("BTC_USDT", "BTC_USD").replace("futures/usdt", "futures/btc") for one in lines)
    tape, _ = imported(tmp_path, text)
    one = tape.instrument
    assert (one.venue, one.inverse, one.multiplier, one.settle) == ("gate_btc", True, Decimal(1), "BTC")
    assert [one.levels for one in groups_in(tape)] == [OF_BASE, [(1, 999, 7)]]
