"""Which record won, which it beat and why; and the command line that tells it."""

import json
from pathlib import Path

import pytest

from sor.cli.main import run
from sor.provenance import Change, FieldChange, changes, contests, history
from sor.regime import Regime
from tests.unit.test_params import ACME, BTC, DAY_NS, ETH, REGIMES, made, record

PATIENCE = "acme.patience_s"


def told(*records: dict[str, object], regime: Regime | None = None, now_ns: int = 0) -> dict[str, object]:
    """Id -> (value in force, {value that was beaten: why}) for what is given for BTC on acme, but for thresholds."""
    found = contests(made(*REGIMES, *records), ACME, BTC, regime, now_ns=now_ns)
    return {
        one.id: (
            None if one.winner is None else str(one.winner.value),
            {str(rival.record.value): rival.why for rival in one.beaten},
        )
        for one in found
        if not one.id.startswith("regime.")
    }


def test_the_more_specific_record_says_what_it_has_more_of() -> None:
    scopes = [
        {},
        {"regime": "busy"},
        {"venue": "acme"},
        {"symbol": "BTCUSDT"},
        {"symbol": "ETHUSDT"},
        {"venue": "acme", "symbol": "BTCUSDT"},
        {"venue": "acme", "symbol": "BTCUSDT", "regime": "busy"},
        {"venue": "acme", "symbol": "BTCUSDT", "regime": "wide"},
    ]
    records = [record(value=str(at), scope=scope) for at, scope in enumerate(scopes)]
    assert told(*records[:3]) == {
        PATIENCE: ("2", {"0": "the one in force names the venue", "1": "the regime is none"}),
    }
    assert told(*records[:4], regime=Regime.BUSY)[PATIENCE] == (
        "3",
        dict.fromkeys("012", "the one in force names the symbol"),
    )
    assert told(*records, regime=Regime.BUSY)[PATIENCE] == (
        "6",
        {
            **dict.fromkeys("012", "the one in force names the symbol"),
            "3": "the one in force names the venue",
            "5": "the one in force names the regime",
            "7": "the regime is busy",
        },
    )


def test_what_is_not_valid_yet_or_any_more_is_beaten_by_time() -> None:
    early = record(value="1", scope={"venue": "acme"}, valid_until="1970-01-02T00:00:00Z")
    late = record(value="2", scope={"symbol": "BTCUSDT"}, valid_from="1970-01-03T00:00:00Z")
    ended, coming = "it was valid until 1970-01-02 00:00:00+00:00", "it is valid from 1970-01-03 00:00:00+00:00 on"
    assert told(early, late, now_ns=0) == {PATIENCE: ("1", {"2": coming})}
    assert told(early, late, now_ns=DAY_NS) == {PATIENCE: (None, {"1": ended, "2": coming})}
    assert told(early, late, now_ns=2 * DAY_NS) == {PATIENCE: ("2", {"1": ended})}


def test_who_wins_is_who_is_resolved() -> None:
    found = made(
        *REGIMES,
        record(value="1"),
        record(value="2", scope={"regime": "busy"}),
        record(value="3", scope={"symbol": "ETHUSDT"}),
    )
    for symbol in (BTC, ETH):
        for regime in (None, *Regime):
            winners = {one.id: one.winner for one in contests(found, ACME, symbol, regime, now_ns=0)}
            params = found.resolve(ACME, symbol, now_ns=0).within(regime)
            assert {key: float(won.value) for key, won in winners.items() if won is not None} == params.as_dict()


def test_a_family_is_beaten_as_a_whole() -> None:
    general = [record(id=f"acme.knot_{at:02d}", value=str(at + 1)) for at in range(2)]
    own = record(id="acme.knot_00", value="9", scope={"symbol": "BTCUSDT"})
    assert told(*general, own) == {
        "acme.knot_00": ("9", {"1": "the one in force names the symbol"}),
        "acme.knot_01": (None, {"2": "another scope has more to say of acme.knot_NN, which is used as a whole"}),
    }


