from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.adapter import NewOrder, Reach, Request, RequestFailed
from sor.errors import CallerError
from sor.ids import ClOrdId, ExecId, Symbol, VenueOrderId
from sor.orders import ExecType, ExecutionReport, FeeSource, OrdStatus, OrdType, Provenance, RejectKind, Side, Tif
from sor.units import NS
from tests.fakes.bingx import RECV_NS, btc
from venues.bingx.errors import Asked, Verdict, judge_code, judge_failure
from venues.bingx.listings import VENUE
from venues.bingx.orders import Amended, OrderNews
from venues.bingx.reports import ASIDE_MAX, ORDERS_MAX, PushFee, Reports

BTC = btc()
SYMBOL = Symbol("BTCUSDT")
ID = ClOrdId("sor-1")
VENUE_ID = VenueOrderId("77")
ACK, PUSH, QUERY = Provenance.ACK, Provenance.PUSH, Provenance.QUERY
NEW, PART, FULL = OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.FILLED
CANCELED, EXPIRED = OrdStatus.CANCELED, OrdStatus.EXPIRED


def order(cl_ord_id: str = "sor-1", **terms: object) -> NewOrder:
    """A limit order to buy 30 lots at 1000."""
    known: dict[str, object] = {
        "cl_ord_id": ClOrdId(cl_ord_id),
        "symbol": SYMBOL,
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "qty_lots": 30,
        "price_ticks": 1000,
        **terms,
    }
    return NewOrder(**known)  # type: ignore[arg-type]


def said(source: Provenance, status: OrdStatus | None, cum: int = -1, avg: str = "0", **more: object) -> OrderNews:
    """What one message says about the order."""
    known: dict[str, object] = {
        "listing": BTC,
        "source": source,
        "recv_ns": RECV_NS,
        "side": Side.BUY,
        "cl_ord_id": ID,
        "order_id": VENUE_ID,
        "status": status,
        "order_lots": 30,
        "price_ticks": 1000,
        "cum_lots": cum,
        "avg_ticks": Decimal(avg),
        "final": source is not ACK or status is FULL,
        **more,
    }
    return OrderNews(**known)  # type: ignore[arg-type]


@dataclass
class Desk:
    """Reports and what was told, in short."""

    reports: Reports = field(default_factory=Reports)
    told: list[ExecutionReport] = field(default_factory=list)

    def hear(self, *news: OrderNews) -> list[str]:
        heard: list[str] = []
        for one in news:
            for report in self.reports.told(one):
                assert isinstance(report, ExecutionReport)
                self.told.append(report)
                heard.append(brief(report))
        return heard


def brief(report: ExecutionReport) -> str:
    match report.exec_type:
        case ExecType.TRADE:
            fee = "" if report.fee_atoms is None else f" fee {report.fee_atoms}"
            return f"{report.exec_id} {report.last_lots}@{report.last_ticks}{fee}"
        case ExecType.STATUS:
            return f"status {report.ord_status.value if report.ord_status else None} {report.cum_lots}"
        case ExecType.CANCELED | ExecType.EXPIRED:
            return f"{report.exec_type.value} {report.cum_lots}"
        case _:
            return report.exec_type.value


def desk(push_fee: PushFee = PushFee.FIRST_ONLY, **terms: object) -> Desk:
    """Our order has just been sent."""
    made = Desk(Reports(push_fee=push_fee))
    made.reports.sent(order("sor-1", **terms))
    return made


# --- one order, three channels ----------------------------------------------------------------------------------------


