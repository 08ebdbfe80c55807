"""Every script of this folder must come true, line by line."""

from pathlib import Path

import pytest

from tests.scenarios.runner import Script, ScriptError, scripts


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    Script().run(path.read_text(encoding="utf-8"))


GROUND = "wants P1 take 60 @ 10_001\nparent P1 buy 100\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GROUND, "also did"),
        (GROUND + "wait 1s", "also did"),
        (GROUND + "send P1.1 buy 61 @ 10_001 ioc", "made it P1.1 buy 60"),
        (GROUND + "send P1.1 buy 60 @ 10_001 ioc -> held 61", "held is 60"),
        (GROUND + "send P1.1 buy 60 @ 10_001 ioc -> P1.1 live", "PENDING_NEW"),
        (GROUND + "cancel P1.1", "the router did Place"),
        (GROUND + "send P1.1 buy 60 @ 10_001 ioc\nquery P1.1", "did nothing more"),
        ("dance", "no verb"),
    ],
)
def test_a_wrong_script_fails(text: str, complaint: str) -> None:
    with pytest.raises(ScriptError, match=complaint):
        Script().run(text)
