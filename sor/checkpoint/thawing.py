"""A router's state out of the bytes that `sor.checkpoint.freezing` has made of it; what was shared is shared again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import msgspec

from sor.checkpoint.shapes import (
    AT_WORK,
    BookShape,
    FitsShape,
    ForeignShape,
    InForceShape,
    Later,
    ParamsShape,
    ParentShape,
    Retired,
    RetiredOrders,
    ShareShape,
    Spent,
    TallyShape,
    VenueShape,
    WalletShape,
    Working,
)
from sor.deciding import Decider
from sor.desk import Desk, VenueState, key_of
from sor.errors import JournalFault
from sor.experiment.definition import parse_experiment
from sor.experiment.running import Running
from sor.fit_watch import FitWatch, FitWatches, OpenOrder
from sor.foreign import Foreign, Stray
from sor.in_force import InForce
from sor.instruments import Instrument
from sor.leverage import LeverageClaims, Share
from sor.limits import limits_of
from sor.own_book import OwnBook
from sor.pace import Pace
from sor.packed import Packed, child_of, parent_of
from sor.params import Params, parse
from sor.parent import Parent
from sor.policy import Policy, Schedule
from sor.realised import Realised
from sor.router import Core
from sor.tally import Tally
from sor.wallets import Wallet, Wallets

WHERE = "checkpoint"


@cache
def _first() -> msgspec.msgpack.Decoder[Working]:
    return msgspec.msgpack.Decoder(Working)


@cache
def _later() -> msgspec.msgpack.Decoder[Later]:
    return msgspec.msgpack.Decoder(Later)


def thaw(
    pieces: Iterable[bytes],
    *,
    policies: Mapping[str, Policy],
    schedules: Mapping[str, Schedule],
    decider: Decider,
    keep: bool = False,
) -> tuple[Core, FitWatches]:
    """The state that `Frozen.pieces` has as bytes, and how fits have done by then.

    keep      keep every parent whole from here on; those that are packed are unpacked when they are read.
    Raises    `JournalFault` for bytes of another layout.
    """
    core = Core(policies=policies, schedules=schedules, decider=decider, keep=keep)
    try:
        read = iter(pieces)
        working = _first().decode(next(read))
        _restore(core, working, [_later().decode(piece) for piece in read])
    except (ValueError, StopIteration, LookupError) as error:
        raise JournalFault(f"a checkpoint checks but holds no state that this program knows ({error})") from error
    return core, _fits(working.fits)


def _restore(core: Core, working: Working, later: list[Later]) -> None:
    desk, parents = core.desk, core.parents
    table = working.instruments
    core.now_ns = working.now_ns
    desk.epoch, desk.session = working.epoch, working.session
    _in_force(core.in_force, working.in_force, table)
    core.breakers.mode, core.breakers.mode_reason = working.mode, working.mode_reason
    parents.packer.first = working.first
    parents.packer.pattern = working.pattern
    parents.restore(
        given=working.given,
        working=[_parent(shape, table) for shape in working.parents],
        at_work=working.at_work,
        retired=_retired(later, working.pattern, {one: one for one in table}),
        spent=(digest for piece in later if isinstance(piece, Spent) for digest in piece.digests),
    )
    everyone = {child.order.cl_ord_id: child for one in parents.working.values() for child in one.children}
    desk.children = {name: everyone[name] for name in working.children}
    desk.venues = {shape.venue: _venue(shape, desk) for shape in working.venues}
    for piece in later:
        if isinstance(piece, RetiredOrders):
            desk.venues[piece.venue].retired.update(piece.orders)
    desk.books = {shape.key: _book(shape, desk) for shape in working.books}
    for parent in parents.working.values():
        parent.book = desk.books.get(key_of(parent))
    _claims(core.claims, working.shares, parents.working)
    _foreign(core.foreign, working.foreign)
    _wallets(core.wallets, working.wallets)
    core.retirement.retire_ns, core.retirement.forget_ns = working.retire_ns, working.forget_ns
    core.retirement.over = working.over


def _parent(shape: ParentShape, table: list[Instrument]) -> Parent:
    parent = parent_of(shape.no, shape.venue, table[shape.instrument], shape, shape.lots)
    for name in AT_WORK:
        setattr(parent, name, getattr(shape, name))
    parent.children = [child_of(shape.no, shape.venue, child) for child in shape.children]
    parent.open_children = [parent.children[place] for place in shape.open_children]
    return parent


def _retired(later: list[Later], pattern: bytes, known: dict[Instrument, Instrument]) -> Iterator[tuple[int, Packed]]:
    for piece in later:
        if isinstance(piece, Retired):
            table = [known.setdefault(one, one) for one in piece.instruments]
            for one in piece.parents:
                by = pattern if one.patterned else b""
                yield one.no, Packed(one.parent_id, one.venue, table[one.instrument], one.since_ns, by, one.content)


def _venue(shape: VenueShape, desk: Desk) -> VenueState:
    state = VenueState(shape.capabilities)
    state.identity, state.here, state.up = shape.identity, shape.here, shape.up
    for one in shape.paces:
        pace = state.paces[one.account] = Pace()
        pace.sends, pace.withdrawals = one.sends, one.withdrawals
        pace.withdrawn, pace.traded = _tally(one.withdrawn), _tally(one.traded)
    state.orders = {order_id: desk.children[name] for order_id, name in shape.orders}
    return state


def _tally(shape: TallyShape) -> Tally:
    tally = Tally()
    tally.steps, tally.before, tally.count = shape.steps, shape.before, shape.count
    return tally


def _book(shape: BookShape, desk: Desk) -> OwnBook:
    book = OwnBook()
    book.rests = {side: {name: desk.children[name] for name in names} for side, names in shape.rests}
    book.open_lots = dict(shape.open_lots)
    book.positions = dict(shape.positions)
    book.baselines = dict(shape.baselines)
    book.flows = dict(shape.flows)
    book.filled_ns = shape.filled_ns
    for one in shape.realised:
        realised = book.realised[one.side] = Realised()
        realised.net_lots, realised.cost_lot_ticks = one.net_lots, one.cost_lot_ticks
        realised.atoms, realised.day = one.atoms, one.day
    book.reducing = dict(shape.reducing)
    book.crosser = dict(shape.crosser)
    book.halted, book.rejects = shape.halted, shape.rejects
    return book


def _claims(claims: LeverageClaims, shapes: list[ShareShape], working: dict[int, Parent]) -> None:
    for shape in shapes:
        share = claims.shares.setdefault(shape.key, {})[shape.strategy] = Share()
        share.leverage = shape.leverage
        share.parents = {no: working[no] for no in shape.parents}
        share.lots = dict(shape.lots)


def _foreign(foreign: Foreign, shape: ForeignShape) -> None:
    for one in shape.strays:
        stray = foreign.strays[one.cl_ord_id] = Stray(one.venue_order_id)
        stray.found, stray.gone = one.found, one.gone
    foreign.neighbours = dict(shape.neighbours)
    foreign.reports, foreign.missed_lots = shape.reports, shape.missed_lots
    foreign.suspects = dict(shape.suspects)
    foreign.trades = dict.fromkeys(shape.trades)


def _wallets(wallets: Wallets, shapes: list[WalletShape]) -> None:
    for shape in shapes:
        wallet = wallets.by_account[shape.venue, shape.account] = Wallet(shape.asset, shape.base)
        wallet.expected, wallet.flows = shape.expected, dict(shape.flows)
        wallet.first_ns, wallet.base_ns, wallet.read_ns = shape.first_ns, shape.base_ns, shape.read_ns
        wallet.entries = dict.fromkeys(shape.entries)


def _in_force(in_force: InForce, shape: InForceShape, table: list[Instrument]) -> None:
    for place in shape.instruments:
        instrument = table[place]
        in_force.instruments[instrument.venue, instrument.symbol] = instrument
    in_force.sets = {name: parse(text, where=f"{WHERE} of {name}") for name, text in shape.sets}
    in_force.default_set = shape.default_set
    for one in shape.experiments:
        experiment = parse_experiment(one.text, where=f"{WHERE} of {one.name}")
        in_force.experiments[one.name] = Running(
            experiment=experiment,
            since_ns=one.since_ns,
            stopped=dict(one.stopped),
            ended=one.ended,
            changed=one.changed,
        )
    in_force.doubted_fits = {(fact.policy, fact.digest): fact for fact in shape.doubted_fits}
    for used in shape.in_use:
        params = _params(used.params)
        in_force.in_use[used.name, used.venue, used.symbol] = params, limits_of(params)


def _params(shape: ParamsShape) -> Params:
    return Params(
        set_id=shape.set_id,
        digest=shape.digest,
        values=shape.values,
        choices=shape.choices,
        within={regime: _params(values) for regime, values in shape.within},
    )


def _fits(shape: FitsShape) -> FitWatches:
    fits = FitWatches()
    fits.now_ns = shape.now_ns
    fits.predicted = dict(shape.predicted)
    for one in shape.open:
        fits.open[one.cl_ord_id] = OpenOrder(
            one.fit, one.probability, one.left_lots, one.expire_ns, timed_out=one.timed_out
        )
    for each in shape.watches:
        watch = fits.watches[each.fit] = FitWatch()
        watch.stakes = each.stakes
        watch.orders, watch.filled, watch.expected = each.orders, each.filled, each.expected
        watch.withdrawn, watch.alarms = each.withdrawn, each.alarms
    fits.unrecorded = {doubt.fit: doubt for doubt in shape.unrecorded}
    return fits
