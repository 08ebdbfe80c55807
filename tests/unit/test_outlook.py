"""What a wait is worth by measured flow, and the best of them."""

from statistics import NormalDist

import pytest

from policies.outlook import FlowOutlook, Wait, best_wait


def outlook(*, advantage: float, rate: float, drift: float = 0.0, risk: float = 0.0) -> FlowOutlook:
    return FlowOutlook(advantage_bps=advantage, fill_rate=rate, drift_root_s=drift, risk_root_s=risk)


def wait(timeout_s: float, *, advantage: float, rate: float, drift: float = 0.0, risk: float = 0.0) -> Wait:
    return outlook(advantage=advantage, rate=rate, drift=drift, risk=risk).wait(timeout_s)


def best(
    shortest_s: float, longest_s: float, *, advantage: float, rate: float, drift: float = 0.0, risk: float = 0.0
) -> Wait:
    return best_wait(outlook(advantage=advantage, rate=rate, drift=drift, risk=risk), shortest_s, longest_s)


# --- one wait ---------------------------------------------------------------------------------------------------------


def test_a_wait_by_hand() -> None:
    # x = 0.25 * 4 = 1, p = 1/2; drift 0.5 * 2 * phi(0) = 0.39894; risk 0.05 * 2 = 0.1.
    found = wait(4.0, advantage=3.0, rate=0.25, drift=0.5, risk=0.05)
    assert (found.timeout_s, found.fill_probability) == (4.0, 0.5)
    assert found.drift_bps == pytest.approx(0.3989423)
    assert found.saving_bps == pytest.approx(1.5 - 0.3989423)
    assert found.worth_bps == pytest.approx(1.4 - 0.3989423)


def test_it_is_rule_two() -> None:
    # Rest iff p > p* = D / (A + D), with D the mean drift of an order that is not filled (methods section 0).
    for rate in (0.01, 0.05, 0.2, 1.0):
        found = wait(6.0, advantage=1.2, rate=rate, drift=1.5)
        unfilled = found.drift_bps / (1.0 - found.fill_probability)
        assert (found.worth_bps > 0.0) == (found.fill_probability > unfilled / (1.2 + unfilled))


def test_without_flow_nothing_is_filled_and_nothing_saved() -> None:
    assert wait(10.0, advantage=3.0, rate=0.0, drift=1.0) == Wait(10.0, 0.0, 0.0, 0.0, 0.0)


def test_the_martingale_identity_holds() -> None:
    # A mid without drift: what filled orders are spared is what unfilled ones lose, p AS = (1 - p) D.
    found = wait(9.0, advantage=0.0, rate=0.3, drift=0.8)
    p = found.fill_probability
    z = NormalDist().inv_cdf(p)
    spared = 0.8 * 3.0 * NormalDist().pdf(z) / p
    assert p * spared == pytest.approx(found.drift_bps)


# --- the best wait ----------------------------------------------------------------------------------------------------


def test_without_drift_and_risk_longer_is_better() -> None:
    assert best(0.1, 12.0, advantage=3.0, rate=0.2).timeout_s == 12.0


def test_the_price_of_risk_shortens_the_wait() -> None:
    found = {}
    for risk in (0.0, 0.4, 0.8):
        grid = [64.0 / 2**n for n in range(10)]
        worths = [wait(one, advantage=3.0, rate=0.5, drift=0.3, risk=risk).worth_bps for one in grid]
        found[risk] = grid[worths.index(max(worths))]
        assert best(0.1, 64.0, advantage=3.0, rate=0.5, drift=0.3, risk=risk).timeout_s == found[risk]
    assert found == {0.0: 64.0, 0.4: 8.0, 0.8: 2.0}


def test_both_humps_are_looked_at() -> None:
    # From the longest wait down the worth first falls; the best lies beyond the dip.
    terms = {"advantage": 7.4, "rate": 0.169, "drift": 4.73}
    worths = [wait(34.0 / 2**n, **terms).worth_bps for n in range(9)]
    assert worths[1] < worths[0] < 0.0
    found = best(0.1, 34.0, **terms)
    assert found.worth_bps == max(worths) > 0.0


def test_no_wait_is_shorter_than_the_floor() -> None:
    assert best(3.0, 10.0, advantage=0.1, rate=0.5, drift=2.0, risk=2.0).timeout_s == 5.0
    assert best(10.0, 10.0, advantage=3.0, rate=0.5).timeout_s == 10.0


def test_a_venue_without_delay_does_not_make_it_halve_for_ever() -> None:
    assert best(0.0, 600.0, advantage=0.0, rate=0.5, drift=5.0, risk=5.0).timeout_s == 600.0 / 2**15
    assert best(0.0, 0.0, advantage=3.0, rate=0.5) == Wait(0.0, 0.0, 0.0, 0.0, 0.0)
