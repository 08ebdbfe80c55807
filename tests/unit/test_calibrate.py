"""Calibration on small made-up tapes: planted hazards come out, and what data do not support is refused."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sor.cli.main import run
from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.lab.calibrate import calibrate
from sor.lab.calibration import Calibration
from sor.lab.publish import param_set_of
from sor.models.covariates import COVARIATES
from sor.models.forecast import FORECAST_NEEDS, MARKOUT_IDS, RANGE_IDS, Situation, read_forecast
from sor.models.rule import Gap
from sor.param_publish import publish, set_name
from sor.params import ParamStore
from sor.tape import save_tape
from sor.units import NS
from tests.fakes.planted import BUSY, CALM, MOVES, PLAN, found, planted, quietly


def fill_probability(calibration: Calibration, *, log_spread: float, by_s: float) -> float:
    """Of an order for which nothing but the spread is out of the ordinary."""
    fitted = calibration.fitted
    assert fitted is not None
    middle = [0.5 * (one.low + one.high) for one in fitted.ranges]
    middle[COVARIATES.index("log_spread")] = log_spread
    middle[COVARIATES.index("lean")] = middle[COVARIATES.index("log_behind")] = 0.0
    return fitted.hazard.model.curve(middle).probability(by_s)


def test_planted_hazards_come_out() -> None:
    """A sweep of our side or a move of the price through it: each second at CALM or BUSY and half of MOVES."""
    fitted = found().fitted
    assert fitted is not None
    assert fitted.horizon_s == 5.0
    assert found().refusals == ()
    # A move reaches the order only where the spread is one tick; the spread stays for 12 s on average.
    for log_spread, rate in ((0.0, CALM + MOVES / 2), (np.log(3.0), BUSY)):
        assert fill_probability(found(), log_spread=log_spread, by_s=1.0) == pytest.approx(1 - exp(-rate), rel=0.15)
    judged = found().judged[-1]
    assert judged.gain > 0.0
    assert judged.forecast == pytest.approx(judged.observed, abs=0.05)
    identities = [one.identity for one in found().judged if one.identity is not None]
    assert len(identities) == 2
    assert all(one.is_noise for one in identities)
    assert abs(identities[0].bps) < 0.05  # of some 0.3 bps that the filled and the unfilled share


def test_the_drift_of_the_unfilled_is_that_of_the_tape() -> None:
    """Every way down by a tick fills a buy while the spread is one tick, so the unfilled are those it left."""
    fitted = found().fitted
    assert fitted is not None
    middle = [0.5 * (one.low + one.high) for one in fitted.ranges]
    assert 0.2 < fitted.drift.form(middle) < 1.0
    judged = fitted.drift_judged
    assert min(judged.with_covariates, judged.base_only) < judged.nothing


def test_support_counts_what_does_not_overlap() -> None:
    by_horizon = {one.horizon_s: one for one in found().support}
    assert all(one.enough for one in by_horizon.values())
    # 70 % of twice 1940 s after the warm-up; one probe a side every 5 s, of which most are filled.
    assert 700 < by_horizon[5.0].non_overlapping < 1_087
    assert by_horizon[5.0].non_overlapping < by_horizon[5.0].fills
    assert by_horizon[5.0].effective is not None


def test_too_few_fills_are_refused_by_horizon() -> None:
    short = calibrate([planted(400)], msgspec.structs.replace(PLAN, horizons_s=(1.0, 5.0, 15.0)), quietly)
    assert short.fitted is None
    assert [one.horizon_s for one in short.refusals] == [1.0, 5.0, 15.0]
    assert all("where 200 are needed: record for longer" in one.reason for one in short.refusals)


def test_a_long_wait_is_refused_and_a_short_one_kept() -> None:
    some = calibrate([planted(1_500)], msgspec.structs.replace(PLAN, horizons_s=(1.0, 5.0, 60.0)), quietly)
    assert [one.horizon_s for one in some.refusals] == [60.0]
    assert some.fitted is not None
    assert some.fitted.horizon_s == 5.0


def test_a_fit_that_is_worse_than_counting_is_refused() -> None:
    """In the held-out part the spread says the opposite, which counting by queue and lean never listened to."""
    turned = calibrate([planted(2_000, 4, turns=0.73)], PLAN, quietly)
    assert turned.fitted is None
    assert [one.horizon_s for one in turned.refusals] == [1.0, 5.0]
    assert all("forecasts worse than Kaplan-Meier" in one.reason for one in turned.refusals)


def test_the_same_tapes_give_the_same_values() -> None:
    again = calibrate([planted(2_000), planted(2_000, 2)], PLAN, quietly)
    assert again.fitted is not None
    assert found().fitted is not None
    assert set_text(again) == set_text(found())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"symbol": Symbol("ETHUSDT")}, "is of BTCUSDT on rec, not of ETHUSDT on rec"),
        ({"venue": VenueName("acme")}, "is of BTCUSDT on rec, not of BTCUSDT on acme"),
        ({"horizons_s": (5.0, 1.0)}, "--horizons must be some of"),
        ({"horizons_s": (7.0,)}, "--horizons must be some of"),
        ({"holdout": 0.0}, "hold out between"),
        ({"every_s": 1e9}, "--every"),
        ({"horizons_s": (300.0,)}, "nothing to fit on or to hold out"),
        ({"from_s": 4_000.0}, "nothing is left of tape planted"),
        ({"queue": "exact"}, "does not have every order"),
    ],
)
def test_mistakes_are_said(change: dict[str, object], text: str) -> None:
    with pytest.raises(CallerError, match=text):
        calibrate([planted(400)], msgspec.structs.replace(PLAN, **change), quietly)


def test_no_tape_and_one_tape_twice_are_mistakes() -> None:
    with pytest.raises(CallerError, match="no tape was named"):
        calibrate([], PLAN, quietly)
    with pytest.raises(CallerError, match="named twice"):
        calibrate([planted(400), planted(400)], PLAN, quietly)


# --- publishing ---------------------------------------------------------------------------------------------------


BASE = ParamStore().get("baseline", now_ns=0)


def set_text(calibration: Calibration) -> str:
    return param_set_of(calibration, BASE, set_id="acme/2026-11-21")[1]


def test_a_set_is_whole_and_reads_as_a_forecast() -> None:
    made, _ = param_set_of(found(), BASE, set_id="acme/2026-11-21")
    fitted = found().fitted
    assert fitted is not None
    here = made.resolve(VenueName("rec"), Symbol("BTCUSDT"), now_ns=0)
    assert not here.missing((*FORECAST_NEEDS, *MARKOUT_IDS, *RANGE_IDS))
    assert not here.missing([record.id for record in BASE.records])
    assert made.resolve(VenueName("rec"), Symbol("ETHUSDT"), now_ns=0).missing(FORECAST_NEEDS)
    forecast = read_forecast(here)
    assert forecast.horizon_s == 5.0
    middle = tuple([0.5 * (one.low + one.high) for one in fitted.ranges])
    expected = fitted.hazard.model.curve(middle)
    got = forecast.curve(Situation(middle, 1.0, 1.0))
    for at_s in (0.3, 1.0, 5.0):
        assert got.survival(at_s) == pytest.approx(expected.survival(at_s), rel=1e-4)
    assert forecast.drift.base == pytest.approx(fitted.drift.base, rel=1e-5)
    assert forecast.strange(Situation(middle, 1.0, 1.0)) == ()


def test_every_fitted_value_says_what_it_rests_on() -> None:
    made, _ = param_set_of(found(), BASE, set_id="acme/2026-11-21")
    ours = [record for record in made.records if record.scope.venue == "rec"]
    assert len(ours) > 50
    for record in ours:
        evidence = made.evidence_of(record)
        assert record.source.startswith("sor calibrate on planted (0000000000000001), planted (0000000000000002)")
        if record.kind.value == "assumed":
            assert record.id.startswith(("fill.edge_", "markout.after_s"))
            continue
        assert record.interval is not None
        assert evidence.input_digest == found().digest
        assert evidence.sample_size
        assert evidence.score is not None
    fill = next(record for record in ours if record.id == "fill.lean")
    score = made.evidence_of(fill).score
    assert score is not None
    assert float(score.value) == pytest.approx(found().judged[-1].log_score, rel=1e-5)
    assert score.reference is not None
    assert float(score.reference) < float(score.value)


def test_a_set_is_written_once(tmp_path: Path) -> None:
    out = tmp_path / "acme" / "2026-11-21.json"
    assert set_name(out) == "acme/2026-11-21"
    publish(set_text(found()), out)
    assert ParamStore(tmp_path).get("acme", now_ns=0).set_id == "acme/2026-11-21"
    before = out.read_bytes()
    with pytest.raises(CallerError, match="published already and is never written over"):
        set_name(out)
    with pytest.raises(CallerError, match="never written over; nothing was written"):
        publish("other", out)
    assert out.read_bytes() == before
    assert [file.name for file in out.parent.iterdir()] == ["2026-11-21.json"]


def test_the_set_for_the_simulated_market_reads_as_a_forecast() -> None:
    shipped = ParamStore().get("synthetic/2026-11-21", now_ns=0)
    here = shipped.resolve(VenueName("simulated"), Symbol("BTCUSDT"), now_ns=0)
    assert not here.missing([record.id for record in ParamStore().get("baseline/2026-11-21", now_ns=0).records])
    forecast = read_forecast(here)
    assert forecast.horizon_s == 60.0
    assert forecast.markout is not None
    middle = [0.5 * (low + high) for low, high in forecast.ranges]
    for name in ("inside", "log_gap", "behind", "log_behind"):
        middle[COVARIATES.index(name)] = 0.0
    touch = Situation(tuple(middle), 0.3, 1.0)
    waits = [forecast.outlook(touch, until_s=wait_s) for wait_s in (1.0, 5.0, 60.0)]
    assert 0.2 < waits[0].fill_probability < waits[1].fill_probability < waits[2].fill_probability < 1.0
    assert 0.0 < waits[0].drift_bps < waits[1].drift_bps < waits[2].drift_bps


@pytest.mark.parametrize("place", ["acme.json", "acme/today.json", "acme/2026-11-21.txt", "Acme Fund/2026-11-21.json"])
def test_a_place_that_names_no_set_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="is no place for a param-set"):
        set_name(tmp_path / place)


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tapes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tape that is long enough, and one that is not."""
    folder = tmp_path_factory.mktemp("tapes")
    for name, tape in (("long", planted(2_000)), ("short", planted(400))):
        save_tape(tape, folder / name, findings=(), source=(), importer="test")
    return folder / "long", folder / "short"


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = run(["calibrate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


OF = ("--venue", "rec", "--symbol", "BTC-USDT", "--horizons", "1,5", "--latency", "0")


def test_the_command_publishes_a_set(
    tapes: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "acme" / "2026-11-21.json"
    code, text, err = said(capsys, tapes[0], *OF, "--out", out)
    assert (code, err) == (0, "")
    made = ParamStore(tmp_path).get("acme", now_ns=0)
    assert f"Published acme/2026-11-21, digest {made.digest}, as {out}. Try: sor params {out}" in text.replace(
        "\n", " "
    )
    assert "Admitted up to 5 s" in text
    code, _, err = said(capsys, tapes[0], *OF, "--out", out)
    assert code == 1
    assert "published already" in err


def test_the_command_says_what_it_refuses(tapes: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, text, err = said(capsys, tapes[1], *OF)
    assert (code, err) == (1, "")
    assert "5 s is refused:" in text
    assert text.endswith("Nothing was admitted, and nothing was written.\n")


def test_the_command_as_json(tapes: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = said(capsys, tapes[0], *OF, "--from", "10%", "--until", "-60s", "--holdout", "40%", "--json")
    document = msgspec.json.decode(text)
    assert code == 0
    assert document["horizon_s"] == 5.0
    assert document["plan"]["until_s"] == -60.0
    assert document["plan"]["holdout"] == 0.4
    assert document["published"] is None
    assert float(document["values"]["drift.base"]) > 0.0
    assert document["tapes"][0]["last_ns"] <= 1_941 * NS


def test_the_command_tells_the_other_models_and_how_waits_end(
    tapes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("sor.lab.calibrate.calibrate", lambda tapes, plan, progress: found())
    code, text, _ = said(capsys, tapes[0], *OF)
    assert code == 0
    for model in ("hazard", "Kaplan-Meier", "Weibull", "log-normal", "log-logistic"):
        assert text.count(f" {model} ") >= 2
    assert "How waits of 5 s end where the touch may move away first (Aalen-Johansen)" in text
    assert "do not add up" not in text


def test_a_broken_identity_is_told_to_people_and_to_programs(
    tapes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    *sound, last = found().judged
    broken = msgspec.structs.replace(last, identity=Gap(0.4, 0.1))
    biased = msgspec.structs.replace(found(), judged=(*sound, broken))
    monkeypatch.setattr("sor.lab.calibrate.calibrate", lambda tapes, plan, progress: biased)
    code, text, _ = said(capsys, tapes[0], *OF)
    assert code == 0
    assert "5 s: fill probability, drift and what the filled found do not add up" in text
    assert "1 s: fill probability" not in text
    _, text, _ = said(capsys, tapes[0], *OF, "--json")
    document = msgspec.json.decode(text)
    assert document["broken_identities"] == [5.0]
    assert document["judged"][1]["identity"] == {"bps": 0.4, "se_bps": 0.1}
    assert [one["model"] for one in document["judged"][0]["models"]][2:] == ["weibull", "log_normal", "log_logistic"]
    assert {one["horizon_s"] for one in document["exits"]} == {1.0, 5.0}


MISTAKES: Sequence[tuple[tuple[str, ...], str, int]] = (
    (("missing", *OF), "there is no tape at", 1),
    ((".", *OF), "is not a tape", 1),
    (("TAPE", "--venue", "rec", "--symbol", "ETHUSDT"), "is of BTCUSDT on rec, not of ETHUSDT", 1),
    (("TAPE", "--venue", "bingx", "--symbol", "BTCUSDT"), "is of BTCUSDT on rec, not of BTCUSDT on bingx", 1),
    (("TAPE", *OF, "--horizons", "300"), "leave nothing to fit on", 1),
    (("TAPE", *OF, "--from", "soon"), "duration 'soon'", 2),
    (("TAPE", *OF, "--holdout", "150%"), "--holdout '150%'", 2),
    (("TAPE", *OF, "--base", "nobody"), "there is no param-set 'nobody'", 1),
    (("TAPE", *OF, "--out", "here.json"), "is no place for a param-set", 1),
    (("TAPE", "TAPE", *OF), "named twice", 1),
)


@pytest.mark.parametrize(("arguments", "text", "expected"), MISTAKES)
def test_mistakes_end_in_one_sentence(
    arguments: tuple[str, ...],
    text: str,
    expected: int,
    tapes: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, *(tapes[1] if one == "TAPE" else one for one in arguments))
    assert (code, out) == (expected, "")
    assert err.startswith("sor: ")
    assert err.count("\n") == 1
    assert text in err
    assert list(tmp_path.iterdir()) == []
