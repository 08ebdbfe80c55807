"""The commands that `docs/calibration.md` begins with, as they stand."""

from pathlib import Path

import pytest

from sor.cli.main import run
from tests.tidy.tree import ROOT
from tests.unit.test_params_page import commands

PAGE = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_first_commands_fit_and_use_a_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("scipy", reason="fitting needs the extra `lab`")
    monkeypatch.chdir(tmp_path)
    first = PAGE[: PAGE.index("## What happens")]
    told = [(arguments, run(arguments), capsys.readouterr().out) for arguments, _ in commands(first)]
    assert [(arguments[0], code) for arguments, code, _ in told] == [
        *(("tape", 0), ("calibrate", 0), ("params", 0), ("tape", 0), ("replay", 0))
    ]
    assert "drift.base" in told[2][2]
    assert "cost_aware@acme" in told[4][2]