def test_changes_of_values_bounds_and_evidence() -> None:
    fit = {"kind": "fitted", "interval": ["4", "5"], "score": {"name": "log loss", "value": "0.5"}}
    evidence = {
        "method": "median",
        "version": "1",
        "window": ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"],
        "sample_size": 8,
        "input_digest": "0123456789abcdef",
        "author": "Acme",
    }
    before = made(record(id="acme.a", **fit), record(id="acme.b"), evidence=evidence)
    after = made(
        record(id="acme.a", bounds=["1", "10"], **fit), record(id="acme.c"), evidence={**evidence, "sample_size": 9}
    )
    everywhere = "venue *, symbol *"
    changed, removed, added = changes(before, after)
    fields = (FieldChange("bounds", "0 to 10", "1 to 10"), FieldChange("sample_size", "8", "9"))
    assert changed == Change("acme.a", everywhere, "changed", fields)
    assert (removed.id, removed.what, added.id, added.what) == ("acme.b", "removed", "acme.c", "added")
    assert changes(before, before) == ()
    assert history(()) == ()
    assert history((before, after, after)) == ((), (changed, removed, added), ())


def test_the_commands_say_the_same_in_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit").mkdir()
    for day, value in (("2026-01-02", "4.5"), ("2026-01-03", "5")):
        text = made(record(value=value), set_id=f"fit/{day}").text
        (tmp_path / "fit" / f"{day}.json").write_text(text, encoding="utf-8")

    def said(*words: str) -> tuple[int, object]:
        code = run(["params", *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    where = ("--param-dir", ".")
    change = {
        "id": PATIENCE,
        "scope": "venue *, symbol *",
        "what": "changed",
        "fields": [{"field": "value", "before": "4.5", "after": "5"}],
    }
    code, document = said("diff", "fit/2026-01-02.json", "fit", *where)
    assert (code, document["changes"]) == (1, [change])  # type: ignore[index]
    code, document = said("history", "fit", *where)
    assert [code, *(one["changes"] for one in document)] == [0, [], [change]]  # type: ignore[attr-defined]
    code, document = said("resolve", "fit", "--venue", "acme", "--symbol", "btc-usdt", *where)
    assert code == 0
    assert [(one["id"], one["in_force"]["value"]) for one in document["parameters"]] == [(PATIENCE, "5")]  # type: ignore[index]
    (tmp_path / "fit" / "2026-01-09.json").write_bytes((tmp_path / "fit" / "2026-01-03.json").read_bytes())
    code, document = said("validate", "fit/2026-01-09.json")
    assert (code, document[0]["reason"]) == (1, "it says fit/2026-01-03 and lies at fit/2026-01-09")  # type: ignore[index]
    code, document = said("validate", "fit/2026-01-02.json", "nowhere.json")
    assert [code, *(one["valid"] for one in document)] == [1, True, False]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("diff", "baseline", "baseline"), 0, ""),
        (("diff", "baseline", "nope"), 2, "there is no param-set 'nope'"),
        (("diff", "baseline", "nowhere.json"), 2, "nowhere.json:1: it cannot be read: No such file"),
        (("history", "nope"), 1, "there is no param-set 'nope'"),
        (("show", "baseline", "--only", "nope"), 1, "has no parameter that begins with 'nope'"),
        (("resolve", "baseline", "--venue", "a", "--symbol", "BTCUSDT", "--regime", "x"), 1, "no regime 'x'"),
        (("resolve", "baseline", "--venue", "a", "--symbol", "BTCUSDT", "--at", "2026-01-02"), 1, "with a zone"),
        (("resolve", "baseline", "--venue", "a", "--symbol", "BTCUSDT", "--at", "noon"), 1, "with a zone"),
    ],
)
def test_how_the_commands_end(
    words: tuple[str, ...], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["params", *words]) == code
    assert sentence in capsys.readouterr().err