def test_a_market_order_is_filled_by_its_acknowledgement_and_never_again() -> None:
    one = desk(ord_type=OrdType.MARKET, price_ticks=0)
    assert one.hear(said(ACK, FULL, 30, "1000.4")) == ["77:18 18@1000", "77:30 12@1001"]
    assert one.told[0] == ExecutionReport(
        venue=VENUE,
        symbol=SYMBOL,
        cl_ord_id=ID,
        exec_type=ExecType.TRADE,
        provenance=ACK,
        venue_order_id=VENUE_ID,
        recv_ns=RECV_NS,
        exec_id=ExecId("77:18"),
        last_lots=18,
        last_ticks=1000,
        is_maker=False,
        cum_lots=18,
    )
    assert one.told[1].avg_hticks == 2001  # 1000.4 ticks, to the half
    # The pushes of the same fills, in any order and twice, are old news.
    late = [said(PUSH, PART, 10, "1000"), said(PUSH, FULL, 30, "1000.4"), said(PUSH, NEW, 0), said(PUSH, PART, 10)]
    assert one.hear(*late) == []


def test_a_resting_order_from_its_acknowledgement_to_its_end() -> None:
    one = desk(post_only=True)
    assert one.hear(said(ACK, NEW, 0)) == ["new"]
    assert one.hear(said(PUSH, NEW, 0)) == []
    assert one.hear(said(PUSH, PART, 10, "1000"), said(PUSH, PART, 10, "1000")) == ["77:10 10@1000"]
    assert one.told[-1].is_maker
    assert one.hear(said(ACK, CANCELED, 10, "1000")) == []  # the answer to a cancel is evidence only
    assert one.hear(said(PUSH, CANCELED, 12, "1000")) == ["77:12 2@1000", "canceled 12"]
    assert one.hear(said(PUSH, CANCELED, 12, "1000"), said(PUSH, PART, 10, "1000")) == []


def test_pushes_may_come_before_the_acknowledgement() -> None:
    one = desk()
    assert one.hear(said(PUSH, PART, 10, "1000")) == ["new", "77:10 10@1000"]
    assert one.hear(said(PUSH, FULL, 30, "1000")) == ["77:30 20@1000"]
    assert one.hear(said(ACK, NEW, 0), said(ACK, None)) == []


def test_pushes_without_a_client_id_wait_for_it() -> None:
    one = desk()
    nameless = {"cl_ord_id": ClOrdId("")}
    assert one.hear(said(PUSH, NEW, 0, **nameless), said(PUSH, PART, 10, "1000", **nameless)) == []
    assert one.hear(said(ACK, NEW, 0)) == ["new", "77:10 10@1000"]
    assert one.hear(said(PUSH, FULL, 30, "1000", **nameless)) == ["77:30 20@1000"]


def test_pushes_that_nobody_claims_are_bounded_and_counted() -> None:
    one = desk()
    for number in range(ASIDE_MAX + 3):
        assert one.hear(said(PUSH, NEW, 0, cl_ord_id=ClOrdId(""), order_id=VenueOrderId(str(number + 1000)))) == []
    assert one.reports.unclaimed == 3


def test_an_acknowledgement_that_says_little_is_an_acceptance() -> None:
    one = desk(tif=Tif.IOC)
    assert one.hear(said(ACK, None)) == ["new"]
    assert one.hear(said(PUSH, EXPIRED, 0)) == ["expired 0"]
    assert one.told[-1].ord_status is EXPIRED


def test_an_end_in_an_acknowledgement_awaits_confirmation() -> None:
    one = desk(tif=Tif.IOC)
    assert one.hear(said(ACK, EXPIRED, 10, "1000")) == ["77:10 10@1000"]
    assert one.hear(said(QUERY, EXPIRED, 12, "1000")) == ["77:12 2@1000", "status expired 12"]


def test_a_fill_without_a_price_waits_for_one() -> None:
    one = desk(ord_type=OrdType.MARKET, price_ticks=0)
    assert one.hear(said(ACK, FULL, 30)) == []
    assert one.hear(said(QUERY, FULL, 30, "1000")) == ["77:30 30@1000", "status filled 30"]


def test_a_cancel_without_a_quantity_says_so() -> None:
    one = desk()
    assert one.hear(said(ACK, NEW, 0), said(PUSH, CANCELED)) == ["new", "canceled -1"]


