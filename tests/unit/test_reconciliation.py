"""The venue's books beside ours, in virtual time: strays, neighbours, foreign flows, and fills that nobody told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sor.errors import CallerError
from sor.events import Contradicted, FlowCause, NeighbourFound, PositionKnown, PositionMoved, Reading, StrayFound
from sor.ids import ClOrdId, ClOrdIdCodec, ParentId
from sor.orders import AccountFill, FillCause, ParentStatus, PositionSide, Side
from sor.settings import Neighbours
from sor.sim.lives import EPOCH
from tests.fakes.shared_account import Account
from tests.fakes.simulated import ASK, BID

BUY, SELL = Side.BUY, Side.SELL
BOTH = PositionSide.BOTH
STRAY = ClOrdIdCodec().encode(EPOCH, 999, 1, closing=False)
THEIRS = ClOrdIdCodec().encode(EPOCH + 1, 1, 1, closing=False)
WAITS = {"policy": "plain_limit", "limit": None}


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    account = Account(tmp_path)
    yield account
    account.close()


def moved(account: Account) -> list[tuple[FlowCause, Reading, int]]:
    """The foreign flows that the journal has."""
    return [(one.cause, one.by, one.qty_lots) for one in account.facts(PositionMoved) if isinstance(one, PositionMoved)]


# --- strays -----------------------------------------------------------------------------------------------------------


def test_a_stray_is_withdrawn_and_what_it_filled_is_a_flow(account: Account) -> None:
    """It rests with our mark, no journal knows it, and it fills before it is found. What others placed stays."""
    account.start()
    account.wait(1)
    account.books.other("by-hand", BUY, 7, BID - 5)
    account.books.other(STRAY, BUY, 40, BID + 2)
    account.books.crowd(SELL, 15)
    account.wait(30)
    assert account.books.resting() == {"by-hand": 7}
    assert account.position == account.books.position_lots == 15
    assert moved(account) == [(FlowCause.STRAY, Reading.FILLS, 15)]
    assert account.book.flows == {(BOTH, FlowCause.STRAY): 15}
    (found,) = account.facts(StrayFound)
    assert isinstance(found, StrayFound)
    assert (found.cl_ord_id, found.side, found.leaves_lots) == (STRAY, BUY, 25)
    stray = account.core.foreign.strays[STRAY]
    assert (stray.found, stray.gone) == (1, True)
    first, second = account.texts()
    assert first.startswith("BTCUSDT on simulated: 15 lots were bought by an order of our mark that the journal does")
    assert second.startswith(f"stray order {STRAY} rests on simulated with 25 lots of BTCUSDT: it is unknown to the")


def test_a_stray_is_found_at_the_start_before_anything_is_placed(account: Account) -> None:
    """The power went: the journal ends before the order that rests. Its parent is not known, so nobody works it."""
    account.start()
    account.wait(1)
    before = account.recorded()
    parent = account.submit("lost", BUY, 30, **{**WAITS, "limit": account.books.instrument.price(BID - 3)})
    account.wait(1)
    cl_ord_id = parent.children[0].order.cl_ord_id
    assert account.books.resting() == {cl_ord_id: 30}
    account.restart(left=before)
    account.wait(1)
    assert account.books.resting() == {}
    assert ParentId("lost") not in account.core.by_id
    again = account.submit("anew", BUY, 3)  # it has the lost parent's number, and all the same another name
    assert (again.no, again.status, again.children[0].counted_lots) == (parent.no, ParentStatus.FILLED, 3)
    assert again.children[0].order.cl_ord_id != cl_ord_id
    assert [text.partition(" rests")[0] for text in account.texts()] == [f"stray order {cl_ord_id}"]


def test_a_stray_that_does_not_go_is_asked_again_and_then_a_hand_is_called(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.start()
    account.wait(1)
    account.books.other(STRAY, BUY, 40, BID)
    cancels: list[str] = []
    monkeypatch.setattr(account.books, "cancel", lambda ref: cancels.append(ref.cl_ord_id))
    account.wait(70)
    assert cancels == [STRAY] * 3
    assert account.texts()[-1].endswith("does not go: it still has 40 lots of BTCUSDT. Cancel it by hand")


# --- neighbours -------------------------------------------------------------------------------------------------------


def test_orders_of_another_journal_refuse_the_start_until_somebody_says_whose_they_are(
    account: Account, tmp_path: Path
) -> None:
    account.start()
    account.books.other(THEIRS, BUY, 10, BID)
    account.wait(1)
    account.life.kill()
    second = Account(tmp_path, beside=account)
    with pytest.raises(CallerError, match=f"of another journal, epoch {EPOCH + 1}: {THEIRS}. .* nothing was started"):
        second.start()
    assert account.books.resting() == {THEIRS: 10}
    assert second.facts(StrayFound, NeighbourFound) == []


@pytest.mark.parametrize("neighbours", [Neighbours.LEAVE, Neighbours.ADOPT])
def test_what_is_said_of_neighbours_is_done(neighbours: Neighbours, tmp_path: Path) -> None:
    account = Account(tmp_path, neighbours=neighbours)
    account.start()
    account.wait(1)
    account.books.other("by-hand", BUY, 7, BID - 5)
    account.books.other(THEIRS, BUY, 10, BID + 2)
    account.wait(60)
    left = neighbours is Neighbours.LEAVE
    assert account.books.resting() == ({"by-hand": 7, THEIRS: 10} if left else {"by-hand": 7})
    assert len(account.facts(NeighbourFound)) == left
    assert len(account.facts(StrayFound)) == (not left)
    assert len(account.texts()) == 1
    account.books.crowd(SELL, 10)
    account.wait(60)
    assert account.position == account.books.position_lots == (10 if left else 0)
    assert account.book.flows == ({(BOTH, FlowCause.NEIGHBOUR): 10} if left else {})
    account.close()


# --- foreign flows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forced", "cause", "words"),
    [
        (FillCause.ORDER, FlowCause.MANUAL, "somebody else, by hand or by another program"),
        (FillCause.LIQUIDATION, FlowCause.LIQUIDATION, "the venue, which liquidated"),
        (FillCause.ADL, FlowCause.ADL, "the venue, which deleveraged the account"),
    ],
)
def test_a_foreign_trade_moves_the_position_once(
    account: Account, forced: FillCause, cause: FlowCause, words: str
) -> None:
    """Baseline + our fills + foreign flows, however often the fills are read; a reduce-only parent knows it."""
    account.start()
    account.wait(1)
    assert account.submit("in", BUY, 50).status is ParentStatus.FILLED
    account.wait(8)
    account.books.other("theirs", SELL, 20)
    account.books.forced["theirs"] = forced  # type: ignore[index]
    account.wait(90)  # four readings of fills, eight of positions
    assert account.position == account.books.position_lots == 30
    assert moved(account) == [(cause, Reading.FILLS, -20)]
    assert account.book.flows == {(BOTH, cause): -20}
    assert account.texts() == [f"BTCUSDT on simulated: 20 lots were sold by {words}; the position is 30 now"]
    account.restart()
    account.wait(90)
    assert moved(account) == [(cause, Reading.FILLS, -20)]  # the journal knows which trades it has counted
    out = account.submit("out", SELL, 50, reduce_only=True)
    account.wait(5)
    assert (out.status, out.ledger.cum_lots) == (ParentStatus.COMPLETED_BY_OTHERS, 30)
    assert account.texts() == []


def test_what_others_did_while_no_process_ran_is_a_flow(account: Account, tmp_path: Path) -> None:
    account.start()
    account.wait(1)
    account.submit("in", BUY, 50)
    account.wait(8)
    account.life.kill()
    beside = Account(tmp_path, beside=account)
    beside.start()
    beside.books.other("by-hand", SELL, 20)
    beside.wait(40)
    beside.close()
    account.restart()
    account.wait(1)
    assert account.position == account.books.position_lots == 30
    assert moved(account) == [(FlowCause.MANUAL, Reading.FILLS, -20)]


def test_what_was_traded_before_the_baseline_is_in_it(account: Account, tmp_path: Path) -> None:
    """A new journal on an account with a history: what the venue states first is where it begins."""
    account.start()
    account.wait(1)
    account.books.other("by-hand", BUY, 20)
    account.wait(1)
    account.life.kill()
    second = Account(tmp_path, beside=account)
    second.start()
    second.wait(40)
    assert second.position == second.books.position_lots == 20
    assert (moved(second), second.texts()) == ([], [])
    second.close()


def test_what_no_trade_explains_counts_on_the_second_reading(account: Account) -> None:
    account.start()
    account.wait(1)
    account.submit("in", BUY, 50)
    account.wait(8)
    account.books.stolen = -20
    account.wait(4)
    assert account.position == 50  # one reading is none
    account.wait(8)
    assert account.position == 30
    assert moved(account) == [(FlowCause.UNEXPLAINED, Reading.POSITIONS, -20)]
    (text,) = account.texts()
    assert text.startswith("BTCUSDT on simulated: the venue has 30 lots, where our fills and all other trades")
    account.wait(60)
    assert len(moved(account)) == 1


def test_without_a_history_the_venues_word_counts_and_what_it_tells_later_does_not(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.start()
    account.wait(1)
    account.submit("in", BUY, 50)
    account.wait(8)

    async def refused(venue_ns: int) -> tuple[AccountFill, ...]:
        raise CallerError("no right to read it")

    monkeypatch.setattr(account.books, "fills_since", refused)
    account.books.other("by-hand", SELL, 20)
    account.wait(30)
    assert account.position == 30
    first, second, third = account.texts()
    assert first.startswith("positions differ from what fills make them, and the fills could not be read: no right")
    assert "this cannot be explained" in second
    assert third == "open orders and fills were not reconciled: no right to read it"
    monkeypatch.undo()
    account.wait(60)
    assert (account.position, account.books.position_lots) == (30, 30)
    assert moved(account) == [(FlowCause.UNEXPLAINED, Reading.POSITIONS, -20)]


def test_a_position_that_is_stated_wrong_once_changes_nothing(account: Account) -> None:
    account.start()
    account.wait(8)
    account.books.stolen = 5
    account.wait(4)
    account.books.stolen = 0
    account.wait(60)
    assert (account.position, moved(account), account.texts()) == (0, [], [])
    assert len(account.facts(PositionKnown)) == 1


# --- what nobody told of our own orders -------------------------------------------------------------------------------


def waiting(account: Account, lots: int = 40) -> ClOrdId:
    """An order of ours rests above the best bid; its id."""
    parent = account.submit("rest", BUY, lots, **{**WAITS, "limit": account.books.instrument.price(BID + 2)})
    account.wait(8)
    (child,) = parent.open_children
    return child.order.cl_ord_id


def test_a_fill_that_no_push_told_is_found_by_reading_and_counts_once(account: Account) -> None:
    """The link stands, the socket is silent. Part of it fills; later the push comes all the same, twice."""
    account.start()
    cl_ord_id = waiting(account)
    account.books.deaf(lost=True)
    account.books.crowd(SELL, 15)
    lost = account.books._exchange.fills[-1]
    account.wait(25)
    account.books.deaf(lost=False)
    child = account.core.desk.children[cl_ord_id]
    assert (child.counted_lots, child.closed, account.position) == (15, False, 15)
    assert [(one.cl_ord_id, one.by) for one in account.facts(Contradicted) if isinstance(one, Contradicted)] == [
        (cl_ord_id, Reading.FILLS)  # which were read because the position was not as it should be
    ]
    assert account.texts() == [
        f"order {cl_ord_id}: 15 lots of it had filled, and nobody had told; found by reading the venue's fills"
    ]
    for _ in range(2):
        account.books.push(lost)
    account.wait(60)
    assert (child.counted_lots, account.position, account.core.foreign.missed_lots) == (15, 15, 15)
    assert (moved(account), account.texts()) == ([], [])


def test_an_order_whose_end_no_push_told_is_found_by_reading(tmp_path: Path) -> None:
    """It filled in silence: without a reading it would have been waited for until its own time was up."""
    account = Account(tmp_path, positions_s=0.0)
    account.start()
    cl_ord_id = waiting(account)
    account.books.deaf(lost=True)
    account.books.crowd(SELL, 40)
    account.wait(25)
    assert account.core.by_id[ParentId("rest")].status is ParentStatus.FILLED
    assert account.position == account.books.position_lots == 40
    assert account.core.desk.children[cl_ord_id].counted_lots == 40
    assert moved(account) == []
    assert account.texts() == [
        f"order {cl_ord_id}: 40 lots of it had filled, and nobody had told; found by reading the venue's open orders"
    ]
    account.close()


def test_a_link_that_comes_back_is_reconciled_at_once(tmp_path: Path) -> None:
    """Not first when the timer says so."""
    account = Account(tmp_path, reconcile_s=3_600.0)
    account.start()
    account.wait(10)
    account.books.other(STRAY, BUY, 40, BID)
    account.wait(10)
    assert account.books.resting() == {STRAY: 40}
    account.books.flap()
    account.wait(1)
    assert account.books.resting() == {}
    account.close()


def test_nothing_of_ours_is_taken_for_foreign(account: Account) -> None:
    """A busy hour of our own orders: no flow, no contradiction, no alarm."""
    account.start()
    for no in range(40):
        side = BUY if no % 2 else SELL
        price = account.books.instrument.price(BID - 2 if side is BUY else ASK + 2)
        account.submit(f"rest {no}", side, 5, deadline_s=30.0, **{**WAITS, "limit": price})
        account.submit(f"take {no}", side, 3)
        account.wait(7)
    account.wait(90)
    assert account.position == account.books.position_lots
    assert (moved(account), account.facts(Contradicted, StrayFound), account.texts()) == ([], [], [])
