"""A state into bytes and back: nothing of it is lost, what is shared stays shared, and what is not known is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec
import pytest

from sor.adapter import MoneyCause, MoneyEntry
from sor.checkpoint import freeze, layout, shapes, thaw
from sor.checkpoint.freezing import PIECE
from sor.child import Child
from sor.commands import Gone
from sor.decide import Recorded as RecordedDecisions
from sor.desk import Desk, VenueState, key_of
from sor.errors import JournalFault
from sor.events import (
    AnyFact,
    Contradicted,
    ExperimentAdopted,
    FitContradicted,
    FlowCause,
    ForeignTrade,
    NeighbourFound,
    ParamsAdopted,
    PositionMoved,
    Reading,
    Shadowed,
    StrayFound,
    WalletKnown,
    WalletMoved,
)
from sor.experiment.running import Running
from sor.fit_watch import Doubt, Fit, FitWatch, FitWatches, OpenOrder
from sor.foreign import Stray
from sor.ids import AccountId, ClOrdId, ExecId, ParentId, StrategyId, VenueOrderId
from sor.journal.records import fingerprint_of
from sor.leverage import Share
from sor.orders import ExecType, PositionSide, Side
from sor.own_book import OwnBook
from sor.pace import Pace
from sor.packed import Packed, Packer
from sor.parent import Parent
from sor.policy import Decision
from sor.realised import Realised
from sor.recovery import Begun, fold_on
from sor.revisit import Revisit
from sor.router import Core
from sor.tally import Tally
from sor.units import NS
from sor.wallets import Wallet
from tests.fakes.bench import BTC, A, Bench, param_text, parent_order, pieces_of
from tests.fakes.experiments import experiment_text
from tests.fakes.policies import Wanting, decision, rest, take
from tests.fakes.walk import LEFT_ASIDE, fields_of, walked

ACCOUNT = AccountId("default")
TAKES, RESTS = ("gone", "over", "late", "short"), ("rests", "doubted")


def thawed(bench: Bench, *, keep: bool = False) -> Core:
    decider = bench.core.deciding.decider
    return thaw(pieces_of(bench.core), policies=bench.policies, schedules=bench.schedules, decider=decider, keep=keep)[
        0
    ]


def busy() -> Bench:
    """A core with something of nearly everything: at work, over, retired, recalled, forgotten, foreign, in doubt."""
    wanting = Wanting()
    for name in TAKES:
        wanting.wishes[ParentId(name)] = lambda view: decision(take(A, view.open_lots, 10_000 + 5 * view.side))
    for name in RESTS:
        wanting.wishes[ParentId(name)] = lambda view: decision(
            rest(A, view.open_lots, 9_999, until_ns=view.now_ns + 3_600 * NS)
        )
    bench = Bench(wanting, retire_ns=NS, forget_ns=20 * NS)
    bench.position(0)
    for name in TAKES[:3]:
        (child,) = bench.submit(parent_order(name)).children
        bench.report(child, ExecType.NEW, venue_order_id=f"v-{name}")
        bench.trade(child, 40, 10_001, exec_id=f"{name}-a")
        bench.trade(child, 60, 10_002, exec_id=f"{name}-b")
        for _ in range(12 if name == "gone" else 0):
            bench.run_for(2 * NS)
            bench.down()
            bench.up("acct-1")
    for _ in range(4):
        bench.run_for(2 * NS)
        bench.down()
        bench.up("acct-1")
    for name in RESTS:
        bench.ack(bench.submit(parent_order(name, deadline_s=900.0)).children[0])
    rests, doubted = (bench.core.by_id[ParentId(name)].children[0] for name in RESTS)
    bench.report(rests, ExecType.NEW, venue_order_id="v-rests")
    bench.trade(rests, 10, 9_999, exec_id="rests-a")
    bench.post(
        Contradicted(now_ns=bench.now_ns, cl_ord_id=doubted.order.cl_ord_id, by=Reading.OPEN_ORDERS, text="gone")
    )
    bench.report(bench.core.parents[2].children[0], ExecType.TRADE, lots=5, ticks=10_003, exec_id="late-c")
    for fact in unusual(bench.now_ns):
        bench.post(fact)
    bench.submit(parent_order("short", strategy=StrategyId("other")))
    return bench


def unusual(now_ns: int) -> list[AnyFact]:
    """Facts that seldom come."""
    trade = ForeignTrade(ExecId("f"), ClOrdId(""), VenueOrderId("vf"), Side.BUY, 3, 10_000, now_ns)
    entry = MoneyEntry("m", MoneyCause.FEE, "COMMISSION", Decimal("-0.50"), "USDT", now_ns)
    text = experiment_text(("scripted", "baseline"), ("scripted", "baseline"))
    return [
        PositionMoved(
            now_ns=now_ns,
            venue=A,
            account=ACCOUNT,
            symbol=BTC,
            position_side=PositionSide.BOTH,
            cause=FlowCause.MANUAL,
            by=Reading.FILLS,
            qty_lots=3,
            trades=(trade,),
        ),
        WalletKnown(now_ns=now_ns, venue=A, account=ACCOUNT, asset="USDT", amount=Decimal("100.00"), venue_ns=1),
        WalletMoved(
            now_ns=now_ns,
            venue=A,
            account=ACCOUNT,
            cause=MoneyCause.FEE,
            by=Reading.MONEY,
            amount=Decimal("-0.50"),
            entries=(entry,),
        ),
        StrayFound(
            now_ns=now_ns,
            venue=A,
            symbol=BTC,
            cl_ord_id=ClOrdId("x"),
            venue_order_id=VenueOrderId("vx"),
            side=Side.BUY,
            price_ticks=9_990,
            leaves_lots=3,
        ),
        NeighbourFound(now_ns=now_ns, venue=A, epoch=99, cl_ord_ids=(ClOrdId("n"),)),
        ParamsAdopted(now_ns=now_ns, name="other", digest="", text=param_text({"placement.collar_bps": "7"})),
        FitContradicted(
            now_ns=now_ns, policy="p", set_id="baseline", digest="d", orders=9, filled=1, expected=7.5, text="off"
        ),
        ExperimentAdopted(now_ns=now_ns, name="trial", digest="", text=text),
        Shadowed(
            now_ns=now_ns,
            parent_no=4,
            shadow="s",
            policy="scripted",
            set_id="baseline",
            params_digest="",
            decision=Decision(placements=(), revisit=Revisit(), reason="r", memory={"b": 1.0, "a": 2.0}),
            vetoes=(),
        ),
    ]


def watching() -> FitWatches:
    fits = FitWatches()
    fit = Fit("p", "set/2026-11-21", "d", fitted=True)
    fits.now_ns = 5
    fits.predicted[3] = fit, 0.25
    fits.open[ClOrdId("c")] = OpenOrder(fit, 0.5, 7, 9, timed_out=True)
    fits.watches[fit] = FitWatch()
    fits.watches[fit].add(probability=0.75, filled=False)
    fits.unrecorded[fit] = Doubt(fit, 1, 0, 0.75, "off")
    return fits


class More(shapes.TallyShape, frozen=True, array_like=True):
    """A shape with a field more."""

    kept_more: int


class WithMore(msgspec.Struct, array_like=True):
    """Has it somewhere below."""

    tally: list[tuple[str, More]]


class WithTally(msgspec.Struct, array_like=True):
    """Has the one that there is."""

    tally: list[tuple[str, shapes.TallyShape]]


class ShortFit(NamedTuple):
    """Has a field less."""

    policy: str


# --- nothing is lost --------------------------------------------------------------------------------------------------


def test_everything_that_can_be_reached_is_there_again_and_shared_as_it_was() -> None:
    bench = busy()
    core = bench.core
    states = core.desk.venues[A]
    assert core.parents.retired
    assert states.retired
    assert [*core.parents.spent]
    assert core.foreign.suspects
    assert any(parent.recalled for parent in core.parents.working.values())
    again = thawed(bench)
    assert walked(again) == walked(core)
    for parent in again.parents.working.values():
        assert parent.book is again.desk.books[key_of(parent)]
        assert all(again.desk.children[child.order.cl_ord_id] is child for child in parent.children)


def test_the_same_state_is_the_same_bytes_again() -> None:
    bench = busy()
    pieces = pieces_of(bench.core)
    again = thawed(bench)
    assert pieces_of(again) == pieces
    assert [parent.id for parent in again.parents] == [parent.id for parent in bench.core.parents]
    assert [*again.by_id] == [*bench.core.by_id]


def test_what_goes_on_from_there_wishes_for_the_same() -> None:
    bench = busy()
    again = thawed(bench)
    for _ in range(40):
        before = len(bench.turns)
        bench.run_for(5 * NS)
        bench.down()
        bench.up("acct-1")
        for fact, wishes in bench.turns[before:]:
            assert again.step(fact) == wishes
        assert pieces_of(again) == pieces_of(bench.core)


def test_what_happens_later_does_not_change_what_was_frozen() -> None:
    bench = busy()
    expected = pieces_of(bench.core)
    frozen = freeze(bench.core, FitWatches())
    for _ in range(5):
        bench.run_for(30 * NS)
        bench.down()
        bench.up()
    assert pieces_of(bench.core) != expected
    assert list(frozen.pieces()) == expected


def test_how_fits_have_done_is_there_again() -> None:
    bench, fits = busy(), watching()
    pieces = list(freeze(bench.core, fits).pieces())
    core, again = thaw(pieces, policies={}, schedules={}, decider=RecordedDecisions())
    assert walked(again) == walked(fits)
    assert list(freeze(core, again).pieces()) == pieces


def test_many_that_are_over_are_pieces_of_their_own() -> None:
    bench = busy()
    (no, packed), *_ = bench.core.parents.retired.items()
    many = [
        (no, packed),
        *((at, msgspec.structs.replace(packed, parent_id=ParentId(f"m{at}"))) for at in range(9, 2_600)),
    ]
    bench.core.parents.given, working = 0, [*bench.core.parents.working.values()]
    bench.core.parents.restore(
        given=2_600, working=working, at_work=[*bench.core.parents.at_work], retired=many, spent=range(PIECE + 1)
    )
    bench.core.desk.venues[A].retired = {VenueOrderId(f"v{at}"): at for at in range(9, 2_600)}
    assert len(pieces_of(bench.core)) == 1 + 3 + 3 + 2
    again = thawed(bench)
    assert walked(again.parents.retired) == walked(bench.core.parents.retired)
    assert again.desk.venues[A].retired == bench.core.desk.venues[A].retired
    assert (sorted(again.parents.spent), pieces_of(again)) == ([*range(PIECE + 1)], pieces_of(bench.core))


def test_for_whoever_reads_everything_is_kept_from_there_on() -> None:
    bench = busy()
    retired = [*bench.core.parents.retired]
    turns, before = bench.journal, len(bench.journal)
    reader = thawed(bench, keep=True)
    for _ in range(40):
        bench.run_for(5 * NS)
        bench.down()
        bench.up("acct-1")
    assert not set(retired) & {parent.no for parent in bench.core.parents}
    decisions = RecordedDecisions()
    reader.deciding.decider = decisions
    fold_on(Begun(reader, FitWatches()), turns[before:], decisions)
    assert {parent.no for parent in reader.parents} == {*retired, *range(2, bench.core.parents.given + 1)}
    assert reader.parents[1].ledger.cum_lots == 100


# --- no field is forgotten --------------------------------------------------------------------------------------------

BY_SHAPE: list[tuple[type, type[msgspec.Struct], set[str]]] = [
    (Child, shapes.ChildShape, {"parent_no", "venue", "by_exec"}),
    (Parent, shapes.ParentShape, {"ledger", "side"}),
    (VenueState, shapes.VenueShape, {"retired"}),
    (Pace, shapes.PaceShape, set()),
    (Tally, shapes.TallyShape, set()),
    (OwnBook, shapes.BookShape, set()),
    (Realised, shapes.RealisedShape, set()),
    (Share, shapes.ShareShape, set()),
    (Stray, shapes.StrayShape, set()),
    (Wallet, shapes.WalletShape, set()),
    (OpenOrder, shapes.OpenOrderShape, set()),
    (Running, shapes.RunningShape, {"experiment"}),
    (Packed, shapes.RetiredShape, {"pattern"}),
]
"""Classes, their shapes, and which of their fields are found elsewhere or worked out again."""


@pytest.mark.parametrize(("kind", "shape", "elsewhere"), BY_SHAPE)
def test_every_field_has_a_place_in_a_shape(kind: type, shape: type[msgspec.Struct], elsewhere: set[str]) -> None:
    known = set(getattr(kind, "__struct_fields__", ())) or set(getattr(kind, "__slots__", ()))
    assert known - LEFT_ASIDE - {*shape.__struct_fields__} == elsewhere


def test_every_part_of_the_core_has_its_state_in_the_first_piece() -> None:
    core = busy().core
    parts = {
        "parents",
        "by_id",
        "desk",
        "in_force",
        "claims",
        "foreign",
        "wallets",
        "retirement",
        "settling",
        "breakers",
    }
    parts |= {"deciding", "reports"}
    assert {*fields_of(core)} == {*parts, "now_ns", "out"}
    refers = {f"_{part}" for part in parts} | {"out", "_out"}
    state = {
        "parents": {"given", "working", "at_work", "packer", "_keep", "_retired", "_numbers", "_spent"},
        "desk": {"epoch", "session", "venues", "children", "books"},
        "in_force": {"instruments", "sets", "default_set", "experiments", "doubted_fits", "in_use"},
        "claims": {"shares"},
        "foreign": {*shapes.ForeignShape.__struct_fields__},
        "wallets": {"by_account"},
        "retirement": {"retire_ns", "forget_ns", "over"},
        "settling": set(),
        "breakers": {"mode", "mode_reason"},
        "deciding": set(),
        "reports": set(),
    }
    for name, fields in state.items():
        assert {*fields_of(getattr(core, name))} - refers == fields, name
    assert {*fields_of(Packer())} == {"first", "pattern"}
    assert {*fields_of(FitWatches())} == {"_bound", *shapes.FitsShape.__struct_fields__}
    assert {*fields_of(FitWatch())} == {"_bound", *shapes.FitWatchShape.__struct_fields__} - {"fit"}
    assert {*shapes.InForceShape.__struct_fields__} == state["in_force"]
    assert {*shapes.AT_WORK, *shapes.OWN} <= {*shapes.ParentShape.__struct_fields__}
    assert isinstance(core.desk, Desk)


def test_another_field_or_type_is_another_layout() -> None:
    assert layout() == fingerprint_of(shapes.Working, shapes.Later)
    assert fingerprint_of(WithMore) != fingerprint_of(WithTally)
    assert fingerprint_of(ShortFit) != fingerprint_of(Fit)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_bytes_that_are_no_state_are_refused() -> None:
    pieces = pieces_of(busy().core)
    for wrong in ([], [b"\xc1"], pieces[1:], [pieces[0], pieces[0]]):
        with pytest.raises(JournalFault, match="holds no state that this program knows"):
            thaw(wrong, policies={}, schedules={}, decider=RecordedDecisions())


def test_nothing_is_frozen_in_the_middle_of_a_turn_or_of_what_keeps_everything() -> None:
    bench = busy()
    core = thawed(bench, keep=True)
    with pytest.raises(AssertionError, match="no router's state"):
        freeze(core, FitWatches())
    bench.core.out.append(Gone(A, BTC, ClOrdId("x")))
    with pytest.raises(AssertionError, match="middle of a turn"):
        freeze(bench.core, FitWatches())


def test_an_order_that_nobody_has_is_not_written_down() -> None:
    bench = busy()
    parent = bench.core.by_id[ParentId("rests")]
    parent.children.clear()
    with pytest.raises(KeyError):
        freeze(bench.core, FitWatches())
