"""Fits by regime on a market that works differently in each, and on one that does not; what is published of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sor.cli.main import run
from sor.features import Features
from sor.ids import Symbol, VenueName
from sor.lab.calibrate import calibrate
from sor.lab.calibration import Calibration, RegimeFit, RegimeRefusal
from sor.lab.calibration_sample import draw_sample
from sor.lab.publish import param_set_of
from sor.lab.regimes import regime_rows
from sor.models.covariates import COVARIATES
from sor.models.forecast import FORECAST_NEEDS, read_forecast
from sor.param_records import Kind
from sor.params import ParamStore
from sor.regime import Regime, Thresholds, regime_of
from sor.tape import save_tape
from tests.fakes.planted import PLAN, planted, quietly

BASE = ParamStore().get("baseline", now_ns=0)
# A tick is a basis point of these prices, so a market of three ticks is wide and one of one tick is not.
BOUNDS = Thresholds(wide_spread_min=2.0, busy_volatility_min=100.0, window_s_min=0.0)
SPLIT = msgspec.structs.replace(PLAN, horizons_s=(1.0,), regimes=BOUNDS)


@cache
def tilted() -> Calibration:
    """Lean says the opposite in the wide market, which one fit for both cannot."""
    return calibrate([planted(3_000, tilt=2.0)], SPLIT, quietly)


def test_each_regime_that_works_differently_has_its_own_fit() -> None:
    wide, busy, calm = tilted().regimes
    assert isinstance(wide, RegimeFit)
    assert isinstance(calm, RegimeFit)
    assert (wide.regime, calm.regime) == (Regime.WIDE, Regime.CALM)
    for one in (wide, calm):
        assert one.gain_low > 0.0
        assert one.fitted.horizon_s == 1.0
        assert one.judged.probes < tilted().judged[-1].probes
    at = COVARIATES.index("lean")
    # 2 was planted. In the calm market an order is filled by moves of the price as well, which do not know the lean.
    assert wide.fitted.hazard.model.fill.coefs[at] == pytest.approx(2.0, abs=0.3)
    assert -1.5 < calm.fitted.hazard.model.fill.coefs[at] < -0.4
    assert isinstance(busy, RegimeRefusal)
    assert (busy.probes, busy.regime) == (0, Regime.BUSY)
    assert "no order of it" in busy.reason


def test_what_works_alike_or_is_too_rare_has_none() -> None:
    rare = float(np.quantile(draw_sample([planted(2_000)], PLAN, quietly).probes.volatility, 0.97))
    bounds = Thresholds(wide_spread_min=100.0, busy_volatility_min=rare, window_s_min=0.0)
    alike = calibrate([planted(2_000)], msgspec.structs.replace(SPLIT, regimes=bounds), quietly)
    assert alike.fitted is not None
    reasons = [one.reason for one in alike.regimes if isinstance(one, RegimeRefusal)]
    assert len(reasons) == 3
    assert "no order of it is on the fitted part" in reasons[0]
    assert "fills of probes that do not overlap" in reasons[1]
    assert "it says no more than the whole fit" in reasons[2]
    made, _ = param_set_of(alike, BASE, set_id="acme/2026-11-21")
    assert {record.scope.regime for record in made.records} == {"*"}


def test_probes_are_in_the_regime_that_a_decision_would_see() -> None:
    probes = draw_sample([planted(400)], PLAN, quietly).probes
    bounds = msgspec.structs.replace(BOUNDS, busy_volatility_min=float(np.median(probes.volatility)))
    rows = regime_rows(probes, bounds)
    assert (np.stack(list(rows.values())).sum(axis=0) == 1).all()
    nothing = Features(0, 0, 0.0, 0, 0, 0, 0, 0.5, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 10.0)
    for regime, flags in rows.items():
        assert flags.any()
        at = int(np.flatnonzero(flags)[0])
        seen = msgspec.structs.replace(
            nothing, spread_bps=float(probes.spread_bps[at]), volatility=float(probes.volatility[at])
        )
        assert regime_of(seen, bounds) is regime


def test_a_regimes_fit_is_published_for_it_alone() -> None:
    made, _ = param_set_of(tilted(), BASE, set_id="acme/2026-11-21")
    assert made.note.startswith("Fill and drift up to 1 s, wide and calm markets apart,")
    here = made.resolve(VenueName("rec"), Symbol("BTCUSDT"), now_ns=0)
    lean = {regime: here.within(regime)["fill.lean"] for regime in (None, *Regime)}
    assert lean[Regime.BUSY] == lean[None]
    assert lean[Regime.WIDE] > 1.5 > -0.4 > lean[Regime.CALM]
    assert here.within(Regime.WIDE).ranges == here.ranges
    for regime in Regime:
        assert not here.within(regime).missing(FORECAST_NEEDS)
        assert read_forecast(here.within(regime)).horizon_s == 1.0
    wide = [record for record in made.records if record.scope.regime == "wide"]
    assert {record.scope.symbol for record in wide} == {"BTCUSDT"}
    for record in wide:
        evidence = made.evidence_of(record)
        if record.kind is Kind.ASSUMED:
            continue
        assert evidence.sample_size
        assert evidence.input_digest == tilted().digest
        assert evidence.score is not None
    score = made.evidence_of(next(record for record in wide if record.id == "fill.lean")).score
    assert score is not None
    assert "in the wide market" in score.name
    assert score.reference is not None
    assert score.value > score.reference


@pytest.mark.slow
def test_the_command_fits_by_regime_and_resolve_says_which_won(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tape(planted(3_000, tilt=2.0), tmp_path / "tape", findings=(), source=(), importer="test")
    base = tmp_path / "sets" / "bounds" / "2026-11-20.json"
    base.parent.mkdir(parents=True)
    document = {**msgspec.json.decode(BASE.text), "set_id": "bounds/2026-11-20"}
    for record in document["records"]:
        for field, bound in msgspec.structs.asdict(BOUNDS).items():
            if record["id"] == f"regime.{field}":
                record["value"] = f"{bound:g}"
    base.write_bytes(msgspec.json.encode(document))
    out = tmp_path / "sets" / "acme" / "2026-11-21.json"
    sets = ["--param-dir", str(tmp_path / "sets"), "--venue", "rec", "--symbol", "BTCUSDT"]
    of = [*sets, "--horizons", "1", "--latency", "0"]
    code = run(["calibrate", str(tmp_path / "tape"), *of, "--base", "bounds", "--regimes", "--out", str(out), "--json"])
    told = msgspec.json.decode(capsys.readouterr().out)
    assert code == 0
    by_regime = {one["regime"]: one for one in told["regimes"]}
    assert by_regime["calm"]["refused"] is None
    assert by_regime["calm"]["gain"][1] > 0.0
    assert "no order of it" in by_regime["busy"]["refused"]
    assert by_regime["busy"]["gain"] is None
    assert run(["params", "resolve", "acme", *sets, "--regime", "calm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("fill.lean = "))
    assert "regime calm" in lines[at]
    assert "the one in force names the regime" in lines[at + 1]
