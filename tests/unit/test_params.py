import json
import re
from datetime import timedelta, timezone
from importlib import resources
from pathlib import Path

import pytest

from sor.definition import choice
from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.invariants import apply
from sor.limits import limits_of
from sor.param_table import ALWAYS, TABLE, Unit
from sor.params import (
    Adopted,
    Evidence,
    Kind,
    ParamFileError,
    Params,
    ParamSet,
    ParamStore,
    Record,
    Refused,
    Scope,
    Score,
    parse,
)
from sor.plugins import Plugins
from sor.policy import Decision, Rest
from sor.reasons import TimeoutBound
from sor.regime import Regime
from sor.revisit import Revisit
from sor.units import NS
from tests.fakes.views import NOW_NS, VENUE, view
from tests.tidy.tree import ROOT

ACME = VenueName("acme")
OTHER = VenueName("other")
BTC = Symbol("BTCUSDT")
ETH = Symbol("ETHUSDT")
DAY_NS = 86_400 * NS

PUBLISHED = {
    "baseline/2026-11-21": "2bda954cf61c08b2",
    "bingx/2026-11-21": "89529461fb51b22c",
    "synthetic/2026-11-21": "cd03e9b574b4b626",
}
"""Digests of the sets that ship. A published set is never changed: publish a new file and add its line here."""

PLAIN = {
    "id": "acme.patience_s",
    "value": "4.5",
    "unit": "s",
    "bounds": ["0", "10"],
    "kind": "published",
    "source": "Acme handbook, page 3",
    "observed": "2026-01-02",
}
MEASURED = {
    **PLAIN,
    "kind": "measured",
    "method": "median of touch lives",
    "version": "1",
    "window": ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"],
    "author": "Acme research",
    "sample_size": 812,
    "interval": ["4", "5"],
    "input_digest": "0123456789abcdef",
}
BACKWARDS = ["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"]
FITTED = {**MEASURED, "kind": "fitted", "score": {"name": "log loss", "value": "0.51", "reference": "0.56"}}
CHOICE = {"id": "acme.rule", "value": "carry", "unit": "choice", "bounds": None, "words": ["carry", "stop"]}
REGIMES: list[dict[str, object]] = [
    {**PLAIN, "id": "regime.wide_spread_min", "unit": "bps", "value": "6"},
    {**PLAIN, "id": "regime.busy_volatility_min", "unit": "bps/sqrt(s)", "value": "1.5"},
    {**PLAIN, "id": "regime.window_s_min", "value": "3"},
]


STALE = {"id": "market.stale_ms_max", "value": "900", "unit": "ms", "bounds": ["50", "1000"]}


def record(**changes: object) -> dict[str, object]:
    return {key: value for key, value in {**PLAIN, **changes}.items() if value is not None}


def text(*records: dict[str, object], **changes: object) -> str:
    document = {"format": 1, "set_id": "test/2026-01-02", "records": records or (PLAIN,), **changes}
    return json.dumps(document, indent=1)


def made(*records: dict[str, object], **changes: object) -> ParamSet:
    return parse(text(*records, **changes), where="test.json")


def refusal(source: str) -> tuple[int, str]:
    with pytest.raises(ParamFileError) as caught:
        parse(source, where="test.json")
    return caught.value.line, caught.value.reason


def line_of(source: str, piece: str, *, occurrence: int = 1) -> int:
    lines = [number for number, line in enumerate(source.splitlines(), start=1) if piece in line]
    return lines[occurrence - 1]


# --- what is published ------------------------------------------------------------------------------------------------


def test_the_sets_that_ship_are_those_published() -> None:
    store = ParamStore()
    assert {name: store.get(name, now_ns=0).digest for name in store.names()} == PUBLISHED


def test_baseline_gives_everything_that_is_read() -> None:
    params = ParamStore().get("baseline", now_ns=0).resolve(ACME, BTC, now_ns=0)
    assert set(params) <= set(TABLE)
    limits_of(params)  # every id that the machines read
    ours = [
        policy for policy in Plugins.installed().policies.values() if type(policy).__module__.startswith("policies.")
    ]
    assert ours
    assert params.missing([*ALWAYS, *(need for policy in ours for need in policy.needs)]) == ()


