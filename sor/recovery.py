"""State out of a journal: every recorded fact is stepped again, and every recorded wish must come out again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from sor import __version__
from sor.commands import Alarm, Amend, Cancel, Decided, Ended, Place, Query, Recorded
from sor.decide import Recorded as RecordedDecisions
from sor.errors import ReplayDiverged
from sor.events import AnyFact, SessionStarted
from sor.journal import turns
from sor.plugins import Plugins
from sor.policy import Policy, Schedule
from sor.router import Core

WISHES = (Place, Cancel, Amend, Query, Decided, Ended, Alarm)
"""The kinds of wish that a journal holds."""
_WISHES: Final = frozenset(WISHES)


def fold(
    turns: Iterable[list[AnyFact | Recorded]],
    *,
    policies: Mapping[str, Policy],
    schedules: Mapping[str, Schedule],
    decisions: RecordedDecisions,
    keep: bool = False,
) -> Core:
    """The core as it stood after the last turn.

    decisions    hands the recorded decisions back (`decide.Recorded`), or recomputes and compares (`decide.Checked`).
    keep         keep every parent whole, also those that the router has retired or forgotten: for whoever reads.
    Raises       `ReplayDiverged` when the same facts give other wishes than those recorded.
    """
    core = Core(policies=policies, schedules=schedules, decider=decisions, keep=keep)
    version = "an unknown version"
    for no, records in enumerate(turns, start=1):
        # By their types: a chain of `isinstance` for each of them took a twentieth of the fold.
        facts: list[AnyFact] = []
        expected: list[Recorded] = []
        for record in records:
            if type(record) not in _WISHES:
                facts.append(record)  # type: ignore[arg-type]  # what is no wish is a fact
                continue
            expected.append(record)  # type: ignore[arg-type]  # `_WISHES` says so
            if type(record) is Decided:
                decisions.expect(record)
        produced: list[Recorded] = []
        for fact in facts:
            if type(fact) is SessionStarted:
                version = fact.version
            produced += [wish for wish in core.step(fact) if type(wish) in _WISHES]  # type: ignore[misc]  # likewise
        if produced != expected:
            raise ReplayDiverged(
                f"{_difference(no, produced, expected)}. Version {version} of sor wrote it, this is {__version__}; "
                "nothing was sent. Settle it with the version that wrote it, or cancel the account's open orders at "
                "the venue and begin a new journal"
            )
    return core


def folded(journal: Path) -> Core:
    """The core as a journal leaves it, with the plug-ins that are installed, and every parent whole: for readers.

    Raises       `CallerError` for no journal, `ReplayDiverged`, `JournalFault`.
    """
    plugins = Plugins.installed()
    return fold(
        (turn.records for turn in turns(journal)),
        policies=plugins.policies,
        schedules=plugins.schedules,
        decisions=RecordedDecisions(),
        keep=True,
    )


def _difference(no: int, produced: list[Recorded], expected: list[Recorded]) -> str:
    for was, now in zip(expected, produced, strict=False):
        if was != now:
            return f"turn {no}: the journal records {was!r}, the fold makes {now!r}"
    return f"turn {no}: the journal records {len(expected)} wishes, the fold makes {len(produced)}"
