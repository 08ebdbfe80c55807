from decimal import Decimal

import msgspec
import pytest

from sor.decide import decide
from sor.features import Features
from sor.ids import ParentId
from sor.orders import ParentOrder, Side
from sor.params import Params
from sor.parent import Parent
from sor.policy import Decision, Take
from sor.regime import THRESHOLDS, Regime
from sor.revisit import Revisit
from sor.snapshot import View
from tests.fakes import views
from tests.fakes.views import BASELINE, INSTRUMENT, NOW_NS, VENUE

VALUES = {"regime.wide_spread_min": 6.0, "regime.busy_volatility_min": 1.5, "regime.window_s_min": 3.0}


def features(*, spread_bps: float = 1.0, volatility: float = 1.0, window_s: float = 10.0) -> Features:
    calm = views.market().features
    assert calm is not None
    return msgspec.structs.replace(calm, spread_bps=spread_bps, volatility=volatility, window_s=window_s)


@pytest.mark.parametrize(
    ("seen", "regime"),
    [
        (features(), Regime.CALM),
        (features(volatility=1.5), Regime.BUSY),
        (features(volatility=1.499), Regime.CALM),
        (features(spread_bps=6.0), Regime.WIDE),
        (features(spread_bps=5.999, volatility=9.0), Regime.BUSY),
        (features(spread_bps=6.0, volatility=9.0), Regime.WIDE),
        (features(spread_bps=6.0, window_s=0.0), Regime.WIDE),
        (features(volatility=9.0, window_s=2.999), None),
        (features(window_s=3.0), Regime.CALM),
        (None, None),
    ],
)
def test_the_regime_of_a_moment(seen: Features | None, regime: Regime | None) -> None:
    assert views.params(VALUES).regime_of(seen) is regime


def test_a_set_without_thresholds_knows_no_regime() -> None:
    values = {param_id: value for param_id, value in BASELINE.as_dict().items() if param_id != THRESHOLDS[1]}
    assert Params(set_id="t", digest="d", values=values).regime_of(features()) is None


PARENT = Parent(
    no=1,
    order=ParentOrder(parent_id=ParentId("p"), symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1)),
    intent=None,
    venue=VENUE,
    instrument=INSTRUMENT,
    set_name="baseline",
    now_ns=NOW_NS,
)


class Collared:
    """A policy that crosses at the collar it reads, and claims a regime of its own."""

    name = "collared"
    needs = ("placement.collar_bps",)

    def decide(self, view: View, params: Params) -> Decision:
        take = Take(VENUE, view.open_lots, 100_000 + int(params["placement.collar_bps"]))
        return Decision(placements=(take,), revisit=Revisit(), reason="collar", regime="sleepy")


@pytest.mark.parametrize(
    ("volatility", "collar", "regime"), [(0.5, 20, "calm"), (1.5, 35, "busy")], ids=["calm", "busy"]
)
def test_a_decision_is_made_by_the_values_of_its_regime_and_says_so(
    volatility: float, collar: int, regime: str
) -> None:
    busy = views.params({**VALUES, "placement.collar_bps": 35.0})
    params = Params(set_id="t", digest="d", values={**BASELINE.as_dict(), **VALUES}, within={Regime.BUSY: busy})
    seen = views.view(views.market(volatility=volatility))
    decision, vetoes = decide(PARENT, Collared(), seen, params)
    assert (decision.placements, vetoes) == ((Take(VENUE, seen.open_lots, 100_000 + collar),), ())
    assert decision.regime == regime