def test_the_set_for_bingx_is_the_baseline_with_assumptions_of_its_own() -> None:
    baseline, bingx = (ParamStore().get(name, now_ns=0) for name in ("baseline", "bingx"))
    own = [one for one in bingx.records if one.scope.venue == "bingx"]
    assert [one for one in bingx.records if one not in own] == list(baseline.records)
    assert {one.kind for one in own} == {Kind.ASSUMED}
    assert len(own) == 10
    elsewhere = bingx.resolve(ACME, BTC, now_ns=0)
    assert elsewhere.as_dict() == baseline.resolve(ACME, BTC, now_ns=0).as_dict()
    there = bingx.resolve(VenueName("bingx"), BTC, now_ns=0)
    assert {name for name in there if name in there.as_dict() and there[name] != elsewhere[name]} == {
        one.id for one in own
    }


def test_the_machines_and_the_invariants_read_nothing_but_what_is_always_there() -> None:
    baseline = ParamStore().get("baseline", now_ns=0).resolve(ACME, BTC, now_ns=0)
    least = Params(set_id="t", digest="d", values={param_id: baseline[param_id] for param_id in ALWAYS})
    assert limits_of(least) == limits_of(baseline)
    rest = Rest(VENUE, 10, 100_000, NOW_NS + 10 * NS, TimeoutBound.FIXED)
    crossed = apply(Decision(placements=(rest,), revisit=Revisit(), reason="any"), view(may_rest=False), least)
    assert crossed.vetoes == ("may_not_rest",)


def test_baseline_claims_no_calibration() -> None:
    kinds = {one.kind.value for one in ParamStore().get("baseline", now_ns=0).records}
    assert kinds <= {"assumed", "published"}


def test_every_id_that_code_reads_is_defined() -> None:
    read = re.compile(r"params\[\s*\"([a-z_.]+)\"\s*\]")
    sources = [path for room in ("sor", "policies") for path in (ROOT / room).rglob("*.py")]
    found = {param_id for path in sources for param_id in read.findall(path.read_text(encoding="utf-8"))}
    assert found
    assert found <= set(TABLE)


def test_the_readme_defines_every_field_and_parameter_prefix() -> None:
    readme = (ROOT / "paramsets" / "README.md").read_text(encoding="utf-8")
    fields = {*ParamSet.model_fields, *Record.model_fields, *Score.model_fields, *Scope.model_fields}
    assert not [field for field in sorted(fields) if f"`{field}`" not in readme]
    assert not [unit.value for unit in Unit if f"`{unit.value}`" not in readme]


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("fill.lean", "venue simulated, symbol BTCUSDT lacks fill.lean"),
        ("fading.log_behind", "venue simulated, symbol BTCUSDT lacks fading.log_behind"),
        ("drift.se", "venue simulated, symbol BTCUSDT lacks drift.se"),
        ("markout.base", "venue simulated, symbol BTCUSDT lacks markout.base"),
        ("range.behind_low", "venue simulated, symbol BTCUSDT lacks range.behind_low"),
    ],
)
def test_half_a_fit_is_refused(gone: str, said: str) -> None:
    whole = (resources.files("paramsets") / "synthetic" / "2026-11-21.json").read_text(encoding="utf-8")
    content = json.loads(whole)
    content["records"] = [one for one in content["records"] if one["id"] != gone]
    with pytest.raises(ParamFileError, match=re.escape(said)):
        parse(json.dumps(content), where="half")


def test_a_set_says_where_its_fit_holds_when_that_is_not_here() -> None:
    synthetic = ParamStore().get("synthetic", now_ns=0)
    there = synthetic.resolve(VenueName("simulated"), Symbol("BTCUSDT"), now_ns=0)
    assert synthetic.fitted_elsewhere(there) == ()
    elsewhere = synthetic.resolve(ACME, BTC, now_ns=0)
    assert synthetic.fitted_elsewhere(elsewhere) == ("venue simulated, symbol BTCUSDT",)
    baseline = ParamStore().get("baseline", now_ns=0)
    assert baseline.fitted_elsewhere(baseline.resolve(ACME, BTC, now_ns=0)) == ()


def test_a_regime_may_have_a_part_of_its_own_where_the_rest_stands_for_all() -> None:
    whole = (resources.files("paramsets") / "synthetic" / "2026-11-21.json").read_text(encoding="utf-8")
    content = json.loads(whole)
    (lean,) = [one for one in content["records"] if one["id"] == "fill.lean"]
    content["records"].append({**lean, "scope": {**lean.get("scope", {}), "regime": "busy"}})
    assert parse(json.dumps(content), where="parts").records


