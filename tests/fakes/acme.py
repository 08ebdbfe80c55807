"""A venue with environments, as an outside package would bring it: simulated, and it says what it was opened with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from sor.adapter import Check, CheckState, Scheduler, Sink, VenueAdapter
from sor.errors import NotSent
from sor.plugins import GROUPS, Plugins
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.adapter import open_venue as open_simulated
from venues.simulated.options import read

SIMULATED = {"market": "ladder", "latency": "near"}
SCRIPT: list[Check] = []
"""What the doctor of `sick` finds."""


class Acme(SimulatedVenue):
    """A ladder that has read its keys; in its emulated environment nobody listens."""

    def __init__(self, options: dict[str, str]) -> None:
        if "secrets" in options:
            assert Path(options["secrets"]).read_text(encoding="utf-8")
        super().__init__(read({**SIMULATED, "name": "acme"}))
        self._options = options

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        """Raises `NotSent` where there is no emulator."""
        if self._options.get("env") == "emulator":
            raise NotSent("acme at 127.0.0.1:1: connection refused; nothing was sent")
        await super().connect(sink, scheduler)


class Sick(Acme):
    """Has checks of its own."""

    async def checks(self, symbol: str, scheduler: Scheduler) -> AsyncIterator[Check]:
        """What `SCRIPT` holds."""
        assert (symbol, scheduler.now_ns() > 0) == ("BTC-USDT", True)
        for check in SCRIPT:
            yield check
            if check.name == "raises":
                raise NotSent("the line went dead")


def open_acme(options: dict[str, str]) -> VenueAdapter:
    """As `sor.venues` wants it."""
    opened.append(dict(options))
    return Acme(options)


def open_sick(options: dict[str, str]) -> VenueAdapter:
    """Likewise."""
    return Sick(options)


def open_small(options: dict[str, str]) -> VenueAdapter:
    """Five hundredths of a coin on each side, and no more."""
    return open_simulated({**SIMULATED, "ladder.levels": "1", "ladder.level_lots": "50", **options})


opened: list[dict[str, str]] = []
"""The options of each opening."""


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install `acme`, `sick` and `small` for one test, beside what is installed."""
    ours = [
        *(EntryPoint(name, f"tests.fakes.acme:open_{name}", "sor.venues") for name in ("acme", "sick", "small")),
        EntryPoint("acme", "tests.fakes.acme:open_emulator", "sor.emulators"),
    ]
    theirs = [entry for group in GROUPS for entry in entry_points(group=group)]
    monkeypatch.setattr(Plugins, "installed", lambda: Plugins([*theirs, *ours]))
    opened.clear()
    SCRIPT.clear()
    SCRIPT.append(Check(name="keys", state=CheckState.OK, text="there"))
