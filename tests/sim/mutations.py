"""Bugs planted on purpose, each in one place of the product: what a simulator that is worth its time must catch.

Each is a mistake that somebody has made in earnest (field notes, section 1) or that this code could make. They can be
switched on here only: a plant replaces something for as long as the patch lives. What caught each, and how soon, is in
docs/reliability.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest

import sor.checkpoint.thawing
import sor.child
import sor.desk
import sor.packed
import sor.parents
import sor.records
from sor.adapter import NewOrder, Reach, Request
from sor.child import Child, Go, Happened, Life, Pending, Verdict
from sor.commands import Cancel, Place
from sor.desk import Desk, Effect
from sor.dispatch import Dispatcher, _Time
from sor.engine import Router
from sor.events import FlowCause
from sor.experiment.assigned import Assigned
from sor.fills import fills_of as true_fills
from sor.foreign import Foreign
from sor.handle import ParentHandle
from sor.ids import ClOrdId, ParentId, VenueName
from sor.instruments import Instrument
from sor.journal import Durability, Journal
from sor.journal.layout import Meta
from sor.limits import Limits
from sor.orders import ExecType, ExecutionReport, Fill, Intent, ParentOrder, ParentStatus, Side
from sor.packed import Packed, Packer, kept_whole
from sor.parent import Parent, ParentLife
from sor.parents import Parents
from sor.reasons import EndReason
from sor.retirement import Retirement
from sor.rig import Draw
from sor.settling import Settling
from sor.sim.lives import CoreLife
from sor.tally import Tally
from sor.tca.money import scale_of
from sor.units import NS

Plant = Callable[[pytest.MonkeyPatch], None]


def retable(patch: pytest.MonkeyPatch, happened: Happened, to: Life, *, within: Iterable[Life]) -> None:
    """In these lives, `happened` leads to `to`."""
    flat: list[Verdict] = list(sor.child._FLAT)
    for life in within:
        flat[life * len(Happened) + happened] = Go(to)
    patch.setattr(sor.child, "_FLAT", tuple(flat))


# --- doubt ------------------------------------------------------------------------------------------------------------


def retry_blindly(patch: pytest.MonkeyPatch) -> None:
    """Silence is taken for a refusal: its lots are free, and sent again (D3)."""
    patch.setitem(sor.desk.LOST, (Request.PLACE, Reach.IN_DOUBT), Happened.NOT_SENT)


def doubt_is_free(patch: pytest.MonkeyPatch) -> None:
    """What is in doubt is looked up, but its lots are not held meanwhile (D2)."""
    patch.setattr(
        Child,
        "leaves_lots",
        property(lambda self: max(0, self.reserved_lots - self.counted_lots) if self.life < Life.IN_DOUBT else 0),
    )


def not_found_is_absence(patch: pytest.MonkeyPatch) -> None:
    """The first "not found" counts, however early it was asked."""
    patch.setattr(Desk, "_proven_absent", lambda self, child: child.life is Life.IN_DOUBT)


def no_receive_window(patch: pytest.MonkeyPatch) -> None:
    """A lookup and a refused cancel prove absence while the request may still arrive."""
    patch.setattr(Desk, "proof_ns", lambda self, child: child.sent_ns)


def doubt_is_never_asked(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks up what is in doubt."""
    patch.setattr(Desk, "_gather", lambda self, child, now_ns, limits: None)


def forget_doubt_on_restart(patch: pytest.MonkeyPatch) -> None:
    """A new process takes what the old one had on its way for never sent."""

    def session_lost(self: Desk, parent: Parent, child: Child, now_ns: int) -> None:
        del now_ns
        if child.life in (Life.PENDING_NEW, Life.IN_DOUBT):
            child.life = Life.ABSENT
            child.pending = Pending.NONE
            self._enter(parent, child)
            parent.close(child)

    patch.setattr(Desk, "session_lost", session_lost)


# --- fills ------------------------------------------------------------------------------------------------------------


def counting(patch: pytest.MonkeyPatch, count: Callable[[Child, ExecutionReport, Callable[[], int]], int]) -> None:
    """Count otherwise; the third argument counts as it should be."""
    original = Child.count

    def changed(self: Child, report: ExecutionReport, mid_hticks: int) -> int:
        return count(self, report, lambda: original(self, report, mid_hticks))

    patch.setattr(Child, "count", changed)


