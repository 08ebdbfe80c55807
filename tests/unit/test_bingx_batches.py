"""A batch of cancels, as BingX answers it and as the emulator does: what it means for each order in it."""

import json
from urllib.parse import parse_qsl

import pytest

from sor.adapter import OrderRef
from sor.ids import ClOrdId, Symbol, VenueOrderId
from sor.orders import OrdStatus, RejectKind
from sor.units import NS
from tests.fakes.bingx import RECV_NS, answer, btc, contract, listings
from tests.fakes.bingx_face import Face, Reply
from venues.bingx import wire
from venues.bingx.batches import each_canceled
from venues.bingx.emulator.emulator import EmulatorSettings
from venues.bingx.emulator.limits import Excess, LimitRules
from venues.bingx.errors import Asked, Cause, Outcome, Verdict, judge_answer
from venues.bingx.orders import OrderNews, read_canceled_many

SYMBOL = Symbol("BTCUSDT")
PATH = "v2/trade/batchOrders"
LISTED = listings(contract(quantityPrecision=4))


def ref(order_id: str, cl_ord_id: str) -> OrderRef:
    return OrderRef(cl_ord_id=ClOrdId(cl_ord_id), venue_order_id=VenueOrderId(order_id), symbol=SYMBOL)


def rest(face: Face, *names: str) -> list[OrderRef]:
    """Orders that rest far below the market."""
    placed: list[OrderRef] = []
    for name in names:
        reply = face.order(type="LIMIT", price="50000", timeInForce="GTC", clientOrderId=name)
        placed.append(ref(str(reply.at("order", "orderId")), name))
    return placed


def cancel(face: Face, refs: list[OrderRef]) -> Reply:
    said = dict(parse_qsl(wire.cancel_batch(refs, btc()).params))
    return face.call("DELETE", PATH, **said)


def heard(reply: Reply, refs: list[OrderRef]) -> tuple[OrderNews | Verdict, ...]:
    """What our side makes of an answer."""
    failed = judge_answer(status=reply.status, body=reply.raw.body, asked=Asked.CANCEL)
    return each_canceled(refs, failed or read_canceled_many(reply.raw.body, LISTED, RECV_NS))


def resting(face: Face) -> list[object]:
    rows = face.call("GET", "v2/trade/openOrders").at("orders")
    assert isinstance(rows, list)
    return [row["clientOrderId"] for row in rows]


@pytest.mark.parametrize("excess", list(Excess))
def test_a_batch_that_is_rate_limited_leaves_every_order_as_it_was(excess: Excess) -> None:
    face = Face(EmulatorSettings(limits=LimitRules(excess=excess, pause_ns=2 * NS)))
    refs = rest(face, "sor-1", "sor-2", "sor-3")
    for _ in range(5):
        cancel(face, [ref("", "sor-nobody-0")])
    legs = heard(cancel(face, refs), refs)
    for leg in legs:
        assert isinstance(leg, Verdict)
        assert (leg.outcome, leg.reject, leg.cause) == (Outcome.RETRY_LATER, RejectKind.RATE_LIMITED, Cause.RATE)
        assert leg.pause_ns == 300 * NS
    assert len(legs) == 3
    assert sorted(map(str, resting(face))) == ["sor-1", "sor-2", "sor-3"]
    face.run(2_000)
    assert all(isinstance(leg, OrderNews) for leg in heard(cancel(face, refs), refs))
    assert resting(face) == []


def test_a_batch_that_is_refused_in_part_has_a_verdict_for_each_order() -> None:
    face = Face()
    refs = [*rest(face, "sor-1", "sor-2"), ref("7", "sor-gone-7")]
    face.call("DELETE", "v2/trade/order", symbol="BTC-USDT", orderId=refs[1].venue_order_id)
    gone, again, unknown = heard(cancel(face, refs), refs)
    assert isinstance(gone, OrderNews)
    assert (gone.status, gone.final) == (OrdStatus.CANCELED, False)  # by its word; a push or a lookup has to confirm it
    assert isinstance(again, Verdict)
    assert isinstance(unknown, Verdict)
    assert (again.code, again.reject) == ("109422", RejectKind.TOO_LATE)
    assert unknown.reject is RejectKind.UNKNOWN_ORDER
    assert resting(face) == []


def test_the_orders_of_a_batch_are_told_apart_by_either_id() -> None:
    row = {"symbol": "BTC-USDT", "orderId": 11, "status": "CANCELLED", "clientOrderId": "", "side": "BUY"}
    row |= {"type": "LIMIT", "origQty": "0.001", "price": "50000", "executedQty": "0"}
    limited = {"orderId": 0, "clientOrderId": "SOR-2", "errorCode": 100410, "errorMessage": "too many"}
    full = {"orderId": 13, "clientOrderId": "", "errorCode": "109422", "errorMessage": "filled"}
    body = answer({"success": [row], "failed": [limited, full]})
    refs = [ref("13", "sor-3"), ref("12", "sor-2"), ref("11", "sor-1")]
    third, second, first = each_canceled(refs, read_canceled_many(body, LISTED, RECV_NS))
    assert isinstance(first, OrderNews)
    assert isinstance(second, Verdict)
    assert isinstance(third, Verdict)
    assert (second.outcome, second.code, second.text) == (Outcome.RETRY_LATER, "100410", "too many")
    assert (third.reject, third.code) == (RejectKind.TOO_LATE, "109422")


@pytest.mark.parametrize(
    "failed",
    [
        [],
        [{"orderId": 12, "errorCode": 101212, "errorMessage": "Insufficient available amount"}],
        [{"orderId": 12, "errorCode": "", "errorMessage": ""}],
        [{"orderId": 12, "errorCode": "one", "errorMessage": ""}],
        [{"orderId": 12, "errorCode": 424242, "errorMessage": "new"}],
    ],
)
def test_an_order_of_a_batch_of_which_nothing_is_said_is_in_doubt(failed: list[dict[str, object]]) -> None:
    body = answer({"success": None, "failed": json.loads(json.dumps(failed))})
    (leg,) = each_canceled([ref("12", "sor-2")], read_canceled_many(body, LISTED, RECV_NS))
    assert isinstance(leg, Verdict)
    assert leg.outcome is Outcome.IN_DOUBT
