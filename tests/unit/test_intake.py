"""The door: every refusal is one sentence that says what is wrong, that nothing was sent, and what to do."""

from decimal import Decimal

import msgspec
import pytest

from sor.adapter import Capabilities
from sor.errors import CallerError, VenueFault
from sor.events import AmendAsked, CancelAsked, ModeSet, ParamsAdopted, TradingMode
from sor.ids import ParentId, VenueName
from sor.intake import GTC_DEADLINE_S, INTENT_DEADLINE_S, admit, as_recorded, check_amend, parent_of
from sor.market import Trust
from sor.orders import Action, ExecType, Intent, ParentOrder, PositionSide, RejectKind, Side, Tif
from sor.units import NS
from tests.fakes.bench import BTC_A, SURE, A, Bench, book, param_text, parent_order
from tests.fakes.policies import Immediate, ScriptedPolicy, Slices, Wanting, decision, take


class Choosy(ScriptedPolicy):
    """Needs a parameter that no set has, and looks at orders."""

    name = "choosy"
    needs: tuple[str, ...] = ("choosy.level",)


class Fussy(ScriptedPolicy):
    """Looks at orders itself."""

    name = "fussy"

    def check(self, order: ParentOrder) -> None:
        if order.urgency > 0.5:
            raise CallerError("fussy is in no hurry; nothing was sent")


class Counted(Slices):
    """Slices that need their count."""

    def check(self, args: dict[str, float]) -> None:
        if "count" not in args:
            raise CallerError("schedule 'slices' needs count; nothing was sent")


def bench(*, capabilities: Capabilities = SURE) -> Bench:
    """A venue with a step of 0.5 and a minimum of 2 units, ticks of 0.1."""
    instrument = msgspec.structs.replace(
        BTC_A, tick_size=Decimal("0.1"), lot_size=Decimal("0.5"), min_qty_lots=4, min_notional=Decimal(0)
    )
    return Bench(
        Wanting(),
        instrument=instrument,
        capabilities=capabilities,
        policies={"scripted": ScriptedPolicy(), "choosy": Choosy(), "fussy": Fussy()},
        schedules={"immediate": Immediate(), "slices": Counted()},
    )