def test_a_lookup_tells_what_was_lost_and_where_the_order_stands() -> None:
    one = desk()
    assert one.hear(said(QUERY, PART, 10, "1000")) == ["77:10 10@1000", "status partially_filled 10"]
    assert one.hear(said(QUERY, PART, 10, "1000")) == ["status partially_filled 10"]
    status = one.told[-1]
    assert (status.order_lots, status.price_ticks, status.avg_hticks) == (30, 1000, 2000)
    assert one.hear(said(PUSH, CANCELED, 10, "1000")) == ["canceled 10"]
    # An answer that was on its way when the end was pushed does not bring the order back.
    assert one.hear(said(QUERY, PART, 10, "1000")) == ["status canceled 10"]
    assert one.hear(said(QUERY, None, 10, "1000")) == ["status canceled 10"]


def test_a_late_fill_after_the_end_is_told() -> None:
    one = desk()
    one.hear(said(ACK, NEW, 0), said(PUSH, CANCELED, 0))
    assert one.hear(said(PUSH, PART, 10, "1000"), said(PUSH, NEW, 0)) == ["77:10 10@1000"]


# --- what this process did not send -----------------------------------------------------------------------------------


def test_after_a_restart_what_was_filled_before_is_a_total_and_no_fill() -> None:
    one = Desk()
    assert one.hear(said(QUERY, PART, 10, "1000")) == ["status partially_filled 10"]
    assert one.hear(said(PUSH, PART, 15, "1000")) == ["77:15 5@1000", "status partially_filled 15"]
    assert one.hear(said(PUSH, FULL, 30, "1000")) == ["77:30 15@1000", "status filled 30"]


def test_after_a_restart_the_first_push_is_a_total_too() -> None:
    # It may have been counted before: its fill, told again under another division, would count twice.
    one = Desk()
    assert one.hear(said(PUSH, PART, 10, "1000", last_lots=10, last_ticks=1000)) == ["status partially_filled 10"]
    assert one.hear(said(PUSH, CANCELED, 10, "1000")) == ["canceled 10", "status canceled 10"]


def test_after_a_restart_old_pushes_that_come_late_are_no_fills() -> None:
    """All 30 lots were counted from the acknowledgement, by the process before; its pushes reach this one."""
    one = Desk()
    assert one.hear(said(PUSH, NEW, 0)) == ["new"]
    assert one.hear(said(PUSH, PART, 10, "1000", **trade(10))) == ["status partially_filled 10"]
    assert one.hear(said(PUSH, PART, 20, "1000", **trade(10))) == ["status partially_filled 20"]
    assert one.hear(said(QUERY, FULL, 30, "1000")) == ["status filled 30"]
    assert one.hear(said(PUSH, FULL, 30, "1000", **trade(10))) == []


def test_after_a_restart_an_order_without_fills_is_as_our_own() -> None:
    one = Desk()
    assert one.hear(said(QUERY, NEW, 0)) == ["status new 0"]
    assert one.hear(said(PUSH, PART, 10, "1000")) == ["77:10 10@1000"]
    unsaid = Desk()
    assert unsaid.hear(said(PUSH, NEW)) == ["new"]
    assert unsaid.hear(said(PUSH, PART, 10, "1000")) == ["status partially_filled 10"]


# --- prices -----------------------------------------------------------------------------------------------------------


def test_the_price_of_a_trade_is_its_own_where_it_is_said() -> None:
    one = desk(ord_type=OrdType.MARKET, price_ticks=0)
    first = said(PUSH, PART, 10, "998", last_lots=10, last_ticks=998)
    second = said(PUSH, FULL, 30, "999.33333333", last_lots=20, last_ticks=1000)
    assert one.hear(first, second) == ["new", "77:10 10@998", "77:30 20@1000"]