# --- digest -----------------------------------------------------------------------------------------------------------


def test_the_digest_is_of_the_content_alone() -> None:
    first = record(id="acme.a", value="5", scope={"venue": "acme"})
    second = record(id="acme.b", value="0.50")
    same = [
        made(first, second),
        made(second, first),
        made(
            record(id="acme.a", value="5.00", scope={"symbol": "*", "venue": "acme"}), record(id="acme.b", value="0.5")
        ),
        parse(text(first, second).replace("\n", "\n\n  "), where="spaced.json"),
        parse(made(first, second).text, where="canonical"),
    ]
    assert len({one.digest for one in same}) == 1
    assert re.fullmatch(r"[0-9a-f]{16}", same[0].digest)


@pytest.mark.parametrize(
    "changes",
    [{"value": "4.6"}, {"source": "page 4"}, {"bounds": ["0", "11"]}, {"scope": {"venue": "acme"}}, {"unit": "ms"}],
)
def test_the_digest_changes_with_the_content(changes: dict[str, object]) -> None:
    assert made(record(**changes)).digest != made(record()).digest


# --- resolve ----------------------------------------------------------------------------------------------------------


def test_the_most_specific_scope_wins() -> None:
    scopes: list[dict[str, str]] = [
        {},
        {"venue": "acme"},
        {"symbol": "BTCUSDT"},
        {"venue": "acme", "symbol": "BTCUSDT"},
    ]
    found = made(*(record(value=str(number), scope=scope) for number, scope in enumerate(scopes)))
    values = {
        (venue, symbol): found.resolve(venue, symbol, now_ns=0)["acme.patience_s"]
        for venue in (ACME, OTHER)
        for symbol in (BTC, ETH)
    }
    assert values == {(OTHER, ETH): 0.0, (ACME, ETH): 1.0, (OTHER, BTC): 2.0, (ACME, BTC): 3.0}


def test_a_value_holds_from_its_first_moment_to_before_its_last() -> None:
    found = made(
        record(value="1"),
        record(
            value="2", scope={"venue": "acme"}, valid_from="1970-01-02T00:00:00Z", valid_until="1970-01-03T00:00:00Z"
        ),
    )
    times = [DAY_NS - 1, DAY_NS, 2 * DAY_NS - 1, 2 * DAY_NS, DAY_NS - 1]
    assert [found.resolve(ACME, BTC, now_ns=now)["acme.patience_s"] for now in times] == [1.0, 2.0, 2.0, 1.0, 1.0]


def test_no_time_zone_of_another_library_stays_alive() -> None:
    """Pydantic's own, alive when the interpreter ends, may end it with a segmentation fault."""
    found = made(
        record(**{**MEASURED, "window": ["2026-01-01T02:00:00+02:00", "2026-01-02T00:00:00Z"]}),
        valid_from="1970-01-02T00:00:00Z",
    )
    (one,) = found.records
    assert one.window is not None
    assert found.valid_from is not None
    moments = (*one.window, found.valid_from)
    assert {type(moment.tzinfo) for moment in moments} == {timezone}
    assert [moment.utcoffset() for moment in moments] == [timedelta(hours=2), timedelta(0), timedelta(0)]


def test_an_expired_parameter_is_missing() -> None:
    found = made(record(valid_until="1970-01-02T00:00:00Z"), record(id="acme.other"))
    params = found.resolve(ACME, BTC, now_ns=DAY_NS)
    assert "acme.patience_s" not in params
    assert params.missing(("acme.patience_s", "acme.other")) == ("acme.patience_s",)


def test_a_symbol_beats_a_venue_and_a_venue_beats_a_regime() -> None:
    scopes = [
        {
            **({"venue": "acme"} if rank & 2 else {}),
            **({"symbol": "BTCUSDT"} if rank & 4 else {}),
            **({"regime": "busy"} if rank & 1 else {}),
        }
        for rank in range(8)
    ]
    assert [Scope.model_validate(scope).weight for scope in scopes] == list(range(8))
    for size in range(1, 9):  # with one more scope given, the most specific of them is in force
        found = made(*REGIMES, *(record(value=str(rank), scope=scopes[rank]) for rank in range(size)))
        params = found.resolve(ACME, BTC, now_ns=0)
        assert params.within(Regime.BUSY)["acme.patience_s"] == size - 1
        assert params["acme.patience_s"] == max(rank for rank in range(size) if not rank & 1)
        assert params.within(Regime.WIDE) is params.within(None) is params


