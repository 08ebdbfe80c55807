"""Every pair of a state and an event has a verdict, the page in docs says what the code does, and the code does it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from sor.adapter import Reach, Request
from sor.child import CHILD_TABLE, Absorb, Child, Go, Happened, Life, Refuse
from sor.desk import LOST
from sor.orders import ExecType, OrdStatus, RejectKind
from sor.parent import PARENT_TABLE, GoParent, Parent, ParentEvent, ParentLife
from sor.refusals import REFUSALS
from sor.units import NS
from tests.fakes.bench import A, Bench, parent_order
from tests.fakes.policies import ScriptedPolicy, ask_policy, decision, rest
from tests.tables.page import PAGE, page

LOTS = 60


def test_every_pair_has_a_verdict() -> None:
    assert set(CHILD_TABLE) == set(product(Life, Happened))
    assert set(PARENT_TABLE) == set(product(ParentLife, ParentEvent))
    assert set(LOST) == set(product(Request, Reach))
    assert set(REFUSALS) == set(RejectKind)


def test_the_page_says_what_the_code_does() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.tables.page`"


def test_an_end_is_an_end() -> None:
    """What is over stays over, but for life after absence, which only the venue's own word can show."""
    shows_life = {
        *(Happened.ACCEPTED, Happened.TRADE, Happened.FILLED, Happened.CLOSED),
        *(Happened.CLOSED_UNSTATED, Happened.REPLACED, Happened.SEEN_OPEN),
    }
    for happened in Happened:
        done, absent = CHILD_TABLE[Life.DONE, happened], CHILD_TABLE[Life.ABSENT, happened]
        assert not isinstance(done, Go) or done.to is Life.DONE
        assert isinstance(absent, Go) is (happened in shows_life)
    for event in ParentEvent:
        assert isinstance(PARENT_TABLE[ParentLife.DONE, event], Absorb)


def test_silence_is_never_a_refusal() -> None:
    """No failed or unanswered request of ours ends an order that may have arrived."""
    unanswered = (Happened.SILENT, Happened.CANCEL_SILENT, Happened.CANCEL_NOT_SENT, Happened.QUERY_FAILED)
    for life, happened in product((Life.PENDING_NEW, Life.LIVE, Life.IN_DOUBT), (*unanswered, Happened.NOT_FOUND)):
        verdict = CHILD_TABLE[life, happened]
        assert isinstance(verdict, Absorb) or (isinstance(verdict, Go) and verdict.to <= Life.IN_DOUBT)


# --- the code does it -------------------------------------------------------------------------------------------------


def bench_with_order() -> tuple[Bench, Parent, Child]:
    """A parent of 100 with one resting order of 60 that has just been sent."""
    wanted = decision(rest(A, LOTS, 9_999, until_ns=2_000_000_000 * NS))
    bench = Bench(ask_policy, policies={"scripted": ScriptedPolicy([wanted])})
    parent = bench.submit(parent_order(deadline_s=1e6))
    return bench, parent, parent.children[0]


def in_doubt(bench: Bench, child: Child) -> None:
    bench.lost(child, Request.PLACE, Reach.IN_DOUBT)