def test_without_one_it_is_what_the_averages_leave() -> None:
    one = desk(ord_type=OrdType.MARKET, price_ticks=0)
    # 10 at 998.5 is 9985; 30 at 999.5 is 29985; the 20 between cost 20000, which is 1000 each.
    assert one.hear(said(PUSH, PART, 10, "998.5"), said(PUSH, FULL, 30, "999.5")) == [
        "new",
        "77:5 5@998",
        "77:10 5@999",
        "77:30 20@1000",
    ]


def test_a_sell_is_told_best_first() -> None:
    one = desk(ord_type=OrdType.MARKET, price_ticks=0, side=Side.SELL)
    assert one.hear(said(ACK, FULL, 30, "1000.4", side=Side.SELL)) == ["77:12 12@1001", "77:30 18@1000"]


def test_rounded_averages_move_a_price_no_further_than_they_must() -> None:
    # 1000 lots at 1000, then one more and the average still reads 1000: anything from 500 to 1500 would fit.
    one = desk(ord_type=OrdType.MARKET, price_ticks=0, qty_lots=1_001)
    assert one.hear(said(PUSH, PART, 1_000, "1000"), said(PUSH, FULL, 1_001, "1000")) == [
        "new",
        "77:1000 1000@1000",
        "77:1001 1@1000",
    ]
    # 10 at 1000, then 10 more and it reads 1001: 1002 fits exactly, and 1001.5 - 0.5 would do.
    one = desk(ord_type=OrdType.MARKET, price_ticks=0)
    assert one.hear(said(PUSH, PART, 10, "1000"), said(PUSH, PART, 20, "1001"))[-1] == "77:20 10@1001"


def test_no_price_lies_beyond_the_limit() -> None:
    one = desk()
    one.hear(said(PUSH, PART, 10, "998.5"))
    assert one.hear(said(PUSH, PART, 20, "999.9"))[-1] == "77:20 10@1000"  # 1001.3 by the averages alone
    sell = desk(side=Side.SELL)
    assert sell.hear(said(PUSH, PART, 10, "999.2", side=Side.SELL))[-1] == "77:10 10@1000"


# --- fees -------------------------------------------------------------------------------------------------------------


def fee(atoms: int, *, total: bool = False) -> dict[str, object]:
    return {"fee_atoms": atoms, "fee_asset": "USDT", "fee_is_total": total}


def trade(lots: int, ticks: int = 1000) -> dict[str, object]:
    return {"last_lots": lots, "last_ticks": ticks}


def test_a_first_fill_is_settled_by_its_push_and_the_rest_by_a_lookup() -> None:
    one = desk()
    assert one.hear(said(PUSH, PART, 10, "1000", **fee(100), **trade(10))) == ["new", "77:10 10@1000 fee 100"]
    assert one.hear(said(PUSH, PART, 20, "1000", **fee(300), **trade(10))) == [
        "77:20 10@1000"
    ]  # which of two readings?
    assert one.hear(said(PUSH, FULL, 30, "1000", **fee(600))) == ["77:30 10@1000"]
    assert one.hear(said(QUERY, FULL, 30, "1000", **fee(601, total=True))) == [
        "status filled 30",
        "77:20 10@1000 fee 250",
        "77:30 10@1000 fee 251",
    ]
    assert [report.fee_source for report in one.told if report.fee_atoms is not None] == [
        FeeSource.WS_SETTLED,
        FeeSource.REST_SETTLED,
        FeeSource.REST_SETTLED,
    ]
    assert one.hear(said(QUERY, FULL, 30, "1000", **fee(601, total=True))) == ["status filled 30"]


@pytest.mark.parametrize(("reading", "fees"), [(PushFee.PER_FILL, [100, 200]), (PushFee.CUMULATIVE, [100, 100])])
def test_both_readings_of_a_pushed_fee(reading: PushFee, fees: list[int]) -> None:
    one = desk(reading)
    one.hear(
        said(PUSH, PART, 10, "1000", **fee(100), **trade(10)), said(PUSH, PART, 20, "1000", **fee(200), **trade(10))
    )
    assert [report.fee_atoms for report in one.told if report.exec_type is ExecType.TRADE] == fees