def test_a_good_order_is_told_its_venue() -> None:
    core = bench().core
    for spelling in ("BTCUSDT", "btc-usdt", "BTC_USDT", "btc/usdt"):
        assert admit(core, parent_order(symbol=spelling, quantity=Decimal("2.5"))) == A
    assert not core.parents


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"parent_id": ParentId("")}, "a parent id has 1 to 64 characters"),
        ({"parent_id": ParentId("x" * 65)}, "a parent id has 1 to 64 characters"),
        ({"symbol": "DOGE-USDT"}, r"'DOGE-USDT' is not listed on any allowed venue; .* Listed: BTCUSDT \(acme\)"),
        ({"symbol": "--"}, "'--' is not a symbol"),
        ({"venues": (VenueName("moon"),)}, "venue 'moon' is not connected; .* Connected: acme"),
        ({"quantity": Decimal("2.25")}, r"quantity 2.25 is off the step of 0.5; .* nearest are 2 and 2.5"),
        ({"quantity": Decimal("1.5")}, "quantity 1.5 is below acme's minimum of 2.0"),
        ({"quantity": Decimal(0)}, "quantity 0 is not a positive number"),
        ({"quantity": Decimal(-3)}, "quantity -3 is not a positive number"),
        ({"quantity": Decimal("NaN")}, "quantity NaN is not a positive number"),
        ({"quantity": Decimal("Infinity")}, "quantity Infinity is not a positive number"),
        ({"quantity": Decimal("1e30")}, r"quantity 1E\+30 is more than 2\*\*53 steps"),
        ({"quantity": 2.5}, r"quantity 2.5 is a float, not a Decimal; .* Write Decimal\('2.5'\)"),
        ({"quantity": "2.5"}, "quantity '2.5' is a str, not a Decimal"),
        ({"limit": Decimal("9999.95")}, "price 9999.95 is off the step of 0.1 USDT; .* nearest are 9999.9 and 10000"),
        ({"limit": Decimal("1e30")}, r"limit 1E\+30 is more than 2\*\*53 steps"),
        ({"limit": Decimal(-1)}, "price -1 is not a positive number"),
        ({"limit": 9999.5}, "limit 9999.5 is a float"),
        ({"deadline_s": 0.0}, "deadline of 0.0 s: it must be positive"),
        ({"deadline_s": float("nan")}, "deadline of nan s"),
        ({"deadline_s": 1e8}, "deadline of 100000000.0 s"),
        ({"deadline_s": "60"}, "wrong type: Expected `float`, got `str` - at `\\$.deadline_s`"),
        ({"urgency": 1.5}, "urgency 1.5 is not within 0 and 1"),
        ({"mae_budget_bps": 0.0}, "mae_budget_bps 0.0 must be positive"),
        ({"holding_s": float("inf")}, "holding_s inf must be positive"),
        ({"max_participation": 0.0}, "max_participation 0.0 is not within 0 and 1"),
        ({"decision_price": Decimal(0)}, "decision_price 0 must be positive"),
        ({"decision_price": Decimal("NaN")}, "decision_price NaN must be positive"),
        ({"side": "buy"}, "wrong type: Expected `int`, got `str` - at `\\$.side`"),
        ({"side": 1}, "wrong type: side 1 is no Side"),
        ({"on_no_market": "refuse"}, "wrong type: on_no_market 'refuse' is no OnNoMarket"),
        ({"symbol": 7}, "wrong type: Expected `str`, got `int` - at `\\$.symbol`"),
        ({"position_side": PositionSide.LONG}, "holds no 'long' position .* Position sides are: both"),
        ({"policy": "magic"}, "there is no policy 'magic'; .* Installed: scripted, choosy, fussy"),
        (
            {"policy": "choosy"},
            "param-set 'baseline' does not give choosy.level for BTCUSDT on acme now, which 'choosy' needs",
        ),
        ({"policy": "fussy", "urgency": 0.9}, "fussy is in no hurry"),
        ({"schedule": "never"}, "there is no schedule 'never'; .* Installed: immediate, slices"),
        ({"schedule": "slices"}, "schedule 'slices' needs count"),
        ({"param_set": "nope"}, "there is no param-set 'nope'; .* Loaded: baseline"),
    ],
)
def test_a_bad_order_is_refused_in_one_sentence(terms: dict[str, object], says: str) -> None:
    core = bench().core
    with pytest.raises(CallerError, match=says) as refused:
        admit(core, parent_order(**{"quantity": Decimal("2.5"), **terms}))  # type: ignore[arg-type]
    assert "nothing was sent" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not core.parents


def test_the_same_parent_twice_is_one_and_other_terms_are_refused() -> None:
    world = bench()
    world.market = book((), (), trust=Trust.EMPTY)
    order = parent_order(quantity=Decimal("2.5"))
    parent = world.submit(order)
    assert admit(world.core, msgspec.structs.replace(order)) is parent
    with pytest.raises(CallerError, match="'P1' was submitted before with other terms"):
        admit(world.core, msgspec.structs.replace(order, quantity=Decimal(3)))
    world.run_for(61 * NS)
    assert parent.ended
    assert admit(world.core, order) is parent


def test_hedge_mode_wants_a_side() -> None:
    modes = frozenset({PositionSide.LONG, PositionSide.SHORT})
    core = bench(capabilities=msgspec.structs.replace(SURE, position_modes=modes)).core
    for side, position_side, reduces in (
        (Side.BUY, PositionSide.LONG, False),
        (Side.SELL, PositionSide.LONG, True),
        (Side.SELL, PositionSide.SHORT, False),
        (Side.BUY, PositionSide.SHORT, True),
    ):
        order = parent_order(quantity=Decimal(2), side=side, position_side=position_side, reduce_only=reduces)
        assert admit(core, order) == A
        opposite = msgspec.structs.replace(order, reduce_only=not reduces)
        with pytest.raises(CallerError, match=f"{position_side.value} position, and reduce_only is {not reduces}; not"):
            admit(core, opposite)
        meant = parent_of(
            core, intent(action=Action.EXIT if reduces else Action.ENTER, side=position_side), policy="scripted"
        )
        assert (meant.side, meant.position_side, meant.reduce_only) == (side, position_side, reduces)
        assert admit(core, meant) == A
    with pytest.raises(CallerError, match=r"holds no 'both' position .* Position sides are: long, short"):
        admit(core, parent_order(quantity=Decimal(2)))