REACHED: dict[Life, Callable[[Bench, Child], object]] = {
    Life.PENDING_NEW: lambda bench, child: None,
    Life.LIVE: lambda bench, child: bench.ack(child),
    Life.IN_DOUBT: in_doubt,
    Life.ABSENT: lambda bench, child: bench.lost(child, Request.PLACE, Reach.NOT_SENT),
    Life.DONE: lambda bench, child: bench.canceled(child, 0),
}
HAPPENS: dict[Happened, Callable[[Bench, Child], object]] = {
    Happened.ACCEPTED: lambda bench, child: bench.ack(child),
    Happened.REJECTED: lambda bench, child: bench.report(child, ExecType.REJECTED, reject=RejectKind.OTHER),
    Happened.TRADE: lambda bench, child: bench.trade(child, 10, 9_999),
    Happened.FILLED: lambda bench, child: bench.trade(child, LOTS, 9_999),
    Happened.CLOSED: lambda bench, child: bench.report(child, ExecType.EXPIRED, cum=10),
    Happened.CLOSED_UNSTATED: lambda bench, child: bench.report(child, ExecType.CANCELED),
    Happened.REPLACED: lambda bench, child: bench.report(
        child, ExecType.REPLACED, order_lots=LOTS, price_ticks=child.price_ticks
    ),
    Happened.CANCEL_REFUSED: lambda bench, child: bench.report(
        child, ExecType.CANCEL_REJECTED, reject=RejectKind.RATE_LIMITED
    ),
    Happened.CANCEL_UNKNOWN: lambda bench, child: bench.report(
        child, ExecType.CANCEL_REJECTED, reject=RejectKind.UNKNOWN_ORDER
    ),
    Happened.AMEND_REFUSED: lambda bench, child: bench.report(child, ExecType.AMEND_REJECTED),
    Happened.SEEN_OPEN: lambda bench, child: bench.report(child, ExecType.STATUS, status=OrdStatus.NEW, cum=0),
    Happened.NOT_FOUND: lambda bench, child: bench.report(child, ExecType.NOT_FOUND),
    Happened.NOT_SENT: lambda bench, child: bench.lost(child, Request.PLACE, Reach.NOT_SENT),
    Happened.SILENT: lambda bench, child: bench.lost(child, Request.PLACE, Reach.IN_DOUBT),
    Happened.CANCEL_NOT_SENT: lambda bench, child: bench.lost(child, Request.CANCEL, Reach.NOT_SENT),
    Happened.CANCEL_SILENT: lambda bench, child: bench.lost(child, Request.CANCEL, Reach.IN_DOUBT),
    Happened.QUERY_FAILED: lambda bench, child: bench.lost(child, Request.QUERY, Reach.IN_DOUBT),
}
COUNTED = {Happened.TRADE: 10, Happened.FILLED: LOTS, Happened.CLOSED: 10}


def test_only_our_own_conclusion_cannot_be_posted() -> None:
    assert set(Happened) - set(HAPPENS) == {Happened.PROVEN_ABSENT}


@pytest.mark.parametrize(("life", "happened"), list(product(Life, HAPPENS)), ids=lambda one: one.name)
def test_each_cell_in_the_whole_machine(life: Life, happened: Happened) -> None:
    bench, parent, child = bench_with_order()
    REACHED[life](bench, child)
    assert child.life is life
    parent.ledger.check()
    HAPPENS[happened](bench, child)
    verdict = CHILD_TABLE[life, happened]
    assert child.life is (verdict.to if isinstance(verdict, Go) else life)
    counted = 0 if isinstance(verdict, Refuse) else COUNTED.get(happened, 0)
    leaves = LOTS - counted if child.life <= Life.IN_DOUBT else 0
    ledger = parent.ledger
    ledger.check()
    assert (ledger.cum_lots, ledger.over_lots, ledger.working_lots + ledger.in_doubt_lots) == (counted, 0, leaves)
    assert ledger.in_doubt_lots == (leaves if child.life is Life.IN_DOUBT else 0)
    revived = life is Life.ABSENT and isinstance(verdict, Go) and (child.life <= Life.IN_DOUBT or counted > 0)
    halted = bool(bench.core.desk.book_of(parent).halted)
    assert halted is (isinstance(verdict, Refuse) or revived)
    if halted:
        assert parent.life >= ParentLife.STOPPING
    assert (child in parent.open_children) is (child.life <= Life.IN_DOUBT)


@pytest.mark.parametrize(("life", "event"), list(product(ParentLife, ParentEvent)), ids=lambda one: one.name)
def test_each_cell_of_a_parent(life: ParentLife, event: ParentEvent) -> None:
    _, parent, _ = bench_with_order()
    parent.life = life
    verdict = PARENT_TABLE[life, event]
    if isinstance(verdict, Refuse):
        with pytest.raises(AssertionError, match=event.name):
            parent.apply(event)
    else:
        assert parent.apply(event) is verdict
    assert parent.life is (verdict.to if isinstance(verdict, GoParent) else life)
