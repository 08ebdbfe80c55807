"""The order lane's arms do the work that they claim; how quickly is not asked here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

import pytest

from benchmarks import order_lane, order_server, reaction
from benchmarks.order_lane import Runs, Taken
from benchmarks.rig import WrongWork
from benchmarks.rows import Bar

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server polls as Linux does")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    pytest.importorskip("uvloop")
    with order_server.running() as number:
        yield number


@pytest.mark.parametrize("lean", [False, True])
def test_orders_are_routed_acknowledged_and_withdrawn(port: int, *, lean: bool) -> None:
    ours = partial(order_lane.by_us, lean=lean)
    taken = order_lane.one_by_one(ours, port, 5)
    assert (len(taken.cpu), len(taken.wall)) == (5, 5)
    many = order_lane.in_batches(ours, port, 1, in_flight=order_lane.IN_FLIGHT)
    assert (len(many.cpu), len(many.wall)) == (1, order_lane.BATCH)


@pytest.mark.parametrize("arm", [order_lane.by_socket, order_lane.by_protocol, order_lane.by_httpx])
def test_orders_by_hand_are_acknowledged(port: int, arm: order_lane.Opened) -> None:
    assert len(order_lane.one_by_one(arm, port, 5).cpu) == 5


@pytest.mark.parametrize("arm", [reaction.by_hand, partial(reaction.by_us, lean=True)])
def test_a_book_in_reach_causes_one_order(port: int, arm: reaction.Opened) -> None:
    taken = reaction.reactions(arm, port, 3)
    assert (len(taken.cpu), len(taken.wall)) == (3, 3)
    assert min(taken.wall) > 0


def test_an_answer_to_another_order_is_wrong_work() -> None:
    hand = order_lane.ByHand()
    hand.target()
    with pytest.raises(WrongWork):
        hand.check(b'{"code":0,"data":{"order":{"clientOrderId":"another"}}}')


def test_a_reply_is_whole_when_its_length_is_there() -> None:
    reply = order_server.answer(b"POST", b"/openApi/swap/v2/trade/order?clientOrderId=a", 7)
    assert order_lane.whole(reply) == reply.partition(b"\r\n\r\n")[2]
    assert order_lane.whole(reply[:-1]) is None
    assert order_lane.whole(reply[:20]) is None


def test_rows_are_ratios_of_one_round() -> None:
    runs = Runs()
    runs.take(
        {"a": lambda: Taken([1.0, 3.0, 2.0], [10.0] * 3), "b": lambda: Taken([4.0], [5.0])},
        rounds=2,
        progress=lambda line: None,
    )
    row = runs.row("x", "a", "b", what="a", baseline="b", bar=Bar(0.6))
    assert (row.ratio.median, row.rounds, row.verdict) == (0.5, 2, "met")
    tail = runs.tail("y", "a", what="a", bar=Bar(3.0))
    assert (tail.ratio.median, tail.ours.median) == (1.0, 10.0)