def test_a_value_for_a_regime_alone_is_missing_at_the_door() -> None:
    params = made(*REGIMES, record(scope={"regime": "wide"})).resolve(ACME, BTC, now_ns=0)
    assert params.missing(["acme.patience_s"]) == ("acme.patience_s",)
    assert params.within(Regime.WIDE)["acme.patience_s"] == 4.5


def test_a_value_for_a_regime_that_has_run_out_gives_way() -> None:
    busy = record(value="9", scope={"regime": "busy"}, valid_until="1970-01-02T00:00:00Z")
    found = made(*REGIMES, record(), busy)
    values = [found.resolve(ACME, BTC, now_ns=now).within(Regime.BUSY)["acme.patience_s"] for now in (0, DAY_NS)]
    assert values == [9.0, 4.5]


def test_what_regimes_are_cannot_run_out() -> None:
    _, reason = refusal(text(*REGIMES[:2], {**REGIMES[2], "valid_until": "2026-02-02T00:00:00Z"}))
    assert reason.startswith("regime.window_s_min: it says what the regimes are, so it cannot begin or cease")


def test_a_family_comes_from_one_scope_and_is_read_as_a_whole() -> None:
    def knots(*values: str, **changes: object) -> list[dict[str, object]]:
        return [record(id=f"acme.knot_{at:02d}", value=value, **changes) for at, value in enumerate(values)]

    found = made(*knots("1", "2", "3"), *knots("7", "8", scope={"symbol": "BTCUSDT"}))
    here, there = (found.resolve(ACME, symbol, now_ns=0) for symbol in (BTC, ETH))
    assert (here.family("acme.knot_NN"), there.family("acme.knot_NN")) == ((7.0, 8.0), (1.0, 2.0, 3.0))
    assert here.missing(["acme.knot_NN", "acme.knob_NN"]) == ("acme.knob_NN",)
    assert made(*knots("1")).lost(found) == ()  # a refit with fewer knots gives the family none the less
    assert made(record()).lost(found) == ("acme.knot_NN",)
    _, reason = refusal(text(*knots("1"), *knots("2", "3", valid_until="2026-02-02T00:00:00Z")[1:]))
    assert reason == "acme.knot_01: it is not valid at the same time as acme.knot_00, and a family is used as a whole"


# --- words ------------------------------------------------------------------------------------------------------------


def test_a_choice_is_read_as_its_word() -> None:
    found = made(record(), record(**CHOICE), record(**{**CHOICE, "value": "stop", "scope": {"venue": "acme"}}))
    params = found.resolve(ACME, BTC, now_ns=0)
    assert (params.choice("acme.rule"), params.choices()) == ("stop", {"acme.rule": "stop"})
    assert found.resolve(OTHER, BTC, now_ns=0).choice("acme.rule") == "carry"
    assert params.as_dict() == {"acme.patience_s": 4.5}
    assert list(params) == ["acme.patience_s", "acme.rule"]
    assert params.missing(["acme.rule"]) == ()
    assert parse(found.text, where="canonical").digest == found.digest


def test_the_words_of_our_own_choices_are_those_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    row = choice("placement.rule", ("carry", "stop"), "What is done with a rest.")
    monkeypatch.setattr("sor.param_table.TABLE", {**TABLE, row.id: row})
    given = {**CHOICE, "id": row.id}
    assert made(record(**{**given, "words": ["carry"]})).records[0].value == "carry"
    _, reason = refusal(text(record(**{**given, "words": ["carry", "leave"]})))
    assert reason == "placement.rule: word leave is none of carry, stop"
    _, reason = refusal(text(record(id=row.id)))
    assert reason == "placement.rule: unit s is wrong, it is measured in choice"


# --- evidence ---------------------------------------------------------------------------------------------------------


def test_a_set_says_once_what_all_its_fits_rest_on() -> None:
    common = {key: FITTED[key] for key in ("method", "version", "window", "author", "sample_size", "input_digest")}
    own = {"kind": "fitted", "score": FITTED["score"], "interval": ["4", "5"]}
    found = made(record(id="acme.a", **own), record(id="acme.b", sample_size=7, **own), record(), evidence=common)
    first, second, published = (found.evidence_of(each) for each in found.records)
    assert (first.sample_size, second.sample_size) == (812, 7)
    assert (first.method, second.author) == ("median of touch lives", "Acme research")
    assert published == Evidence()
    assert parse(found.text, where="canonical").digest == found.digest
    _, reason = refusal(text(record(id="acme.a", **own), evidence={**common, "author": None}))
    assert reason == "acme.a: kind fitted needs author"


