"""The experiment file: what is refused, with the line and the reason, and what is the same content."""

import json
import re

import pytest

from sor.experiment.definition import By, parse_experiment
from sor.params import ParamFileError
from tests.fakes.experiments import experiment_text
from tests.tidy.tree import ROOT

TWO = (("cross", "baseline"), ("maker_first", "baseline"))
PERIODS = {"by": "period", "period_s": "60", "eligible": {"venues": ["simulated"], "symbols": ["BTCUSDT"]}}


def changed(**fields: object) -> str:
    return json.dumps(json.loads(experiment_text(*TWO)) | fields, indent=1)


def arms(*shares: str) -> list[dict[str, str]]:
    return [
        {"name": f"n{at}", "policy": f"p{at}", "param_set": "baseline", "share": share}
        for at, share in enumerate(shares)
    ]


def test_the_digest_is_of_the_content_and_not_of_its_writing() -> None:
    text = experiment_text(*TWO)
    one = parse_experiment(text, where="a.json")
    assert parse_experiment(json.dumps(json.loads(text)), where="b.json").digest == one.digest
    assert parse_experiment(one.text, where="journal").digest == one.digest
    assert parse_experiment(changed(salt=12), where="c.json").digest != one.digest
    assert one.reference.name == "a"
    assert one.by is By.PARENT


def test_a_switchback_has_periods_and_coins() -> None:
    one = parse_experiment(changed(**PERIODS, lag=2), where="x")
    assert (one.period_ns, one.coin_periods) == (60_000_000_000, 2)


@pytest.mark.parametrize(
    ("text", "stands", "reason"),
    [
        ("{", "{", r"column 2: this is not JSON"),
        (changed(salt=-1), '"salt"', "salt: Input should be greater than or equal to 0"),
        (changed(name="Two words"), '"name"', "name: String should match"),
        (changed(arms=arms("0.5", "0.4")), "{", r"n1: shares add up to 1, and 0.5 \+ 0.4 do not"),
        (changed(arms=arms("1", "0.5")), '"share"', "share: Input should be less than 1"),
        (changed(arms=arms("0.5", "0.5")[:1]), '"arms"', "Tuple should have at least 2 items"),
        (changed(guards={}), "{", "guards.harm_bps: Field required"),
        (changed(guards={"harm_bps": 5}), '"harm_bps"', 'a number is decimal text such as "4.5", in quotes'),
        (changed(guards={"harm_bps": "5", "alfa": "0.1"}), '"alfa"', "alfa: Extra inputs are not permitted"),
        (changed(eligible={"symbols": ["BTC-USDT"]}), '"eligible"', "BTC-USDT would never match; spell it BTCUSDT"),
        (changed(eligible={"quantity_min": "2", "quantity_max": "1"}), '"eligible"', "no quantity lies"),
        (changed(period_s="60"), "{", "period_s and lag are for `by: period`"),
        (changed(**(PERIODS | {"period_s": None})), "{", "by period needs period_s"),
        (changed(**(PERIODS | {"eligible": {}})), "{", "by period needs one venue and one symbol"),
        (changed(**PERIODS, arms=arms("0.6", "0.4")), "{", "two arms of a share of 0.5 each"),
        (changed(shadows=[{"name": "a", "policy": "p", "param_set": "s"}]), "{", "have names of their own"),
        (experiment_text(("cross", "x"), ("cross", "x")).replace("made for a test", ""), "{", "the same as"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused_with_line_and_reason(text: str, stands: str, reason: str) -> None:
    with pytest.raises(ParamFileError, match=reason) as refused:
        parse_experiment(text, where="x.json")
    assert text.splitlines()[refused.value.line - 1].strip().startswith(stands)
    assert "The file is refused whole" in str(refused.value)


def test_the_file_of_the_page_is_one() -> None:
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    [text] = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    one = parse_experiment(text, where="docs/experiments.md")
    assert [arm.name for arm in one.arms] == ["plain", "patient"]