@pytest.mark.parametrize("reading", [PushFee.FIRST_ONLY, PushFee.PER_FILL])
def test_a_push_that_names_no_trade_settles_no_fee(reading: PushFee) -> None:
    """In the shape of 2023 nothing shows whether the push before it was lost, whose fee would be missing then."""
    one = desk(reading)
    assert one.hear(said(PUSH, PART, 20, "1000", **fee(100))) == ["new", "77:20 20@1000"]
    assert one.hear(said(PUSH, FULL, 30, "1000", **fee(100))) == ["77:30 10@1000"]
    assert one.reports.unsettled(ID)
    whole = said(QUERY, FULL, 30, "1000", **fee(300, total=True))
    assert one.hear(whole) == ["status filled 30", "77:20 20@1000 fee 200", "77:30 10@1000 fee 100"]


def test_a_pushed_fee_is_not_taken_for_more_than_its_trade() -> None:
    # The first push was lost: this one tells of 20 lots and of the fee of its own 10.
    for last in ({"last_lots": 10, "last_ticks": 1000}, {"last_value": 10_000.0, "last_value_slack": 50.0}):
        one = desk()
        assert one.hear(said(PUSH, PART, 20, "1000", **fee(100), **last)) == ["new", "77:20 20@1000"]
    one = desk()
    sound = {"last_value": 19_990.0, "last_value_slack": 50.0}
    assert one.hear(said(PUSH, PART, 20, "1000", **fee(100), **sound))[-1] == "77:20 20@1000 fee 100"


def test_a_fee_of_nothing_settles_nothing() -> None:
    one = desk()
    assert one.hear(said(PUSH, PART, 10, "1000", **fee(0)))[-1] == "77:10 10@1000"
    assert one.hear(said(QUERY, PART, 10, "1000", **fee(0, total=True))) == ["status partially_filled 10"]
    # Nor does a total that covers other fills than those that were told.
    assert one.hear(said(QUERY, PART, 5, "1000", **fee(50, total=True))) == ["status partially_filled 10"]
    assert one.hear(said(QUERY, PART, 10, "1000", **fee(50, total=True)))[-1] == "77:10 10@1000 fee 50"


# --- refusals ---------------------------------------------------------------------------------------------------------


def refuse(one: Desk, verdict: Verdict, request: Request) -> ExecutionReport | RequestFailed:
    (only,) = one.reports.refused(verdict, request, cl_ord_id=ID, symbol=SYMBOL, recv_ns=RECV_NS)
    return only


@pytest.mark.parametrize(
    ("request_", "code", "text", "exec_type", "reject"),
    [
        (Request.PLACE, 101204, "Insufficient margin", ExecType.REJECTED, RejectKind.NO_MARGIN),
        (Request.PLACE, 100410, "rate limited", ExecType.REJECTED, RejectKind.RATE_LIMITED),
        (Request.PLACE, 101400, "unique check failed", ExecType.REJECTED, RejectKind.DUPLICATE_ID),
        (Request.CANCEL, 109422, "filled", ExecType.CANCEL_REJECTED, RejectKind.TOO_LATE),
        (Request.CANCEL, 109421, "", ExecType.CANCEL_REJECTED, RejectKind.UNKNOWN_ORDER),
        (Request.AMEND, 109400, "no", ExecType.AMEND_REJECTED, RejectKind.BAD_TERMS),
        (Request.QUERY, 80016, "order not exist", ExecType.NOT_FOUND, RejectKind.UNKNOWN_ORDER),
    ],
)
def test_refusals_keep_the_venues_words(
    request_: Request, code: int, text: str, exec_type: ExecType, reject: RejectKind
) -> None:
    verdict = judge_code(code=code, text=text, asked=Asked.of(request_))
    assert refuse(desk(), verdict, request_) == ExecutionReport(
        venue=VENUE,
        symbol=SYMBOL,
        cl_ord_id=ID,
        exec_type=exec_type,
        provenance=QUERY if request_ is Request.QUERY else ACK,
        recv_ns=RECV_NS,
        reject=reject,
        code=str(code),
        text=text,
    )


