"""`sor simulate` as a user meets it: figures, JSON, exit codes, and the line that runs a seed again."""

from __future__ import annotations

import json

import pytest

from sor.cli.main import run
from sor.sim.storm import Findings, Storm


def document(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    code = run(["simulate", "--json", *words])
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return code, found


def test_a_clean_run(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(capsys, "--seeds", "0..4")
    assert code == 0
    assert (found["level"], found["seeds"], found["unsafe"], found["stuck"], found["crashed"]) == (
        "core",
        5,
        [],
        [],
        [],
    )
    assert set(found) == {
        *("level", "seeds", "parents", "orders", "fills", "faults", "virtual_s", "unsafe", "stuck", "crashed", "digest")
    }
    faults = found["faults"]
    assert isinstance(faults, dict)
    assert all(isinstance(struck, int) and struck > 0 for struck in faults.values())


def test_tables_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--seeds", "2"]) == 0
    said = capsys.readouterr().out
    assert "Nothing unsafe" in said
    assert "2..2" in said


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        (Findings(unsafe=["an orphan"], crashed=["it fell"]), 3),
        (Findings(stuck=["p1 works on"]), 4),
        (Findings(stuck=["p1 works on"], crashed=["it fell"]), 5),
    ],
)
def test_exit_codes_tell_them_apart(
    findings: Findings, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Storm, "findings", lambda self: findings)
    ended, found = document(capsys, "--seeds", "3", "--faults", "lost_ack,late")
    assert ended == code
    for kind in ("unsafe", "stuck", "crashed"):
        told = found[kind]
        assert isinstance(told, list)
        again = "sor simulate --level core --seeds 3 --faults lost_ack,late"
        wanted = getattr(findings, kind)
        assert told == ([{"seed": 3, "what": wanted, "again": again}] if wanted else [])


def test_what_raises_is_crashed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(self: Storm) -> None:
        raise AssertionError("the equation does not hold")

    monkeypatch.setattr(Storm, "run", fall)
    assert run(["simulate", "--seeds", "3"]) == 5
    said = capsys.readouterr().out
    assert "seed 3 crashed: AssertionError: the equation does not hold" in said
    assert "again: sor simulate --level core --seeds 3" in said


def test_shrinking_leaves_only_what_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: it is unsafe where two faults come together."""

    def findings(self: Storm) -> Findings:
        both = {"late", "lost_ack"} <= {fault.label for fault in self.faults}
        return Findings(unsafe=["both"] if both else [])

    monkeypatch.setattr(Storm, "findings", findings)
    code, found = document(capsys, "--seeds", "0..6", "--shrink")
    assert code == 3
    unsafe = found["unsafe"]
    assert isinstance(unsafe, list)
    assert unsafe
    for one in unsafe:
        assert sorted(one["faults"]) == ["late", "lost_ack"]
        assert one["again_smallest"].endswith("--faults late,lost_ack")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--seeds", "9..3"), "the first comes before the last"),
        (("--seeds", "x"), "write it like 0..99"),
        (("--faults", "sunspots"), "has no fault 'sunspots'"),
        (("--venue", "nowhere"), "there is no 'nowhere'"),
    ],
)
def test_mistakes_are_one_sentence(words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", *words]) in (1, 2)
    assert sentence in capsys.readouterr().err