def drop_late_fills(patch: pytest.MonkeyPatch) -> None:
    """An order that is over, or asked to go, cannot fill any more."""
    counting(patch, lambda child, report, count: 0 if child.closed or child.pending is Pending.CANCEL else count())


def count_again(patch: pytest.MonkeyPatch) -> None:
    """A fill that comes twice, as acknowledgement and as push, is counted twice (R3)."""

    def again(child: Child, report: ExecutionReport, count: Callable[[], int]) -> int:
        child.by_exec.pop(report.exec_id, None)
        return count()

    counting(patch, again)


def trust_trades_alone(patch: pytest.MonkeyPatch) -> None:
    """The total that a venue states proves nothing: a lost trade stays lost."""
    counting(patch, lambda child, report, count: count() if report.exec_type is ExecType.TRADE else 0)


def count_on_top(patch: pytest.MonkeyPatch) -> None:
    """A trade that comes after the total which proved it is counted on top of it."""

    def on_top(child: Child, report: ExecutionReport, count: Callable[[], int]) -> int:
        if report.exec_type is ExecType.TRADE and report.exec_id not in child.by_exec:
            child.floor_lots += report.last_lots
        return count()

    counting(patch, on_top)


def canceled_is_filled(patch: pytest.MonkeyPatch) -> None:
    """The quantity of a canceled order is taken for what it filled."""
    original = Child.count

    def count(self: Child, report: ExecutionReport, mid_hticks: int) -> int:
        if report.exec_type is ExecType.CANCELED:
            report = msgspec.structs.replace(report, cum_lots=self.qty_lots)
        return original(self, report, mid_hticks)

    patch.setattr(Child, "count", count)


def sells_move_no_position(patch: pytest.MonkeyPatch) -> None:
    """The position forgets what was sold."""
    original = Desk.report

    def report(
        self: Desk, parent: Parent, child: Child, told: ExecutionReport, *, mid_hticks: int, now_ns: int, limits: Limits
    ) -> Effect:
        effect = original(self, parent, child, told, mid_hticks=mid_hticks, now_ns=now_ns, limits=limits)
        positions, side = self.book_of(parent).positions, parent.order.position_side
        if parent.side is Side.SELL and side in positions:
            positions[side] += effect.new_lots
        return effect

    patch.setattr(Desk, "report", report)


# --- cancels and ends -------------------------------------------------------------------------------------------------


def cross_before_the_cancel_is_known(patch: pytest.MonkeyPatch) -> None:
    """An order that is asked to go holds nothing any more, and nobody waits for the answer (D4)."""

    def leaves(child: Child) -> int:
        gone = child.life > Life.IN_DOUBT or child.pending is Pending.CANCEL
        return 0 if gone else max(0, child.reserved_lots - child.counted_lots)

    def busy(self: Settling, parent: Parent) -> bool:
        for child in tuple(parent.open_children):
            self._desk._enter(parent, child)
        return any(child.life is Life.PENDING_NEW for child in parent.open_children)

    patch.setattr(Child, "leaves_lots", property(leaves))
    patch.setattr(Settling, "_busy", busy)


def refused_cancel_is_canceled(patch: pytest.MonkeyPatch) -> None:
    """A cancel that came too late is taken for done: what had filled is nobody's (B10)."""
    retable(patch, Happened.CANCEL_REFUSED, Life.DONE, within=(Life.LIVE, Life.IN_DOUBT))


def unknown_to_a_cancel_is_gone(patch: pytest.MonkeyPatch) -> None:
    """A cancel that finds nothing proves that nothing will come."""
    retable(patch, Happened.CANCEL_UNKNOWN, Life.DONE, within=(Life.LIVE, Life.IN_DOUBT))


def silent_cancel_is_canceled(patch: pytest.MonkeyPatch) -> None:
    """A cancel without an answer is taken for done."""
    retable(patch, Happened.CANCEL_SILENT, Life.DONE, within=(Life.LIVE, Life.IN_DOUBT))


def end_with_orders_resting(patch: pytest.MonkeyPatch) -> None:
    """A parent that is stopped is over at once (R2)."""
    original = Settling.stop

    def stop(self: Settling, parent: Parent, status: ParentStatus, reason: EndReason, text: str) -> None:
        original(self, parent, status, reason, text)
        parent.open_children.clear()

    patch.setattr(Settling, "stop", stop)