def test_no_answer_is_no_refusal() -> None:
    for request in Request:
        asked = Asked.of(request)
        silent = refuse(desk(), judge_failure(bytes_left=True, text="timeout", asked=asked), request)
        assert silent == RequestFailed(
            cl_ord_id=ID, request=request, reach=Reach.IN_DOUBT, code="no_answer", text="timeout"
        )
        unsent = refuse(desk(), judge_failure(bytes_left=False, text="no route", asked=asked), request)
        assert unsent == RequestFailed(
            cl_ord_id=ID, request=request, reach=Reach.NOT_SENT, code="not_sent", text="no route"
        )
    busy = judge_code(code=109500, text="busy", asked=Asked.PLACE)
    assert refuse(desk(), busy, Request.PLACE) == RequestFailed(
        cl_ord_id=ID, request=Request.PLACE, reach=Reach.IN_DOUBT, code="109500", text="busy"
    )


def test_a_refusal_of_an_order_that_was_seen_alive_is_in_doubt() -> None:
    one = desk()
    one.hear(said(PUSH, NEW, 0))
    verdict = judge_code(code=101204, text="Insufficient margin", asked=Asked.PLACE)
    failed = refuse(one, verdict, Request.PLACE)
    assert isinstance(failed, RequestFailed)
    assert failed.reach is Reach.IN_DOUBT


def test_an_amend_is_confirmed_with_the_price_that_stays() -> None:
    one = desk()
    one.hear(said(ACK, NEW, 0))
    amended = Amended(symbol=SYMBOL, cl_ord_id=ClOrdId(""), order_id=VENUE_ID, order_lots=20)
    (report,) = one.reports.amended(amended, ID, price_ticks=1000, recv_ns=RECV_NS)
    assert isinstance(report, ExecutionReport)
    assert (report.exec_type, report.order_lots, report.price_ticks) == (ExecType.REPLACED, 20, 1000)
    assert one.hear(said(PUSH, CANCELED, 20, "1000", order_lots=20)) == ["77:20 20@1000"]  # it was full


def test_an_id_is_for_one_order() -> None:
    one = desk()
    with pytest.raises(CallerError, match="used before"):
        one.reports.sent(order())


def test_what_is_remembered_is_bounded_and_the_ended_go_first() -> None:
    one = desk()
    one.hear(said(ACK, NEW, 0))
    one.reports.sent(order("sor-ended"))
    one.hear(said(PUSH, CANCELED, 0, cl_ord_id=ClOrdId("sor-ended"), order_id=VenueOrderId("78")))
    for number in range(ORDERS_MAX - 1):
        one.reports.sent(order(f"sor-x{number}"))
    assert one.hear(said(PUSH, PART, 10, "1000")) == ["77:10 10@1000"]  # still known
    one.reports.sent(order("sor-ended"))  # forgotten


# --- any order of any messages ----------------------------------------------------------------------------------------

fills = st.lists(st.tuples(st.integers(1, 8), st.integers(995, 1_005)), min_size=1, max_size=5)