def test_resolving_again_gives_the_same_object() -> None:
    found = made()
    assert found.resolve(ACME, BTC, now_ns=5) is found.resolve(ACME, BTC, now_ns=6)
    params = found.resolve(ACME, BTC, now_ns=5)
    assert (params.set_id, params.digest, params.as_dict()) == (
        "test/2026-01-02",
        found.digest,
        {"acme.patience_s": 4.5},
    )


# --- what is refused --------------------------------------------------------------------------------------------------


def test_text_that_is_not_json_names_line_and_column() -> None:
    source = text().replace('"unit": "s",', '"unit": "s"')
    line, reason = refusal(source)
    assert line == line_of(source, '"bounds"')
    assert "column 4" in reason
    assert "not JSON" in reason


@pytest.mark.parametrize(
    ("changes", "at", "words"),
    [
        ({"value": "11"}, "{", "value 11 is outside its bounds 0 to 10"),
        ({"value": 4.5}, '"value"', "decimal text"),
        ({"value": "1e3"}, '"value"', "decimal text"),
        ({"value": "NaN"}, '"value"', "decimal text"),
        ({"unit": "furlong"}, '"unit"', "Input should be 'bps'"),
        ({"unit": "count"}, "{", "is a count and must be whole"),
        ({"kind": "guessed"}, '"kind"', "'published', 'measured', 'fitted' or 'assumed'"),
        ({"source": ""}, '"source"', "at least 1 character"),
        ({"source": None}, "{", "Field required"),
        ({"observed": "yesterday"}, '"observed"', "valid date"),
        ({"observed": 20260102}, '"observed"', "valid date"),
        ({"surprise": 1}, '"surprise"', "Extra inputs are not permitted"),
        ({"id": "Patience"}, '"id"', "match pattern"),
        ({"kind": "measured"}, "{", "kind measured needs method"),
        ({**MEASURED, "sample_size": None}, "{", "kind measured needs sample_size"),
        ({**MEASURED, "sample_size": 0}, '"sample_size"', "greater than 0"),
        ({**MEASURED, "window": None}, "{", "kind measured needs window"),
        ({**MEASURED, "author": None}, "{", "kind measured needs author"),
        ({**MEASURED, "window": BACKWARDS}, '"window"', "does not end after it begins"),
        ({**FITTED, "interval": None}, "{", "kind fitted needs interval"),
        ({**FITTED, "score": None}, "{", "kind fitted needs score"),
        ({**FITTED, "score": {"name": "log loss", "value": "NaN"}}, '"value"', "decimal text"),
        ({**CHOICE, "value": "carried"}, "{", "value carried is none of its words carry, stop"),
        ({**CHOICE, "value": "1"}, "{", "value 1 is none of its words carry, stop"),
        ({**CHOICE, "words": None}, "{", "a choice needs words"),
        ({**CHOICE, "words": []}, '"words"', "at least 1 item"),
        ({**CHOICE, "words": ["Carry"]}, '"words"', "match pattern"),
        ({**CHOICE, "bounds": ["0", "1"]}, "{", "a choice has words, and neither bounds nor an interval"),
        ({"words": ["carry"]}, "{", "a number in s has bounds and no words"),
        ({"bounds": None}, "{", "a number in s needs bounds"),
        ({"value": "carry"}, "{", "value carry is no number, and the unit is s"),
        ({**CHOICE, "id": "placement.dwell_ms"}, "{", "unit choice is wrong, it is measured in ms"),
        ({"scope": {"regime": "sleepy"}}, '"regime"', "match pattern"),
        ({"scope": {"regime": "busy"}}, "{", "nothing says everywhere what they are: regime.wide_spread_min is not"),
        ({**STALE, "scope": {"regime": "busy"}}, "{", "read outside of decisions, so it cannot differ by regime"),
        ({"id": "acme.knot_01"}, "{", "acme.knot_00 is not given for venue *, symbol *"),
        ({**MEASURED, "interval": ["5", "6"]}, "{", "outside its own interval 5 to 6"),
        ({"sample_size": 5}, "{", "kind published has no sample_size"),
        ({"scope": {"symbol": "btc-usdt"}}, '"scope"', "btc-usdt would never match; spell it BTCUSDT"),
        ({"scope": {"venue": "Acme"}}, '"venue"', "match pattern"),
        ({"valid_from": "2026-01-02T00:00:00"}, '"valid_from"', "timezone"),
        ({"valid_from": "2026-01-02T00:00:00Z", "valid_until": "2026-01-02T00:00:00Z"}, "{", "not after valid_from"),
        ({"supersedes": "baseline/2026-02-30"}, '"supersedes"', "2026-02-30 is not a date"),
        ({"id": "placement.calm_spread"}, "{", "did you mean placement.calm_spread_max"),
        ({"id": "market.xyz"}, "{", "there is no such parameter"),
        ({**STALE, "valid_from": "2026-01-02T00:00:00Z"}, "{", "cannot begin or cease to be valid"),
        ({**STALE, "scope": {"venue": "acme"}}, "{", "read it everywhere, and it stands for no more than a venue"),
        ({"id": "placement.calm_spread_max"}, "{", "unit s is wrong, it is measured in bps"),
        (
            {"id": "placement.calm_spread_max", "unit": "bps", "bounds": ["0", "60"]},
            "{",
            "bounds 0 to 60 reach beyond 0 to 50",
        ),
    ],
)
def test_a_bad_record_is_named_with_its_line(changes: dict[str, object], at: str, words: str) -> None:
    good = record(id="acme.first")
    source = text(good, record(**changes))
    line, reason = refusal(source)
    second = source.index("{", source.index('"acme.first"'))
    assert line == source.count("\n", 0, source.index(at, second)) + 1
    assert words in reason
    assert reason.startswith(str(changes.get("id", PLAIN["id"])))


