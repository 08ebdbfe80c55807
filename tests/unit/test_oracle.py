"""The oracle on books written by hand: each wrong it knows, alone, and what must not look like one."""

import msgspec
import pytest

from sor.adapter import VenueOrder
from sor.errors import CallerError
from sor.ids import ClOrdId, ExecId, ParentId, Symbol
from sor.orders import Side
from sor.sim.oracle import Asked, Claimed, Verdict, judge

BTC = Symbol("BTCUSDT")
CLEAN = Verdict(overfills=0, overcommitted=0, orphans=0, double_fills=0, missed_fills=0, unknown_orders=0, details=())


def asked(parent: str = "P1", qty: int = 100, *, terminal: bool = True, side: Side = Side.BUY) -> Asked:
    return Asked(parent_id=ParentId(parent), symbol=BTC, side=side, qty_lots=qty, terminal=terminal)


def claimed(parent: str, lots: int, *exec_ids: str) -> Claimed:
    return Claimed(parent_id=ParentId(parent), filled_lots=lots, exec_ids=tuple(map(ExecId, exec_ids)))


def order(cl_ord_id: str, filled: int, *exec_ids: str, leaves: int = 0, side: Side = Side.BUY) -> VenueOrder:
    return VenueOrder(
        cl_ord_id=ClOrdId(cl_ord_id),
        symbol=BTC,
        side=side,
        order_lots=filled + leaves,
        filled_lots=filled,
        leaves_lots=leaves,
        exec_ids=exec_ids,
    )


def verdict(parents: list[Asked], claims: list[Claimed], books: list[VenueOrder], foreign: str = "") -> Verdict:
    """Judge with the owner of `P1.2` being P1; those in `foreign` were never recorded."""
    owners = {one.cl_ord_id: ParentId(one.cl_ord_id.partition(".")[0]) for one in books if one.cl_ord_id not in foreign}
    return judge(asked=parents, claimed=claims, owners=owners, books=books)


def wrong(**fields: int | tuple[str, ...]) -> Verdict:
    return msgspec.structs.replace(CLEAN, **fields)


def test_a_good_run_is_clean() -> None:
    found = verdict(
        [asked(), asked("P2", 50, side=Side.SELL), asked("P3", 10, terminal=False), asked("P4")],
        [claimed("P1", 100, "x1", "x2", "x3"), claimed("P2", 20, "x4"), claimed("P3", 4, "x6")],
        [
            order("P1.1", 60, "x1", "x2"),
            order("P2.1", 20, "x4", side=Side.SELL),
            order("P1.2", 40, "x3"),
            order("P3.1", 4, "x6", leaves=6),
        ],
    )
    assert found == CLEAN
    assert found.clean


def test_filled_beyond_what_was_asked_for() -> None:
    found = verdict([asked()], [claimed("P1", 110, "x1", "x2")], [order("P1.1", 100, "x1"), order("P1.2", 10, "x2")])
    assert found == wrong(overfills=1, details=("overfill: P1 asked for 100 lots, the venue filled 110",))
    assert not found.clean


def test_live_orders_that_could_overfill() -> None:
    found = verdict([asked(terminal=False)], [claimed("P1", 60, "x1")], [order("P1.1", 60, "x1", leaves=41)])
    text = "overcommitted: P1 asked for 100 lots, the venue filled 60 and holds orders for 41 more"
    assert found == wrong(overcommitted=1, details=(text,))


def test_a_live_order_of_a_parent_that_is_over() -> None:
    books = [order("P1.1", 0, leaves=10), order("P1.2", 5, "x1", leaves=5), order("P1.3", 7, "x2")]
    assert verdict([asked()], [claimed("P1", 12, "x1", "x2")], books) == wrong(
        orphans=2,
        details=(
            "orphan: P1 is over, its order P1.1 rests with 10 lots",
            "orphan: P1 is over, its order P1.2 rests with 5 lots",
        ),
    )


def test_an_exec_id_counted_twice() -> None:
    found = verdict([asked()], [claimed("P1", 40, "x1", "x1")], [order("P1.1", 20, "x1")])
    assert found == wrong(
        double_fills=2,
        details=(
            "double fill: P1 counted x1 x 2, the venue gave it x 1",
            "double fill: P1 counted 40 lots, the venue filled 20",
        ),
    )


def test_a_fill_counted_for_two_parents() -> None:
    found = verdict(
        [asked(), asked("P2")],
        [claimed("P1", 20, "x1"), claimed("P2", 20, "x1")],
        [order("P1.1", 20, "x1"), order("P2.1", 0)],
    )
    assert found == wrong(
        double_fills=2,
        details=(
            "double fill: P2 counted x1 x 1, the venue gave it x 0",
            "double fill: P2 counted 20 lots, the venue filled 0",
        ),
    )


def test_a_fill_that_was_never_counted() -> None:
    found = verdict([asked()], [], [order("P1.1", 20, "x1")])
    assert found == wrong(missed_fills=1, details=("missed fill: P1 counted 0 lots, the venue filled 20",))


def test_an_inferred_fill_is_no_wrong() -> None:
    assert verdict([asked()], [claimed("P1", 30, "x1")], [order("P1.1", 30, "x1", "x2")]).clean


def test_two_parents_may_trade_with_each_other_under_one_exec_id() -> None:
    found = verdict(
        [asked(), asked("P2", side=Side.SELL)],
        [claimed("P1", 5, "x1"), claimed("P2", 5, "x1")],
        [order("P1.1", 5, "x1"), order("P2.1", 5, "x1", side=Side.SELL)],
    )
    assert found.clean


@pytest.mark.parametrize(
    ("books", "text"),
    [
        ([order("P1.9", 0, leaves=3)], "P1.9 (BUY 3 lots of BTCUSDT, 0 filled) belongs to no parent"),
        ([order("P7.1", 0)], "P7.1 (BUY 0 lots of BTCUSDT, 0 filled) belongs to no parent"),
        (
            [order("P1.1", 4, "x1", side=Side.SELL)],
            "P1.1 (SELL 4 lots of BTCUSDT, 4 filled) is of P1, which is BUY BTCUSDT",
        ),
        (
            [order("P1.1", 0), order("P1.1", 0)],
            "P1.1 (BUY 0 lots of BTCUSDT, 0 filled) of P1 was accepted twice under one id",
        ),
    ],
)
def test_orders_that_nobody_asked_for(books: list[VenueOrder], text: str) -> None:
    assert verdict([asked()], [], books, foreign="P1.9") == wrong(unknown_orders=1, details=(f"unknown order: {text}",))


def test_an_order_accepted_twice_still_fills_its_parent() -> None:
    found = verdict([asked()], [claimed("P1", 100, "x1")], [order("P1.1", 100, "x1"), order("P1.1", 100, "x2")])
    assert (found.unknown_orders, found.overfills, found.missed_fills) == (1, 1, 1)


@pytest.mark.parametrize(
    ("parents", "claims"),
    [
        ([asked(), asked()], []),
        ([asked()], [claimed("P1", 0), claimed("P1", 0)]),
        ([asked()], [claimed("P2", 5)]),
    ],
)
def test_senseless_questions_are_refused(parents: list[Asked], claims: list[Claimed]) -> None:
    with pytest.raises(CallerError, match="nothing was judged"):
        judge(asked=parents, claimed=claims, owners={}, books=[])