def test_a_venue_that_lacks_what_safety_rests_on_is_not_routable() -> None:
    """Without a lookup nothing in doubt can be settled; without IOC what should take may rest at the collar."""
    for changes, says in (
        ({"query_by_client_id": False}, "acme cannot be asked for an order by our id, so it is not routable; not"),
        (
            {"tif": frozenset({Tif.GTC})},
            "acme has no orders that take without resting, so it is not routable; nothing was",
        ),
    ):
        core = bench(capabilities=msgspec.structs.replace(SURE, **changes)).core
        with pytest.raises(CallerError, match=says):
            admit(core, parent_order(quantity=Decimal(2)))


def test_the_kill_switch_closes_the_door() -> None:
    world = bench()
    entry, leave = parent_order(quantity=Decimal(2)), parent_order(quantity=Decimal(2), reduce_only=True)
    world.post(ModeSet(now_ns=world.now_ns, mode=TradingMode.REDUCE_ONLY, reason="drill"))
    assert admit(world.core, leave) == A
    with pytest.raises(CallerError, match=r"trading is reduce_only \(kill switch: drill\); nothing was sent"):
        admit(world.core, entry)
    world.post(ModeSet(now_ns=world.now_ns, mode=TradingMode.HALTED, reason="drill"))
    with pytest.raises(CallerError, match=r"trading is halted \(kill switch: drill\); nothing was sent"):
        admit(world.core, leave)


def test_a_halted_symbol_is_the_venues_fault() -> None:
    wanting = Wanting()
    world = Bench(wanting)
    wanting.wishes[ParentId("P1")] = lambda view: decision(take(A, 10, 10_001))
    child = world.submit(parent_order()).children[0]
    world.trade(child, 11, 10_001)
    with pytest.raises(VenueFault, match=r"BTCUSDT on acme is halted: .* nothing was sent"):
        admit(world.core, parent_order("P2"))


def test_a_param_set_that_is_loaded_can_be_named() -> None:
    world = bench()
    world.post(ParamsAdopted(now_ns=world.now_ns, name="mine", digest="", text=param_text()))
    assert admit(world.core, parent_order(quantity=Decimal(2), param_set="mine")) == A


# --- intents ----------------------------------------------------------------------------------------------------------


def intent(**terms: object) -> Intent:
    """Enter a long of 2.7 units."""
    known: dict[str, object] = {
        "intent_id": ParentId("I1"),
        "action": Action.ENTER,
        "side": PositionSide.LONG,
        "asset": "BTC/USDT",
        "size": Decimal("2.7"),
        **terms,
    }
    return Intent(**known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("action", "side", "order_side", "reduces"),
    [
        (Action.ENTER, PositionSide.LONG, Side.BUY, False),
        (Action.EXIT, PositionSide.LONG, Side.SELL, True),
        (Action.ENTER, PositionSide.SHORT, Side.SELL, False),
        (Action.EXIT, PositionSide.SHORT, Side.BUY, True),
    ],
)
def test_b8_what_an_intent_means_floored_to_the_step(
    action: Action, side: PositionSide, order_side: Side, reduces: bool
) -> None:
    order = parent_of(bench().core, intent(action=action, side=side), policy="scripted")
    assert order == ParentOrder(
        parent_id=ParentId("I1"),
        symbol="BTC/USDT",
        side=order_side,
        quantity=Decimal("2.5"),  # floored to the step
        may_rest=False,
        deadline_s=INTENT_DEADLINE_S,
        policy="scripted",
        reduce_only=reduces,
    )


def test_an_intent_may_ask_for_a_plain_limit_order() -> None:
    asked = intent(metadata={"order_type": "limit", "limit_price": "9999.5"})
    order = parent_of(bench().core, asked, policy="scripted")
    assert (order.limit, order.may_rest, order.policy) == (Decimal("9999.5"), True, "plain_limit")
    assert order.deadline_s == GTC_DEADLINE_S