def test_what_stands_before_the_records_is_none_of_them() -> None:
    first, second = record(id="acme.first"), record(id="acme.second", value="70")
    document = {
        "format": 1,
        "set_id": "test/2026-01-02",
        "evidence": {"method": "[mean]", "score": {"name": "records", "value": "1"}},
        "records": [first, second],
    }
    source = json.dumps(document, indent=1)
    line, reason = refusal(source)
    assert line == line_of(source, '"acme.second"') - 1
    assert reason.startswith("acme.second: value 70 is outside its bounds")


def test_one_id_stands_once_in_a_scope() -> None:
    source = text(record(), record(scope={"venue": "acme"}), record(value="5"))
    line, reason = refusal(source)
    assert line == line_of(source, '"id"', occurrence=3) - 1
    assert reason == "acme.patience_s: it stands twice for venue *, symbol *"


def test_a_collar_beyond_the_gate_is_refused() -> None:
    collar = record(id="placement.collar_bps", value="30", unit="bps", bounds=["1", "100"])
    gate = record(id="risk.collar_bps", value="20", unit="bps", bounds=["1", "100"])
    line, reason = refusal(text(gate, collar))
    assert line == line_of(text(gate, collar), "placement.collar_bps") - 1
    assert reason.startswith("placement.collar_bps: 30 is more than risk.collar_bps 20")


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("", 1, "not JSON"),
        ("[]", 1, "should be an object"),
        ('{\n"format": 2, "set_id": "a/2026-01-02", "records": []}', 2, "format"),
        (text(set_id="test"), 3, "match pattern"),
        (text(set_id="test/2026-13-01"), 3, "2026-13-01 is not a date"),
        (text(records=[]), 4, "at least 1 item"),
        ('{\n"format": 1,\n"format": 1}', 3, "format stands twice in one object"),
        ('{\n"format":\n NaN}', 3, "NaN is not a number"),
        ("[" * 100_000, 1, "nested too deeply"),
        ('{\n"format": 1, "records": [5]}', 2, "set_id"),
    ],
)
def test_a_bad_document_is_named_with_its_line(source: str, line: int, words: str) -> None:
    found, reason = refusal(source)
    assert words in reason
    assert found == line or words == "set_id"


def test_a_repeated_key_is_found_in_its_own_record() -> None:
    source = text(record(id="acme.a"), record(id="acme.b")).replace(
        '"kind": "published"', '"kind": "published",\n"unit": "s"'
    )
    line, reason = refusal(source)
    assert (line, reason) == (line_of(source, '"unit"', occurrence=2), "unit stands twice in one object")


def test_the_error_says_what_to_do() -> None:
    with pytest.raises(CallerError, match=r"^test.json:1: .* refused whole and nothing of it is in force"):
        parse("", where="test.json")


# --- the store --------------------------------------------------------------------------------------------------------