@given(fills=fills, data=st.data(), side=st.sampled_from(Side))
def test_every_lot_once_and_the_money_right_whatever_comes_how_often(
    fills: list[tuple[int, int]], data: st.DataObject, side: Side
) -> None:
    total = sum(lots for lots, _ in fills)
    value = sum(lots * ticks for lots, ticks in fills)
    messages = [said(ACK, NEW, 0, side=side)]
    cum = paid = 0
    for lots, ticks in fills:
        cum, paid = cum + lots, paid + lots * ticks
        average = str(Decimal(paid) / cum)
        own = {"last_lots": lots, "last_ticks": ticks} if data.draw(st.booleans()) else {}
        status = FULL if cum == total else PART
        messages.append(said(PUSH, status, cum, average, order_lots=total, side=side, **own))
        messages.append(said(QUERY, status, cum, average, order_lots=total, side=side, **fee(cum, total=True)))
    one = Desk()
    one.reports.sent(order(ord_type=OrdType.MARKET, price_ticks=0, qty_lots=total, side=side))
    chosen = data.draw(st.lists(st.sampled_from(messages), max_size=12))
    one.hear(*data.draw(st.permutations([*chosen, messages[-1]])))
    one.hear(messages[-1])
    trades: dict[str, ExecutionReport] = {}
    for report in one.told:
        if report.exec_type is ExecType.TRADE:
            known = trades.get(report.exec_id)
            if known is not None:  # told again only with its fee, all else the same
                assert known.fee_atoms is None
                assert (known.last_lots, known.last_ticks) == (report.last_lots, report.last_ticks)
            trades[report.exec_id] = report
    assert sum(one.last_lots for one in trades.values()) == total
    assert sum(one.fee_atoms or 0 for one in trades.values()) == total
    # Averages that lie on a tick may have been rounded to it, the one before a fill and the one after it.
    error = abs(sum(one.last_lots * one.last_ticks for one in trades.values()) - value)
    assert error < total


@given(st.lists(st.tuples(st.sampled_from([ACK, PUSH, QUERY]), st.integers(-1, 40), st.integers(0, 3)), max_size=10))
def test_contradictions_do_not_break_it(statements: list[tuple[Provenance, int, int]]) -> None:
    one = desk()
    words = [NEW, PART, FULL, CANCELED]
    for source, cum, word in statements:
        one.hear(msgspec.structs.replace(said(source, words[word], cum, "1000"), order_id=VENUE_ID))
    lots = [report.last_lots for report in one.told if report.exec_type is ExecType.TRADE]
    assert sum(lots) == max([0, *[cum for _, cum, _ in statements]])
    assert [report.exec_type for report in one.told].count(ExecType.NEW) <= 1
    assert [report.exec_type for report in one.told].count(ExecType.CANCELED) <= 1


def test_f2_a_push_of_one_trade_that_is_all_of_it_settles_what_the_answer_told() -> None:
    desk = Desk()
    desk.reports.sent(order())
    assert not desk.reports.unsettled(ID)
    desk.hear(said(ACK, FULL, 30, "1000"))
    assert desk.reports.ended(ID)
    assert desk.reports.unsettled(ID)
    told = desk.reports.told(said(PUSH, FULL, 30, "1000", last_lots=30, last_ticks=1000, fee_atoms=7, fee_asset="USDT"))
    (settled,) = told
    assert isinstance(settled, ExecutionReport)
    assert (settled.fee_atoms, settled.fee_source, settled.last_lots) == (7, FeeSource.WS_SETTLED, 30)
    assert not desk.reports.unsettled(ID)


def test_f2_a_push_of_one_trade_of_several_settles_nothing_it_may_not_speak_of() -> None:
    desk = Desk()
    desk.reports.sent(order())
    desk.hear(said(ACK, FULL, 30, "1000"))
    last = said(PUSH, FULL, 30, "1000", last_lots=10, last_ticks=1000, fee_atoms=7, fee_asset="USDT")
    assert desk.reports.told(last) == []
    assert desk.reports.unsettled(ID)
    total = Desk(Reports(push_fee=PushFee.CUMULATIVE))
    total.reports.sent(order())
    total.hear(said(ACK, FULL, 30, "1000"))
    assert len(total.reports.told(last)) == 1


