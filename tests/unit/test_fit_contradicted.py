"""Outcomes that contradict a fit: nothing new rests by it, a restart knows it, and a word or another set lifts it."""

from decimal import Decimal
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from sor.cli.main import run
from sor.cli.story import recompute, tell_story
from sor.commands import Alarm, Decided, Place
from sor.decide import decide
from sor.engine import Router, Settings
from sor.errors import CallerError
from sor.events import FitContradicted, FitTrusted
from sor.fit_watch import FitWatches
from sor.ids import ParentId, Symbol, VenueName
from sor.invariants import Veto, apply
from sor.journal import turns
from sor.orders import ParentStatus
from sor.params import Params, ParamStore
from sor.plugins import GROUPS, Plugins
from sor.policy import Decision, Placement, Rest, Take
from sor.reasons import TimeoutBound
from sor.revisit import Revisit
from sor.router import Core
from sor.session import Session
from sor.snapshot import Contradiction, View
from sor.units import MS, NS
from tests.fakes.patience import until
from tests.fakes.views import BASELINE, NOW_NS, VENUE, resting, view
from tests.unit.test_engine import ladder, order

FITTED = ParamStore().get("synthetic", now_ns=NOW_NS).resolve(VenueName("simulated"), Symbol("BTCUSDT"), now_ns=NOW_NS)
"""What it has been fitted for."""
TOLD = Contradiction(200, 40, 120.5)
REST = Rest(VENUE, 100, 100_000, NOW_NS + 10 * NS, TimeoutBound.FIXED)
CROSSED = Take(VENUE, 100, 100_201)


def ruled(given: Params, *placements: Placement, **seen: object) -> tuple[Decision, tuple[str, ...]]:
    found = apply(
        Decision(placements=placements, revisit=Revisit(), reason="any"), view(contradicted=TOLD, **seen), given
    )
    return found.decision, found.vetoes


def test_a_new_order_crosses_and_says_what_contradicts() -> None:
    decision, vetoes = ruled(FITTED, REST)
    assert (decision.placements, vetoes[-1]) == ((CROSSED,), Veto.FIT_CONTRADICTED)
    assert dict(decision.inputs).items() >= {"fit_orders": 200.0, "fit_filled": 40.0, "fit_expected": 120.5}.items()


def test_what_is_not_judged_by_the_fit_is_left_alone() -> None:
    assert ruled(BASELINE, REST)[0].placements == (REST,)  # nothing is fitted
    assert ruled(FITTED, CROSSED)[0].placements == (CROSSED,)
    assert ruled(FITTED, REST, resting=(resting(100_000, 100),))[0].placements == (REST,)  # in its place already
    assert ruled(FITTED, REST, limit_ticks=100_000)[0].placements == (REST,)  # all that the limit leaves