def test_metadata_may_say_more() -> None:
    asked = intent(metadata={"may_rest": "true", "deadline_s": "5", "policy": "other", "param_set": "mine"})
    order = parent_of(bench().core, asked, policy="scripted")
    assert (order.may_rest, order.deadline_s, order.policy, order.param_set) == (True, 5.0, "other", "mine")


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"metadata": {"colour": "red"}}, "intent metadata 'colour' is not known; .* Known: order_type"),
        ({"side": PositionSide.BOTH}, "an intent's side is long or short"),
        ({"asset": "DOGE"}, "'DOGE' is not listed"),
        ({"size": Decimal("1.9")}, "size 1.9 is 1.5 on the step, below the minimum of 2.0"),
        ({"size": Decimal("0.3")}, "size 0.3 is 0.0 on the step, below the minimum"),
        ({"size": Decimal(-2)}, "quantity -2 is not a positive number"),
        ({"metadata": {"order_type": "limit"}}, "a limit order needs order_type 'limit' and a limit_price"),
        ({"metadata": {"limit_price": "9"}}, "a limit order needs order_type 'limit' and a limit_price"),
        ({"metadata": {"order_type": "limit", "limit_price": "dear"}}, "limit_price 'dear' is not a number"),
        ({"metadata": {"deadline_s": "soon"}}, "deadline_s 'soon' is not a number"),
        ({"metadata": {"may_rest": "maybe"}}, "may_rest 'maybe' is neither true nor false"),
        # These would be journaled, and could not be read back: the router would never start again.
        ({"metadata": {"deadline_s": 5}}, "an intent has a field of the wrong type"),
        ({"action": "enter"}, "wrong type: action 'enter' is no Action"),
        ({"strategy": 7}, "an intent has a field of the wrong type"),
        ({"size": 0.5}, r"size 0.5 is a float, not a Decimal; nothing was sent. Write Decimal\('0.5'\)"),
        ({"leverage": 2.0}, "leverage 2.0 is a float, not a Decimal"),
    ],
)
def test_a_bad_intent_is_refused_in_one_sentence(terms: dict[str, object], says: str) -> None:
    with pytest.raises(CallerError, match=says) as refused:
        parent_of(bench().core, intent(**terms), policy="scripted")
    assert "nothing was sent" in str(refused.value)


# --- amendments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"quantity": Decimal("0.3")}, "off the step"),
        ({"quantity": Decimal(20)}, "'P1' has filled 20 already: cancel it instead"),
        ({"limit": Decimal("0.5")}, "off the step"),
        ({"quantity": Decimal("1e30")}, r"quantity 1E\+30 is more than 2\*\*53 steps"),
        ({"limit": Decimal("1e30")}, r"limit 1E\+30 is more than 2\*\*53 steps"),
        ({"deadline_s": 0.0}, "deadline of 0.0 s: it must lie ahead; nothing was changed"),
        ({"urgency": -1.0}, "urgency -1.0 is not within 0 and 1; nothing was changed"),
    ],
)
def test_a_bad_amendment_changes_nothing(terms: dict[str, object], says: str) -> None:
    wanting = Wanting()
    wanting.wishes[ParentId("P1")] = lambda view: decision(take(A, 20, 10_001))
    world = Bench(wanting)
    parent = world.submit(parent_order())
    world.trade(parent.children[0], 20, 10_001)
    with pytest.raises(CallerError, match=says):
        check_amend(parent, AmendAsked(now_ns=world.now_ns, parent_no=1, **terms))  # type: ignore[arg-type]


def test_requests_are_taken_as_they_will_be_read_back() -> None:
    """A word for a mode would have been compared with the modes, and been none of them."""
    word: TradingMode = "halted"  # type: ignore[assignment]
    asked = as_recorded(ModeSet(now_ns=1, mode=word, reason="test"))
    assert asked.mode is TradingMode.HALTED
    share: float = Decimal("0.5")  # type: ignore[assignment]
    number: str = 17  # type: ignore[assignment]
    nobody: TradingMode = "stopped"  # type: ignore[assignment]
    for wrong in (
        AmendAsked(now_ns=1, parent_no=1, urgency=share),
        CancelAsked(now_ns=1, parent_no=1, reason=number),
        CancelAsked(now_ns=1, parent_no=1, reason="\ud800"),
        ModeSet(now_ns=1, mode=nobody, reason="test"),
    ):
        with pytest.raises(CallerError, match=r"wrong type: .*; nothing was changed"):
            as_recorded(wrong)


def test_what_has_ended_is_not_amended() -> None:
    wanting = Wanting()
    wanting.wishes[ParentId("P1")] = lambda view: decision(take(A, 100, 10_001))
    world = Bench(wanting)
    parent = world.submit(parent_order())
    world.report(parent.children[0], ExecType.REJECTED, reject=RejectKind.NOTHING_TO_REDUCE)
    with pytest.raises(CallerError, match="'P1' is completed_by_others; it cannot be amended"):
        check_amend(parent, AmendAsked(now_ns=world.now_ns, parent_no=1, urgency=1.0))
