"""The law of impact on tapes: planted laws come out, a window by hand, what is refused, and what is published."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from sor.ids import Symbol, VenueName
from sor.lab.calibration import Calibration, ImpactLaw, Refusal
from sor.lab.calibration_sample import draw_sample
from sor.lab.publish import param_set_of
from sor.lab.tape_impact import Windows, fit_law, windows_of
from sor.orders import Side
from sor.param_records import Kind
from sor.params import ParamStore
from sor.units import NS
from tests.fakes.planted import PLAN, SMALL, found, quietly
from tests.fakes.tape_script import Book, Print, tape_of

BASE = ParamStore().get("baseline", now_ns=0)


def drawn(
    seed: int, *, coefficient: float = 1.2, exponent: float = 0.5, count: int = 3_000, later: float | None = None
) -> Windows:
    """Windows of a planted law in noise with heavy tails; `later` is the coefficient of the held-out part."""
    rng = np.random.default_rng(seed)
    share = rng.exponential(4.0, count) + 0.05
    held = np.arange(count) >= 0.7 * count
    at = np.where(held, coefficient if later is None else later, coefficient)
    response = at * share**exponent + 2.0 * rng.standard_t(3, count)
    return Windows(response=response, share=share, block=np.arange(count) * 30 // count, held=held)


def law_of(windows: Windows) -> ImpactLaw:
    law = fit_law(windows, PLAN)
    assert isinstance(law, ImpactLaw)
    return law


def test_a_square_root_law_comes_out() -> None:
    law = law_of(drawn(1))
    assert law.exponent == 0.5
    assert law.own_exponent == pytest.approx(0.5, abs=0.1)
    assert law.peak.mean == pytest.approx(1.2, rel=0.05)
    assert law.paid[0] == pytest.approx(law.peak.mean / 1.5)
    assert law.error < law.error_of_linear < law.error_of_none
    assert law.error == pytest.approx(law.error_of_root)


def test_the_intervals_cover_what_was_planted() -> None:
    laws = [law_of(drawn(seed, count=1_000)) for seed in range(25)]
    covered = [law.paid[1] <= 0.8 <= law.paid[2] for law in laws if law.exponent == 0.5]
    assert len(covered) >= 20
    assert sum(covered) >= len(covered) - 4


def test_a_line_contradicts_the_square_root() -> None:
    law = law_of(drawn(2, exponent=1.0))
    assert law.exponent == law.own_exponent > 0.9
    assert law.own_exponent_low > 0.5
    assert law.error_of_linear < law.error_of_root


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        (drawn(3, count=200), "140 windows with a net flow in 21 blocks to fit on where 200 in 12 are needed"),
        (drawn(3)._replace(block=np.zeros(3_000, np.int64)), "2100 windows with a net flow in 1 blocks"),
        (drawn(3, coefficient=0.0), "no impact is told from none"),
        (drawn(3, coefficient=-1.0), "no impact is told from none"),
        (drawn(3, later=-1.0), "out of sample it forecasts moves worse than no impact at all"),
        (drawn(3, coefficient=30.0), "is beyond what makes sense"),
    ],
)
def test_what_tapes_do_not_support_is_refused(windows: Windows, reason: str) -> None:
    law = fit_law(windows, PLAN)
    assert isinstance(law, Refusal)
    assert law.horizon_s == 10.0
    assert reason in law.reason


def test_windows_by_hand() -> None:
    """Every second the mid goes up or down a tick in turn, every ten seconds a tick up, and after 100 s down.

    In each window of ten buyers take 6 lots and sellers 2, and after 100 s it is the other way round.
    """
    events: list[Book | Print] = []
    for second in range(200):
        tens = second // 10
        bid = 10_000 + second % 2 + (tens if tens < 10 else 19 - tens)
        at_ns = second * NS + NS // 2
        if second % 10 == 3:
            bought, sold = (6, 2) if tens < 10 else (2, 6)
            events += [Print(at_ns, Side.BUY, bid + 1, bought), Print(at_ns, Side.SELL, bid, sold)]
        events.append(Book(at_ns, {bid: 50}, {bid + 1: 50}, snapshot=True))
    tape = tape_of(events, SMALL)
    plan = msgspec.structs.replace(PLAN, horizons_s=(1.0,), every_s=1.0)
    windows = windows_of([tape], draw_sample([tape], plan, quietly))
    assert len(windows.share) == 17  # 18 s are to warm up, and the last is not whole
    assert windows.share == pytest.approx(np.full(17, 4.0 / 0.4))
    # The mid drifts a tick in ten seconds. Of ten changes from second to second nine are of a tick, and the tenth is
    # of nothing or two, so the volatility is of about a tick.
    turns = 7
    assert np.delete(windows.response, turns) == pytest.approx(np.ones(16), rel=0.15)
    assert windows.response[turns] == 0.0
    assert windows.held.sum() == 4  # 30 % of what is probed after the warm-up, whole windows
    both = windows_of([tape, tape], draw_sample([tape, tape], plan, quietly))
    assert len(both.share) == 34
    assert not set(both.block[:17].tolist()) & set(both.block[17:].tolist())


# --- what is published ------------------------------------------------------------------------------------------------


def with_impact(law: ImpactLaw, *, fill: bool = True) -> Calibration:
    whole = msgspec.structs.replace(found(), impact=law)
    return whole if fill else msgspec.structs.replace(whole, fitted=None, judged=(), size=None)


def test_the_law_is_published_with_what_it_rests_on() -> None:
    law = law_of(drawn(1))
    made, _ = param_set_of(with_impact(law), BASE, set_id="acme/2026-11-21")
    here = made.resolve(VenueName("rec"), Symbol("BTCUSDT"), now_ns=0)
    ends = [here[f"impact.coefficient{end}"] for end in ("", "_low", "_high")]
    assert ends == pytest.approx(law.paid, rel=1e-5)
    assert here["impact.exponent"] == 0.5
    assert here["impact.resting_coefficient"] == 0.5  # the base's: no tape says what shown size does
    assert made.note.startswith("Fill and drift up to 5 s and impact in 10 s of BTCUSDT on rec")
    ours = {
        record.id: record for record in made.records if record.id.startswith("impact.") and record.scope.venue == "rec"
    }
    assert [record.kind for _, record in sorted(ours.items())] == [*[Kind.FITTED] * 3, Kind.PUBLISHED]
    for param_id in ("impact.coefficient", "impact.coefficient_low", "impact.coefficient_high"):
        evidence = made.evidence_of(ours[param_id])
        assert evidence.sample_size == law.windows
        assert evidence.score is not None
        assert "no impact" in evidence.score.name
    fitted = found().fitted
    assert fitted is not None
    assert made.evidence.sample_size == fitted.fills  # that of the fill stays the set's


def test_a_law_alone_is_published_too() -> None:
    law = law_of(drawn(2, exponent=1.0))
    made, _ = param_set_of(with_impact(law, fill=False), BASE, set_id="acme/2026-11-21")
    here = made.resolve(VenueName("rec"), Symbol("BTCUSDT"), now_ns=0)
    assert here["impact.exponent"] == law.exponent
    assert here.missing(("fill.se",))
    assert made.note.startswith("Impact in 10 s of BTCUSDT on rec, fitted by sor calibrate")
    assert made.evidence == BASE.evidence


# --- size -------------------------------------------------------------------------------------------------------------


def test_larger_orders_are_followed_and_compared() -> None:
    size = found().size
    assert size is not None
    assert (size.lots, size.horizon_s) == (50, 5.0)  # as many as stand at the touch of that market
    # A sweep there takes everything; a move of the price takes no more than the other side then has.
    assert 0.7 < size.observed.mean < found().judged[-1].observed
    assert size.rate_ratio_low is not None
    assert size.rate_ratio_high is not None
    assert size.rate_ratio_low < size.rate_ratio < size.rate_ratio_high