def write(root: Path, set_id: str, *records: dict[str, object], **changes: object) -> Path:
    path = root / f"{set_id}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text(*records, set_id=set_id, **changes), encoding="utf-8")
    return path


def test_a_store_reads_directories_and_the_package(tmp_path: Path) -> None:
    write(tmp_path, "fit/2026-01-02")
    (tmp_path / "fit" / "notes.txt").write_text("not a set")
    assert ParamStore(tmp_path).names() == tuple(sorted([*PUBLISHED, "fit/2026-01-02"]))
    assert ParamStore(tmp_path, packaged=False).names() == ("fit/2026-01-02",)


def test_a_venue_has_the_set_of_its_name_that_is_for_it(tmp_path: Path) -> None:
    store = ParamStore()
    assert store.of_venue("bingx", now_ns=NOW_NS) == "bingx"
    assert store.of_venue("simulated", now_ns=NOW_NS) is None  # `synthetic` is for it, and is not its own
    assert store.of_venue("baseline", now_ns=NOW_NS) is None  # a name that it happens to share
    write(tmp_path, "acme/2026-01-02", record(scope={"venue": "acme"}), valid_until="2020-01-01T00:00:00Z")
    assert ParamStore(tmp_path, packaged=False).of_venue("acme", now_ns=NOW_NS) is None
    write(tmp_path, "acme/2026-01-03", record(scope={"venue": "acme"}))
    assert ParamStore(tmp_path, packaged=False).of_venue("acme", now_ns=NOW_NS) == "acme"


def test_a_family_gives_its_newest_valid_set(tmp_path: Path) -> None:
    write(tmp_path, "fit/2026-01-02", record(value="1"))
    write(tmp_path, "fit/2026-01-03", record(value="2"), valid_until="1970-01-03T00:00:00Z")
    write(tmp_path, "fit/2026-01-04", record(value="3"), valid_from="1970-01-02T00:00:00Z")
    store = ParamStore(tmp_path, packaged=False)
    names = [store.get("fit", now_ns=now).set_id for now in (0, DAY_NS, 3 * DAY_NS)]
    assert names == ["fit/2026-01-03", "fit/2026-01-04", "fit/2026-01-04"]
    assert store.get("fit/2026-01-02", now_ns=0).set_id == "fit/2026-01-02"
    with pytest.raises(CallerError, match="fit/2026-01-04 is not valid at this time; nothing was sent"):
        store.get("fit/2026-01-04", now_ns=0)


def test_what_is_in_force_is_every_valid_set_and_the_newest_of_each_family(tmp_path: Path) -> None:
    write(tmp_path, "fit/2026-01-02")
    write(tmp_path, "fit/2026-01-03", record(value="2"))
    write(tmp_path, "fit/2026-01-04", record(value="3"), valid_from="1970-01-02T00:00:00Z")
    write(tmp_path, "old/2026-01-02", valid_until="1970-01-02T00:00:00Z")
    store = ParamStore(tmp_path, packaged=False)
    names = [{name: one.set_id for name, one in store.in_force(now_ns=now).items()} for now in (0, DAY_NS)]
    first, second, third = "fit/2026-01-02", "fit/2026-01-03", "fit/2026-01-04"
    assert names == [
        {first: first, second: second, "fit": second, "old/2026-01-02": "old/2026-01-02", "old": "old/2026-01-02"},
        {first: first, second: second, third: third, "fit": third},
    ]


def test_what_a_set_no_longer_gives_is_named() -> None:
    first, second = record(id="acme.a"), record(id="acme.b")
    elsewhere = record(id="acme.c", scope={"venue": "acme"})
    before = made(first, second, elsewhere)
    assert made(first, second).lost(before) == ()  # what one venue had of its own was never given everywhere
    assert made(first).lost(before) == ("acme.b",)
    assert made(first, record(id="acme.b", scope={"symbol": "BTCUSDT"})).lost(before) == ("acme.b",)
    assert before.lost(made(first)) == ()


def test_an_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    write(tmp_path, "fit/2026-01-02")
    store = ParamStore(tmp_path, packaged=False)
    with pytest.raises(CallerError, match=r"no param-set 'fitt'; nothing was sent. There are: fit/2026-01-02"):
        store.get("fitt", now_ns=0)


