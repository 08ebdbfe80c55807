"""`join_and_cross` and `market_limit_qvi` on a simulated tape: done, clean in the books, replayed exactly."""

import json
from pathlib import Path

import pytest

from policies.case import Why
from policies.join_and_cross import SplitWhy
from policies.market_limit_qvi import QviWhy
from sor.cli.main import run

POLICIES = ("cross", "join_and_cross", "market_limit_qvi")


@pytest.mark.slow
def test_both_policies_on_a_simulated_market(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape, runs = tmp_path / "zi.tape", tmp_path / "runs"
    assert run(["tape", "record", "--out", str(tape), "--for", "50s", "--seed", "3"]) == 0
    capsys.readouterr()
    words = ["--policies", ",".join(POLICIES), "--parents", "6", "--deadline", "20s", "--qty", "0.2", "--json"]
    slices = ["--schedule", "twap", "--schedule-arg", "slices=3"]
    assert run(["replay", str(tape), "--runs", str(runs), *words, *slices]) == 0
    cross, *others = json.loads(capsys.readouterr().out)["policies"]
    for one in others:
        assert one["filled_share"] == 1.0
        assert (one["overfills"], one["orphans"], one["double_fills"], one["missed_fills"]) == (0, 0, 0, 0)
        assert one["passive_share"] > 0.5
        assert one["cost_bps"]["mean"] < cross["cost_bps"]["mean"] - 1.0
    for policy in POLICIES[1:]:
        assert run(["explain", f"{policy}-0004", "--runs", str(runs), "--check"]) == 0
        assert "bit for bit" in capsys.readouterr().out


def test_reasons_of_all_that_may_rest_are_one_vocabulary() -> None:
    own = [why.value for why in (*SplitWhy, *QviWhy)]
    assert len(set(own)) == len(own)
    assert not {why.value for why in Why}.intersection(own)