class Hopeful:
    """Rests a little behind the touch for a moment, sure by its fit to be filled, as often as it is let."""

    name = "hopeful"
    needs: tuple[str, ...] = ("placement.collar_bps",)

    def decide(self, view: View, params: Params) -> Decision:
        """One order at a time, which nobody ever fills."""
        del params
        if view.resting:
            own = view.resting[0]
            kept = Rest(own.venue, own.leaves_lots, own.price_ticks, own.expire_ns, TimeoutBound.FIXED)
            return Decision(placements=(kept,), revisit=Revisit(), reason="keep")
        price = view.market.ladder(view.side.opposite)[0][0] - 5 * view.side
        wanted = Rest(view.market.venue, view.open_lots, price, view.now_ns + 5 * MS, TimeoutBound.FIXED)
        inputs = (("fill_probability", 0.99), ("fitted", 1.0))
        return Decision(placements=(wanted,), revisit=Revisit(), reason="rest", inputs=inputs)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a router may write that knows `hopeful`, and doubts after a few orders."""
    entries = [entry for group in GROUPS for entry in entry_points(group=group)]
    entries.append(EntryPoint("hopeful", f"{__name__}:Hopeful", "sor.policies"))
    monkeypatch.setattr(Plugins, "installed", lambda: Plugins(entries))
    monkeypatch.setattr("sor.recovery.FitWatches", partial(FitWatches, orders_per_false_alarm=2))
    return tmp_path / "j"


def router_on(journal: Path, *directories: Path) -> Router:
    settings = Settings(journal=journal, default_set="synthetic", param_dirs=directories)
    return Router(settings, venues=[ladder()])


def kinds(journal: Path, parent_no: int) -> list[tuple[str, tuple[str, ...]]]:
    """What each decision of a parent that places anything does: (kind of order, vetoes)."""
    return [
        (type(record.decision.placements[0]).__name__, record.vetoes)
        for turn in turns(journal)
        for record in turn.records
        if isinstance(record, Decided) and record.parent_no == parent_no and record.decision.placements
    ]


@pytest.mark.anyio
async def test_orders_that_are_not_filled_as_told_end_the_trust_in_a_set(journal: Path) -> None:
    async with router_on(journal) as router:
        first = await router.submit(order("first", policy="hopeful"))
        await first.result()
        (alarm,) = [one.text for one in router.alarms()]
        assert alarm.startswith("hopeful with param-set synthetic/2026-11-21 does not predict fills well: 0.0% of ")
        assert "Nothing new rests by it" in alarm
    assert first.status is ParentStatus.FILLED
    *rested, last = kinds(journal, 1)
    assert {kind for kind, _ in rested} == {"Rest"}
    assert (last[0], Veto.FIT_CONTRADICTED in last[1]) == ("Take", True)
    (fact,) = [one for turn in turns(journal) for one in turn.records if isinstance(one, FitContradicted)]
    assert (fact.policy, fact.set_id, fact.filled) == ("hopeful", "synthetic/2026-11-21", 0)

    async with router_on(journal) as again:  # a restart knows it, says nothing twice, and does not rest
        assert again.alarms() == ()
        second = await again.submit(order("second", policy="hopeful"))
        await second.result()
        with pytest.raises(CallerError, match=r"do not contradict 'baseline', nothing was changed. They contradict sy"):
            again.trust_fit("baseline", reason="looked at")
        again.trust_fit("synthetic", reason="looked at")
        third = await again.submit(order("third", policy="hopeful"))
        await until(lambda: bool(third.parent.open_children) and third.parent.open_children[0].rests)
    assert kinds(journal, 2)[0][0] == "Take"
    assert kinds(journal, 3)[0][0] == "Rest"
    assert any(isinstance(one, FitTrusted) for turn in turns(journal) for one in turn.records)
    assert recompute(journal) > 5

    shown = Console(record=True, width=200)
    tell_story(shown, journal, ParentId("second"))
    told = shown.export_text()
    assert (
        "invariant fit contradicted changed this: of 4 resting orders 0 were filled, where 4.0 were predicted" in told
    )


@pytest.mark.anyio
async def test_another_content_of_the_set_is_another_fit(journal: Path, tmp_path: Path) -> None:
    async with router_on(journal) as router:
        await (await router.submit(order("first", policy="hopeful"))).result()
    text = ParamStore().get("synthetic", now_ns=NOW_NS).text.replace("synthetic/2026-11-21", "synthetic/2026-11-22")
    (tmp_path / "sets" / "synthetic").mkdir(parents=True)
    (tmp_path / "sets" / "synthetic" / "2026-11-22.json").write_text(text, encoding="utf-8")
    async with router_on(journal, tmp_path / "sets") as again:
        second = await again.submit(order("second", policy="hopeful", quantity=Decimal("0.1")))
        await until(lambda: bool(second.parent.open_children) and second.parent.open_children[0].rests)
    assert kinds(journal, 2)[0] == ("Rest", ())


@pytest.mark.anyio
async def test_a_doubt_that_nobody_recorded_is_recorded_by_the_next_start(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies between the outcome and the fact: here one that is deaf to its own doubts."""
    with monkeypatch.context() as deaf:
        deaf.setattr(Session, "_doubted", lambda session, doubt: None)
        async with router_on(journal) as router:
            parent = (await router.submit(order("first", policy="hopeful"))).parent
            await until(lambda: len(parent.children) > 6)
    assert not any(isinstance(one, FitContradicted) for turn in turns(journal) for one in turn.records)
    async with router_on(journal) as again:
        assert len(again.alarms()) == 1
        await (await again.submit(order("second", policy="hopeful"))).result()
    assert not any(
        isinstance(one, Place) and one.parent_no == 2 and one.order.post_only
        for turn in turns(journal)
        for one in turn.records
    )
    assert recompute(journal) > 5


def test_an_exploring_policy_is_doubted_as_its_own_and_other_policies_are_not() -> None:
    core = Core(policies={}, schedules={}, decider=decide)
    told = FitContradicted(
        now_ns=1,
        policy="hopeful",
        set_id=FITTED.set_id,
        digest=FITTED.digest,
        orders=200,
        filled=40,
        expected=120.5,
        text="hopeful does not predict fills well",
    )
    assert core.step(told) == [Alarm(0, VenueName(""), told.text, halts=False)]
    assert [core.in_force.doubt_of(name, FITTED) for name in ("hopeful", "explore:hopeful", "cross")] == [
        TOLD,
        TOLD,
        None,
    ]
    assert core.in_force.doubt_of("hopeful", BASELINE) is None
    core.step(FitTrusted(now_ns=2, set_id=FITTED.set_id, reason="looked at"))
    assert core.in_force.doubt_of("hopeful", FITTED) is None


def test_the_word_can_be_given_on_the_command_line(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        async with router_on(journal) as router:
            await (await router.submit(order("first", policy="hopeful"))).result()

    anyio.run(work)
    words = ("route", "--venue", "simulated", "--option", "market=ladder", "--option", "latency=near")
    terms = ("--symbol", "BTC-USDT", "--side", "buy", "--qty", "0.02", "--policy", "cross", "--journal", str(journal))
    assert run([*words, *terms, "--trust-fit", "synthetic"]) == 0
    assert capsys.readouterr().err.splitlines()[0] == "synthetic is trusted again, on your word"
    (word,) = [one for turn in turns(journal) for one in turn.records if isinstance(one, FitTrusted)]
    assert (word.set_id, word.reason) == ("synthetic/2026-11-21", "--trust-fit")