def test_a_changed_file_is_adopted_once(tmp_path: Path) -> None:
    path = write(tmp_path, "fit/2026-01-02", record(value="1"))
    store = ParamStore(tmp_path, packaged=False)
    old = store.get("fit", now_ns=0)
    assert store.reload() == []
    write(tmp_path, "fit/2026-01-02", record(value="2"))
    news = store.reload()
    new = store.get("fit", now_ns=0)
    assert news == [Adopted("fit/2026-01-02", digest=new.digest, where=str(path), replaced=old.digest)]
    assert new.resolve(ACME, BTC, now_ns=0)["acme.patience_s"] == 2.0
    assert store.reload() == []
    assert old.resolve(ACME, BTC, now_ns=0)["acme.patience_s"] == 1.0  # whoever works with it keeps it


def test_another_spelling_of_the_same_content_is_no_news(tmp_path: Path) -> None:
    path = write(tmp_path, "fit/2026-01-02")
    store = ParamStore(tmp_path, packaged=False)
    path.write_text(path.read_text().replace("\n", "\n\n"))
    assert store.reload() == []


def test_a_bad_file_is_refused_and_the_old_set_stays(tmp_path: Path) -> None:
    path = write(tmp_path, "fit/2026-01-02", record(value="1"))
    store = ParamStore(tmp_path, packaged=False)
    old = store.get("fit", now_ns=0)
    write(tmp_path, "fit/2026-01-02", record(value="11"))
    news = store.reload(path)
    assert news == [
        Refused(str(path), line=5, reason="acme.patience_s: value 11 is outside its bounds 0 to 10", kept=old.digest)
    ]
    assert store.get("fit", now_ns=0) is old
    assert store.reload() == []  # said once
    write(tmp_path, "fit/2026-01-02", record(value="1"))
    assert store.reload() == []  # back to what is in force


def test_one_bad_file_does_not_hold_up_the_others(tmp_path: Path) -> None:
    store = ParamStore(tmp_path, packaged=False)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "2026-01-02.json").write_bytes(b"{\n\xff}")
    good = write(tmp_path, "fit/2026-01-02")
    assert store.reload() == [
        Refused(str(bad / "2026-01-02.json"), line=2, reason="it is not UTF-8 text", kept=None),
        Adopted("fit/2026-01-02", digest=store.get("fit", now_ns=0).digest, where=str(good), replaced=None),
    ]


def test_a_file_in_the_wrong_place_is_refused(tmp_path: Path) -> None:
    store = ParamStore(tmp_path, packaged=False)
    path = write(tmp_path, "fit/2026-01-02")
    moved = path.rename(path.with_name("2026-01-03.json"))
    [news] = store.reload()
    assert news == Refused(str(moved), line=3, reason="it says fit/2026-01-02 and lies at fit/2026-01-03", kept=None)


def test_two_directories_cannot_give_one_set(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for root in (first, second):
        root.mkdir()
        write(root, "fit/2026-01-02")
    with pytest.raises(CallerError, match=r"fit/2026-01-02 is already taken by .*first"):
        ParamStore(first, second, packaged=False)


def test_a_directory_that_disappears_leaves_its_sets_in_force(tmp_path: Path) -> None:
    root = tmp_path / "sets"
    root.mkdir()
    path = write(root, "fit/2026-01-02")
    store = ParamStore(root, packaged=False)
    path.unlink()
    assert store.reload() == []
    path.parent.rmdir()
    root.rmdir()
    assert store.reload() == []
    assert store.get("fit", now_ns=0).set_id == "fit/2026-01-02"


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    store = ParamStore(tmp_path, packaged=False)
    write(tmp_path, "fit/2026-01-02", record(source="x" * 1_000_000))
    [news] = store.reload()
    assert isinstance(news, Refused)
    assert news.reason == "it is larger than 1000000 bytes"


def test_a_store_opens_whole_or_not_at_all(tmp_path: Path) -> None:
    write(tmp_path, "fit/2026-01-02")
    write(tmp_path, "fit/2026-01-03", record(value="11"))
    with pytest.raises(CallerError, match=r"nothing is in force.*2026-01-03.json:5: acme.patience_s"):
        ParamStore(tmp_path)
    with pytest.raises(CallerError, match="is not a directory of param-sets"):
        ParamStore(tmp_path / "nowhere")


def test_only_files_of_the_store_can_be_reloaded(tmp_path: Path) -> None:
    store = ParamStore(tmp_path, packaged=False)
    with pytest.raises(CallerError, match="is not a param-set file of this store"):
        store.reload(tmp_path / "fit" / "2026-01-02.json")