def amends_hold_nothing(patch: pytest.MonkeyPatch) -> None:
    """While an amend to more is on its way, only the old quantity is held, though either may fill."""
    original = Child.reserve_amend

    def reserve_amend(self: Child, *, qty_lots: int, price_ticks: int) -> None:
        held = self.reserved_lots
        original(self, qty_lots=qty_lots, price_ticks=price_ticks)
        self.reserved_lots = held

    patch.setattr(Child, "reserve_amend", reserve_amend)


def amends_are_in_force_when_asked_for(patch: pytest.MonkeyPatch) -> None:
    """The terms that an amend asks for are in force when it is sent, whatever becomes of it."""
    original = Child.reserve_amend

    def reserve_amend(self: Child, *, qty_lots: int, price_ticks: int) -> None:
        original(self, qty_lots=qty_lots, price_ticks=price_ticks)
        self.qty_lots, self.price_ticks = qty_lots, price_ticks

    patch.setattr(Child, "reserve_amend", reserve_amend)


def cancel_once(patch: pytest.MonkeyPatch) -> None:
    """Nobody asks what became of a cancel."""
    original = Desk.tend

    def tend(self: Desk, parent: Parent, child: Child, now_ns: int, limits: Limits) -> None:
        if child.pending is not Pending.CANCEL:
            original(self, parent, child, now_ns, limits)

    patch.setattr(Desk, "tend", tend)


def work_past_the_deadline(patch: pytest.MonkeyPatch) -> None:
    """Every parent has half a minute more than was said."""
    original = Parent.__init__

    def init(
        self: Parent,
        *,
        no: int,
        order: ParentOrder,
        intent: Intent | None,
        venue: object,
        instrument: Instrument,
        set_name: str,
        now_ns: int,
        assigned: Assigned | None = None,
    ) -> None:
        original(
            self,
            no=no,
            order=order,
            intent=intent,
            venue=venue,  # type: ignore[arg-type]
            instrument=instrument,
            set_name=set_name,
            now_ns=now_ns,
            assigned=assigned,
        )
        self.deadline_ns += 30 * NS

    patch.setattr(Parent, "__init__", init)


# --- journal, ids, timers ---------------------------------------------------------------------------------------------


def cancels_leave_unrecorded(patch: pytest.MonkeyPatch) -> None:
    """A wish is carried out that the journal does not have (D9)."""
    patch.setattr(Dispatcher, "post", _with_unrecorded_cancels(Dispatcher.post))


def _with_unrecorded_cancels(original: Callable[..., None]) -> Callable[..., None]:
    def post(self: Dispatcher, fact: object) -> None:
        self._ways[Cancel] = (self._cancel, _Time.AFTER)
        original(self, fact)

    return post


def write_behind(patch: pytest.MonkeyPatch) -> None:
    """What was sent last is not in the journal yet when the process dies (D9)."""
    original = CoreLife.kill

    def kill(self: CoreLife) -> None:
        turns = self.ground.tape.turns
        if any(isinstance(record, Place) for record in turns[-1]) or len(turns) > 20:
            del turns[-3:]
        original(self)

    patch.setattr(CoreLife, "kill", kill)


def ids_come_again(patch: pytest.MonkeyPatch) -> None:
    """Client order ids are counted among what is open, so they repeat (B9)."""

    def next_id(self: Desk, parent: Parent, *, closing: bool) -> ClOrdId:
        codec = self.venues[parent.venue].capabilities.client_ids
        count = len(parent.open_children) + 1
        return codec.encode(self.epoch, parent.no, count, closing=closing, session=self.session)

    patch.setattr(Desk, "next_id", next_id)


def sent_twice(patch: pytest.MonkeyPatch) -> None:
    """Every order goes out twice, under one id."""

    def place(self: Dispatcher, wish: Place) -> None:
        order: NewOrder = wish.order
        for _ in range(2):
            self.venues[wish.venue].submit(order)

    patch.setattr(Dispatcher, "_place", place)


def timers_are_lost(patch: pytest.MonkeyPatch) -> None:
    """A timer that was put off is not set again."""
    original = Dispatcher._wake

    def wake(self: Dispatcher, parent_no: int) -> None:
        if self._armed.get(parent_no, 0) > self.scheduler.now_ns():
            del self._armed[parent_no]
        original(self, parent_no)

    patch.setattr(Dispatcher, "_wake", wake)


# --- what is reported -------------------------------------------------------------------------------------------------


