"""A router's state into bytes. `freeze` is all that has to be done between two turns; the rest can go on beside them.

Parents that are over are most of a large state, and nothing of them changes while they are packed: they are only
listed, and encoded when the pieces are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import TypeVar

from sor.checkpoint.shapes import (
    OWN,
    BookShape,
    ChildShape,
    FitsShape,
    FitWatchShape,
    ForeignShape,
    InForceShape,
    InUseShape,
    Later,
    OpenOrderShape,
    PaceShape,
    ParamsShape,
    ParentShape,
    RealisedShape,
    Retired,
    RetiredOrders,
    RetiredShape,
    RunningShape,
    ShareShape,
    Spent,
    StrayShape,
    TallyShape,
    VenueShape,
    WalletShape,
    Working,
)
from sor.desk import BookKey, VenueState
from sor.fit_watch import FitWatches
from sor.ids import VenueName, VenueOrderId
from sor.in_force import InForce
from sor.instruments import Instrument
from sor.journal.records import encode
from sor.own_book import OwnBook
from sor.packed import Packed, lots_of
from sor.params import Params
from sor.parent import Parent
from sor.router import Core
from sor.tally import Tally

PIECE = 1_000
"""Parents that are over, or orders or digests of them, to a piece: so many are encoded in a millisecond."""
T = TypeVar("T")

_child_fields = attrgetter(*ChildShape.__struct_fields__)
_parent_fields = attrgetter(*ParentShape.__struct_fields__[: -len(OWN)])


class _Table:
    """Instruments by their places, each once."""

    def __init__(self) -> None:
        self._places: dict[Instrument, int] = {}
        self._known: dict[int, int] = {}

    def place(self, instrument: Instrument) -> int:
        """Where it stands, at the end if it is new."""
        place = self._known.get(id(instrument))  # most are one and the same object, and hashing takes a microsecond
        if place is None:
            place = self._known[id(instrument)] = self._places.setdefault(instrument, len(self._places))
        return place

    def rows(self) -> list[Instrument]:
        """All of them."""
        return [*self._places]


class Frozen:
    """The state of one moment, as `pieces`.

    given    how many parents there have been. now_ns: of the last fact.
    """

    def __init__(self, core: Core, fits: FitWatches) -> None:
        self.given = core.parents.given
        self.now_ns = core.now_ns
        self._first = encode(_working(core, fits))
        self._pattern = core.parents.packer.pattern
        retired = core.parents.retired
        self._numbers, self._retired = list(retired), list(retired.values())
        self._orders = [
            (name, list(state.retired), list(state.retired.values())) for name, state in core.desk.venues.items()
        ]
        self._spent = list(core.parents.spent)

    def pieces(self) -> Iterator[bytes]:
        """What a checkpoint is made of; the same for the same state, bit for bit."""
        yield self._first
        for piece in self._later():
            yield encode(piece)

    def _later(self) -> Iterator[Later]:
        parents = zip(self._numbers, self._retired, strict=True)
        while some := list(islice(parents, PIECE)):
            yield self._piece(some)
        for venue, names, numbers in self._orders:
            orders: Iterator[tuple[VenueOrderId, int]] = zip(names, numbers, strict=True)
            while named := list(islice(orders, PIECE)):
                yield RetiredOrders(venue, named)
        digests = iter(sorted(self._spent))
        while spent := list(islice(digests, PIECE)):
            yield Spent(spent)

    def _piece(self, some: Sequence[tuple[int, Packed]]) -> Retired:
        table = _Table()
        rows = [
            RetiredShape(
                no,
                packed.parent_id,
                packed.venue,
                table.place(packed.instrument),
                packed.since_ns,
                self._is_patterned(packed),
                packed.content,
            )
            for no, packed in some
        ]
        return Retired(table.rows(), rows)

    def _is_patterned(self, packed: Packed) -> bool:
        assert packed.pattern in (b"", self._pattern), "packed by a pattern that its packer does not have"
        return bool(packed.pattern)


def freeze(core: Core, fits: FitWatches) -> Frozen:
    """The state as it is now, between two turns; what happens afterwards does not change it.

    fits    as of the same turn.
    """
    assert not core.out, "in the middle of a turn"
    assert not core.parents.keeps, "what keeps every parent is no router's state"
    return Frozen(core, fits)


def _working(core: Core, fits: FitWatches) -> Working:
    table = _Table()
    desk, foreign, retirement, parents = core.desk, core.foreign, core.retirement, core.parents
    return Working(
        now_ns=core.now_ns,
        epoch=desk.epoch,
        session=desk.session,
        in_force=_in_force(core.in_force, table),
        mode=core.breakers.mode,
        mode_reason=core.breakers.mode_reason,
        venues=[_venue(name, state) for name, state in desk.venues.items()],
        books=[_book(key, book) for key, book in desk.books.items()],
        shares=[
            ShareShape(key, strategy, share.leverage, list(share.parents), list(share.lots.items()))
            for key, shares in core.claims.shares.items()
            for strategy, share in shares.items()
        ],
        foreign=ForeignShape(
            strays=[
                StrayShape(name, stray.venue_order_id, stray.found, stray.gone)
                for name, stray in foreign.strays.items()
            ],
            neighbours=list(foreign.neighbours.items()),
            reports=foreign.reports,
            suspects=list(foreign.suspects.items()),
            missed_lots=foreign.missed_lots,
            trades=list(foreign.trades),
        ),
        wallets=[
            WalletShape(
                venue,
                account,
                wallet.asset,
                wallet.base,
                wallet.base_ns,
                list(wallet.entries),
                wallet.expected,
                wallet.first_ns,
                list(wallet.flows.items()),
                wallet.read_ns,
            )
            for (venue, account), wallet in core.wallets.by_account.items()
        ],
        retire_ns=retirement.retire_ns,
        forget_ns=retirement.forget_ns,
        over=retirement.over,
        given=parents.given,
        parents=[_parent(parent, table) for parent in parents.working.values()],
        at_work=list(parents.at_work),
        children=list(desk.children),
        first=parents.packer.first,
        pattern=parents.packer.pattern,
        fits=_fits(fits),
        instruments=table.rows(),
    )


def _parent(parent: Parent, table: _Table) -> ParentShape:
    children = parent.children
    places = {id(child): place for place, child in enumerate(children)} if parent.open_children else {}
    own = (
        parent.no,
        parent.venue,
        table.place(parent.instrument),
        lots_of(parent),
        [ChildShape(*_child_fields(child)) for child in children],
        [places[id(child)] for child in parent.open_children],
    )
    return ParentShape(*(*_parent_fields(parent), *own))


def _venue(name: VenueName, state: VenueState) -> VenueShape:
    return VenueShape(
        name,
        state.capabilities,
        state.identity,
        state.here,
        state.up,
        [
            PaceShape(account, pace.sends, pace.withdrawals, _tally(pace.withdrawn), _tally(pace.traded))
            for account, pace in state.paces.items()
        ],
        [(order_id, child.order.cl_ord_id) for order_id, child in state.orders.items()],
    )


def _tally(tally: Tally) -> TallyShape:
    return TallyShape(tally.steps, tally.before, tally.count)


def _book(key: BookKey, book: OwnBook) -> BookShape:
    return BookShape(
        key=key,
        rests=[(side, list(rests)) for side, rests in book.rests.items()],
        open_lots=list(book.open_lots.items()),
        positions=list(book.positions.items()),
        baselines=list(book.baselines.items()),
        flows=list(book.flows.items()),
        filled_ns=book.filled_ns,
        realised=[
            RealisedShape(side, one.net_lots, one.cost_lot_ticks, one.atoms, one.day)
            for side, one in book.realised.items()
        ],
        reducing=list(book.reducing.items()),
        crosser=list(book.crosser.items()),
        halted=book.halted,
        rejects=book.rejects,
    )


def _in_force(in_force: InForce, table: _Table) -> InForceShape:
    return InForceShape(
        instruments=[table.place(instrument) for instrument in in_force.instruments.values()],
        sets=[(name, one.text) for name, one in in_force.sets.items()],
        default_set=in_force.default_set,
        experiments=[
            RunningShape(
                name,
                running.experiment.text,
                running.since_ns,
                list(running.stopped.items()),
                running.ended,
                running.changed,
            )
            for name, running in in_force.experiments.items()
        ],
        doubted_fits=list(in_force.doubted_fits.values()),
        in_use=[InUseShape(*key, _params(params)) for key, (params, _) in in_force.in_use.items()],
    )


def _params(params: Params) -> ParamsShape:
    within = [(regime, _params(values)) for regime, values in params.regimes.items()]
    return ParamsShape(params.set_id, params.digest, params.as_dict(), params.choices(), within)


def _fits(fits: FitWatches) -> FitsShape:
    return FitsShape(
        now_ns=fits.now_ns,
        predicted=list(fits.predicted.items()),
        open=[
            OpenOrderShape(name, one.fit, one.probability, one.left_lots, one.expire_ns, one.timed_out)
            for name, one in fits.open.items()
        ],
        watches=[
            FitWatchShape(fit, one.stakes, one.orders, one.filled, one.expected, one.withdrawn, one.alarms)
            for fit, one in fits.watches.items()
        ],
        unrecorded=list(fits.unrecorded.values()),
    )
