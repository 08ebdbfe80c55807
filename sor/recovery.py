"""State out of a journal: every recorded fact is stepped again, and every recorded wish must come out again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sor import __version__
from sor.commands import Alarm, Amend, Cancel, Decided, Ended, Place, Query, Recorded
from sor.decide import Recorded as RecordedDecisions
from sor.errors import ReplayDiverged
from sor.events import AnyFact, SessionStarted
from sor.policy import Policy, Schedule
from sor.router import Core

WISHES = (Place, Cancel, Amend, Query, Decided, Ended, Alarm)
"""The kinds of wish that a journal holds."""


def fold(
    turns: Iterable[list[AnyFact | Recorded]],
    *,
    policies: Mapping[str, Policy],
    schedules: Mapping[str, Schedule],
    decisions: RecordedDecisions,
) -> Core:
    """The core as it stood after the last turn.

    decisions    hands the recorded decisions back (`decide.Recorded`), or recomputes and compares (`decide.Checked`).
    Raises       `ReplayDiverged` when the same facts give other wishes than those recorded.
    """
    core = Core(policies=policies, schedules=schedules, decider=decisions)
    version = "an unknown version"
    for no, records in enumerate(turns, start=1):
        expected = [record for record in records if isinstance(record, WISHES)]
        for wish in expected:
            if isinstance(wish, Decided):
                decisions.expect(wish)
        produced: list[Recorded] = []
        for record in records:
            if isinstance(record, SessionStarted):
                version = record.version
            if not isinstance(record, WISHES):
                produced += [wish for wish in core.step(record) if isinstance(wish, WISHES)]
        if produced != expected:
            raise ReplayDiverged(
                f"{_difference(no, produced, expected)}. Version {version} of sor wrote it, this is {__version__}; "
                "nothing was sent. Settle it with the version that wrote it, or cancel the account's open orders at "
                "the venue and begin a new journal"
            )
    return core


def _difference(no: int, produced: list[Recorded], expected: list[Recorded]) -> str:
    for was, now in zip(expected, produced, strict=False):
        if was != now:
            return f"turn {no}: the journal records {was!r}, the fold makes {now!r}"
    return f"turn {no}: the journal records {len(expected)} wishes, the fold makes {len(produced)}"