def test_f2_the_value_of_a_trade_says_as_well_whether_it_was_all_of_it() -> None:
    for value, settles in ((30_000.0, True), (10_000.0, False)):
        desk = Desk()
        desk.reports.sent(order())
        desk.hear(said(ACK, FULL, 30, "1000"))
        push = said(PUSH, FULL, 30, "1000", fee_atoms=7, fee_asset="USDT", last_value=value, last_value_slack=50.0)
        assert bool(desk.reports.told(push)) is settles


def test_an_order_has_ended_when_nothing_more_is_to_be_told_of_it() -> None:
    desk = Desk()
    assert desk.reports.ended(ID)  # never heard of
    assert desk.reports.ref(cl_ord_id=ID, order_id=VENUE_ID) is None
    desk.reports.sent(order())
    desk.hear(said(ACK, NEW, 0))
    assert not desk.reports.ended(ID)
    ref = desk.reports.ref(cl_ord_id=ClOrdId(""), order_id=VENUE_ID)
    assert ref is not None
    assert (ref.cl_ord_id, ref.symbol, ref.venue_order_id) == (ID, SYMBOL, VENUE_ID)
    desk.hear(said(PUSH, FULL, 30))  # filled, at a price that nobody has said yet
    assert not desk.reports.ended(ID)
    desk.hear(said(QUERY, FULL, 30, "1000"))
    assert desk.reports.ended(ID)


def test_an_order_that_was_refused_has_ended() -> None:
    desk = Desk()
    desk.reports.sent(order())
    verdict = judge_code(code=101204, text="no margin", asked=Asked.PLACE)
    desk.reports.refused(verdict, Request.PLACE, cl_ord_id=ID, symbol=SYMBOL, recv_ns=RECV_NS)
    assert desk.reports.ended(ID)


SENT_NS = 1_760_000_000 * NS


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"side": Side.SELL}, "a SELL in BTCUSDT"),
        ({"order_lots": 31}, "31 lots, not 30"),
        ({"price_ticks": 999}, "a limit of 999 ticks, not 1000"),
        ({"created_ns": SENT_NS - 2 * NS}, "made 2.0 s before ours was sent"),
    ],
)
def test_b9_a_lookup_that_finds_other_terms_is_about_another_order(terms: dict[str, object], why: str) -> None:
    reports = Reports()
    reports.sent(order(), not_before_ns=SENT_NS)
    (failed,) = reports.told(said(QUERY, FULL, 30, "1000", **{"created_ns": SENT_NS, **terms}))
    assert isinstance(failed, RequestFailed)
    assert (failed.request, failed.reach, failed.code) == (Request.QUERY, Reach.IN_DOUBT, "other_order")
    assert failed.text.endswith(f"found another order under its id: {why}")


@pytest.mark.parametrize("terms", [{"order_lots": 20}, {"created_ns": SENT_NS - NS // 2}, {"created_ns": 0}])
def test_b9_what_the_venue_may_have_cut_is_still_ours(terms: dict[str, object]) -> None:
    reports = Reports()
    reports.sent(order(), not_before_ns=SENT_NS)
    told = reports.told(said(QUERY, NEW, 0, "0", **terms))
    assert [type(one) for one in told] == [ExecutionReport]


def test_f2_a_fee_that_comes_late_leaves_the_time_of_the_fill() -> None:
    reports = Reports()
    reports.sent(order())
    reports.told(said(ACK, FULL, 30, "1000"))
    late = said(QUERY, FULL, 30, "1000", recv_ns=RECV_NS + 2 * NS, fee_atoms=7, fee_asset="USDT", fee_is_total=True)
    settled = [one for one in reports.told(late) if isinstance(one, ExecutionReport) and one.last_lots]
    assert [(one.fee_atoms, one.fee_source, one.recv_ns) for one in settled] == [(7, FeeSource.REST_SETTLED, RECV_NS)]