def fees_change_sign(patch: pytest.MonkeyPatch) -> None:
    """A fee that was paid is booked as received."""
    original = Child.count

    def count(self: Child, report: ExecutionReport, mid_hticks: int) -> int:
        if report.fee_atoms is not None:
            report = msgspec.structs.replace(report, fee_atoms=-report.fee_atoms)
        return original(self, report, mid_hticks)

    patch.setattr(Child, "count", count)


def costs_forget_a_fill(patch: pytest.MonkeyPatch) -> None:
    """The report of costs leaves out the last fill of an order that took several."""

    def fills_of(child: Child, *, parent_id: ParentId, instrument: Instrument) -> list[Fill]:
        fills = true_fills(child, parent_id=parent_id, instrument=instrument)
        return fills[:-1] if len(fills) > 1 else fills

    patch.setattr(sor.records, "fills_of", fills_of)


def costs_are_doubled(patch: pytest.MonkeyPatch) -> None:
    """Half-ticks are taken for ticks."""
    patch.setattr(sys.modules["sor.tca.report"], "scale_of", lambda instrument: 2 * scale_of(instrument))


def fill_at_the_limit(patch: pytest.MonkeyPatch) -> None:
    """A fill is booked at the price that the order asked for, not at the one it got."""
    original = Child.count

    def count(self: Child, report: ExecutionReport, mid_hticks: int) -> int:
        if report.exec_type is ExecType.TRADE and self.mid_hticks:
            report = msgspec.structs.replace(report, last_ticks=self.price_ticks or self.mid_hticks // 2)
        return original(self, report, mid_hticks)

    patch.setattr(Child, "count", count)


# --- the shell, which only the stack has -----------------------------------------------------------------------------


def turns_are_not_synced(patch: pytest.MonkeyPatch) -> None:
    """A journal that is to survive a loss of power is handed to the kernel and no further (D9)."""
    original = Journal.__init__

    def init(
        self: Journal,
        directory: Path,
        lock_fd: int,
        meta: Meta,
        durability: Durability,
        segment_bytes: int,
        sync: Callable[[int], None],
    ) -> None:
        del durability
        original(self, directory, lock_fd, meta, Durability.KERNEL, segment_bytes, sync)

    patch.setattr(Journal, "__init__", init)


def callers_are_not_told(patch: pytest.MonkeyPatch) -> None:
    """A router that was started again tells nobody of the end of what it found in its journal."""
    original = Router.handle

    def handle(self: Router, parent_id: ParentId) -> ParentHandle:
        found = original(self, parent_id)
        self._handles._handles.pop(found.parent.no)
        self._handles._at_work.pop(found.parent.no, None)
        return found

    patch.setattr(Router, "handle", handle)


# --- what is over -----------------------------------------------------------------------------------------------------


def retire_in_doubt(patch: pytest.MonkeyPatch) -> None:
    """A parent whose end is decided is retired while it is in doubt whether an order of it is at the venue."""

    def is_over(self: Retirement, parent: Parent) -> bool:
        del self
        return all(child.life is Life.IN_DOUBT for child in parent.open_children)

    def stop(self: Settling, parent: Parent, *why: object) -> None:
        before = parent.life
        true_stop(self, parent, *why)  # type: ignore[arg-type]  # as it was called
        if parent.life is not before and parent.open_children:
            self._retirement.ended(parent, parent.heard_ns)

    def give_up(parent: Parent) -> None:
        parent.life = ParentLife.DONE
        parent.open_children.clear()

    def retire(self: Packer, parent: Parent, now_ns: int) -> Packed:
        give_up(parent)
        return true_pack(self, parent, now_ns)

    def retire_whole(parent: Parent, now_ns: int) -> Packed:
        give_up(parent)
        return kept_whole(parent, now_ns)

    def finish(self: Settling, parent: Parent, now: int) -> None:
        over = self._retirement.over
        over[:] = sorted(one for one in over if one[1] != parent.no)
        true_finish(self, parent, now)

    true_stop, true_finish, true_pack = Settling.stop, Settling._finish, Packer.pack
    patch.setattr(Settling, "_finish", finish)
    patch.setattr(Retirement, "_is_over", is_over)
    patch.setattr(Settling, "stop", stop)
    patch.setattr(Packer, "pack", retire)
    patch.setattr(sor.parents, "kept_whole", retire_whole)


def retired_orders_forget_their_fills(patch: pytest.MonkeyPatch) -> None:
    """Of the fills of a retired parent the sum is kept, and not which they were."""
    original = sor.packed.child_of

    def child(parent_no: int, venue: VenueName, kept: sor.packed.PackedChild) -> Child:
        found = original(parent_no, venue, kept)
        found.by_exec.clear()
        return found

    patch.setattr(sor.packed, "child_of", child)


def forget_at_work(patch: pytest.MonkeyPatch) -> None:
    """Parents are forgotten by when they were handed in, one whose orders still rest or are in doubt among them."""
    original = Retirement._forget

    def forget(self: Retirement, now: int) -> None:
        original(self, now)
        for parent in [one for one in self._parents.working.values() if not one.ended]:
            if now - parent.accepted_ns >= self.forget_ns:
                self._desk.retire(parent)
                self._parents.at_work.pop(parent.no, None)
                del self._parents.working[parent.no]

    patch.setattr(Retirement, "_forget", forget)


def numbers_come_again(patch: pytest.MonkeyPatch) -> None:
    """The next parent's number is counted from those that are remembered, so forgotten ones' order ids repeat (B9)."""
    original = Parents.forget

    def forget(self: Parents, no: int) -> None:
        original(self, no)
        self.given = max((*self.working, *self.retired), default=0)

    patch.setattr(Parents, "forget", forget)


def forgotten_orders_trade_again(patch: pytest.MonkeyPatch) -> None:
    """A trade of an order that is forgotten is nobody's, so it moves the position, though it was counted long ago."""
    original = Foreign.reported

    def reported(self: Foreign, report: ExecutionReport) -> None:
        original(self, report)
        if report.exec_type is ExecType.TRADE:
            for (venue, _, symbol), book in self._desk.books.items():
                if (venue, symbol) == (report.venue, report.symbol):
                    for side in book.positions:
                        book.move(side, FlowCause.STRAY, report.last_lots)

    patch.setattr(Foreign, "reported", reported)


def checkpoints_are_of_another_turn(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint is taken for one of the turn before."""
    original = CoreLife.checkpoint

    def checkpoint(self: CoreLife, way: str, draw: Draw) -> None:
        original(self, way, draw)
        kept = self.ground.tape.kept
        if kept:
            turn, pieces = kept[-1]
            kept[-1] = turn - 1, pieces

    patch.setattr(CoreLife, "checkpoint", checkpoint)


def checkpoints_forget_who_was_heard_of(patch: pytest.MonkeyPatch) -> None:
    """Whoever goes on from a checkpoint does not know that a venue has shown that it knows an order."""
    original = sor.packed.child_of

    def child(parent_no: int, venue: VenueName, kept: sor.packed.PackedChild) -> Child:
        found = original(parent_no, venue, kept)
        found.heard = False
        return found

    patch.setattr(sor.checkpoint.thawing, "child_of", child)


def checkpoints_forget_the_pace(patch: pytest.MonkeyPatch) -> None:
    """Whoever goes on from a checkpoint has cancelled nothing yet, as far as he knows."""
    patch.setattr(sor.checkpoint.thawing, "_tally", lambda shape: Tally())


STACK_MUTATIONS: tuple[Plant, ...] = (turns_are_not_synced, callers_are_not_told)
MUTATIONS: tuple[Plant, ...] = (
    checkpoints_are_of_another_turn,
    checkpoints_forget_who_was_heard_of,
    checkpoints_forget_the_pace,
    retry_blindly,
    doubt_is_free,
    not_found_is_absence,
    no_receive_window,
    doubt_is_never_asked,
    forget_doubt_on_restart,
    drop_late_fills,
    count_again,
    trust_trades_alone,
    count_on_top,
    canceled_is_filled,
    sells_move_no_position,
    cross_before_the_cancel_is_known,
    refused_cancel_is_canceled,
    unknown_to_a_cancel_is_gone,
    silent_cancel_is_canceled,
    end_with_orders_resting,
    amends_hold_nothing,
    amends_are_in_force_when_asked_for,
    cancel_once,
    work_past_the_deadline,
    cancels_leave_unrecorded,
    write_behind,
    ids_come_again,
    sent_twice,
    timers_are_lost,
    fees_change_sign,
    costs_forget_a_fill,
    costs_are_doubled,
    fill_at_the_limit,
    retire_in_doubt,
    retired_orders_forget_their_fills,
    forget_at_work,
    numbers_come_again,
    forgotten_orders_trade_again,
)
