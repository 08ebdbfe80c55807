"""Whether a set has all that is needed to trade with it, and how `sor params validate` says so."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sor.cli.main import run
from sor.param_complete import ROUTER, lacking
from sor.params import ParamStore, parse
from tests.fakes.views import NOW_NS

NEEDS = {"bold": ("placement.collar_bps",), "calm": ("placement.dwell_ms", "placement.collar_bps")}
Says = Callable[..., tuple[int, list[str]]]


def baseline(**changes: object) -> dict[str, object]:
    """The baseline's content as `acme/2026-11-21`, but for the ids in `without`; those in `only_on` for a venue."""
    without, only_on = changes.get("without", ()), changes.get("only_on", {})
    assert isinstance(without, tuple)
    assert isinstance(only_on, dict)
    content: dict[str, object] = json.loads(ParamStore().get("baseline", now_ns=NOW_NS).text)
    records = content["records"]
    assert isinstance(records, list)
    content["records"] = [
        {**one, "scope": {"venue": only_on[one["id"]]}} if one["id"] in only_on else one
        for one in records
        if one["id"] not in without
    ]
    content["set_id"] = "acme/2026-11-21"
    return content


def missing(content: dict[str, object], **place: str) -> dict[str, tuple[str, ...]]:
    return lacking(parse(json.dumps(content), where="test"), NEEDS, now_ns=NOW_NS, **place)


def test_what_is_missing_is_named_for_whoever_needs_it() -> None:
    assert missing(baseline()) == {}
    assert missing(baseline(without=("placement.dwell_ms",))) == {"calm": ("placement.dwell_ms",)}
    # What the router needs is not repeated for the policies that need it too.
    assert missing(baseline(without=("placement.collar_bps",))) == {ROUTER: ("placement.collar_bps",)}


def test_what_is_given_for_one_venue_is_missing_on_others() -> None:
    content = baseline(only_on={"placement.dwell_ms": "acme"})
    assert missing(content) == {"calm": ("placement.dwell_ms",)}
    assert missing(content, venue="acme") == {}
    assert missing(content, venue="other", symbol="BTCUSDT") == {"calm": ("placement.dwell_ms",)}


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Says:
    """Validate a content where it stands: exit code and lines."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme").mkdir()

    def call(content: dict[str, object], *words: str) -> tuple[int, list[str]]:
        (tmp_path / "acme" / "2026-11-21.json").write_text(json.dumps(content), encoding="utf-8")
        code = run(["params", "validate", "acme/2026-11-21.json", *words])
        return code, capsys.readouterr().out.splitlines()

    return call


ALL = "calm_market, cost_aware, cross, join_and_cross, maker_first, market_limit_qvi and plain_limit"


def test_it_is_said_who_could_trade_and_for_trading_it_is_an_error(says: Says) -> None:
    assert says(baseline(), "--trading") == (0, [says(baseline())[1][0], f"    {ALL} could trade with it"])
    short = baseline(without=("chase.cost_bps", "qvi.units"))
    code, lines = says(short)
    able, unable = "calm_market, cross, join_and_cross, maker_first and plain_limit", "cost_aware and market_limit_qvi"
    assert (code, lines[1]) == (0, f"    {able} could trade with it, and not {unable} (--trading says why)")
    code, lines = says(short, "--trading")
    assert (code, lines[1:]) == (
        1,
        [
            "    cost_aware needs chase.cost_bps, which it does not give",
            "    market_limit_qvi needs qvi.units, which it does not give",
        ],
    )
    assert says(short, "--trading", "--policy", "cross") == (0, [lines[0], "    cross could trade with it"])
    bare = {**baseline(), "records": baseline()["records"][:1]}  # type: ignore[index]
    code, lines = says(bare)
    assert (code, lines[1]) == (
        0,
        "    nobody could trade with it: it lacks what the router needs (--trading names it)",
    )
    assert says(bare, "--trading")[1][1].startswith("    the router needs market.")


def test_a_file_that_stands_elsewhere_is_refused(says: Says) -> None:
    code, lines = says({**baseline(), "set_id": "acme/2026-11-22"})
    assert (code, lines[0].split(": ", 1)[1]) == (1, "it says acme/2026-11-22 and lies at acme/2026-11-21")
