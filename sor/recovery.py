"""State out of a journal: every recorded fact is stepped again, and every recorded wish must come out again.

A fold begins with nothing, or with a checkpoint: with the newest one for whoever goes on, and for whoever reads with
the one at which the journal begins, where its first segments are gone (0112).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from sor import __version__
from sor.checkpoint import freeze, layout, thaw
from sor.commands import Alarm, Amend, Cancel, Decided, Ended, Place, Query, Recorded
from sor.decide import Recorded as RecordedDecisions
from sor.deciding import Decider
from sor.errors import CallerError, JournalFault, ReplayDiverged
from sor.events import AnyFact, SessionStarted
from sor.fit_watch import FitWatches
from sor.journal import Turn, turns
from sor.journal.checkpoint import Head, base_of, checkpoint_paths, read_checkpoint, read_head
from sor.journal.layout import read_meta
from sor.journal.reader import check_stands
from sor.plugins import Plugins
from sor.policy import Policy, Schedule
from sor.router import Core

WISHES = (Place, Cancel, Amend, Query, Decided, Ended, Alarm)
"""The kinds of wish that a journal holds."""
_WISHES: Final = frozenset(WISHES)


class Begun(msgspec.Struct, frozen=True):
    """What a fold goes on from.

    turn      the last one that is in it, 0 for nothing. version: of the program that wrote it.
    fits      how fits have done by then.
    passed    checkpoints that could not be used, one sentence each.
    """

    core: Core
    fits: FitWatches
    turn: int = 0
    version: str = "an unknown version"
    passed: tuple[str, ...] = ()


def fold(
    turns: Iterable[list[AnyFact | Recorded]],
    *,
    policies: Mapping[str, Policy],
    schedules: Mapping[str, Schedule],
    decisions: RecordedDecisions,
    keep: bool = False,
) -> Core:
    """The core as it stood after the last turn, from nothing.

    decisions    hands the recorded decisions back (`decide.Recorded`), or recomputes and compares (`decide.Checked`).
    keep         keep every parent whole, also those that the router has retired or forgotten: for whoever reads.
    Raises       `ReplayDiverged` when the same facts give other wishes than those recorded.
    """
    core = Core(policies=policies, schedules=schedules, decider=decisions, keep=keep)
    return fold_on(Begun(core, FitWatches()), turns, decisions)


def fold_on(begun: Begun, turns: Iterable[list[AnyFact | Recorded]], decisions: RecordedDecisions) -> Core:
    """The same core after the `turns` behind it, whose decisions are `decisions`. Raises as `fold`."""
    core, version = begun.core, begun.version
    for no, records in enumerate(turns, start=begun.turn + 1):
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


def newest(
    journal: Path, *, policies: Mapping[str, Policy], schedules: Mapping[str, Schedule], decider: Decider
) -> Begun:
    """What a router goes on from: the newest checkpoint that this program can read, or nothing.

    Raises       `CallerError` where what stands for turns that are gone was written by another version, `JournalFault`
                 where it is damaged.
    """
    meta = read_meta(journal)
    passed: list[str] = []
    for path in reversed(checkpoint_paths(journal)):
        try:
            head = read_head(path, epoch=meta.epoch)
            _check_version(head, journal)
            pieces = read_checkpoint(path, epoch=meta.epoch)[1]
            if passed:
                check_stands(journal, head)  # opening the journal has done it for the newest
        except (JournalFault, CallerError) as error:
            passed.append(str(error))
            continue
        core, fits = thaw(pieces, policies=policies, schedules=schedules, decider=decider)
        return Begun(core, fits, head.turn, head.version, tuple(passed))
    begun = base(journal, policies=policies, schedules=schedules, decider=decider)
    assert not begun.turn, "the journal begins at a checkpoint, which could not be read before"
    return msgspec.structs.replace(begun, passed=tuple(passed))


def base(
    journal: Path,
    *,
    policies: Mapping[str, Policy],
    schedules: Mapping[str, Schedule],
    decider: Decider,
    keep: bool = False,
) -> Begun:
    """What the turns that a journal still has go on from: nothing, where it has all of them. Raises as `newest`."""
    meta = read_meta(journal)
    head = base_of(journal, epoch=meta.epoch)
    if head is None:
        return Begun(Core(policies=policies, schedules=schedules, decider=decider, keep=keep), FitWatches())
    _check_version(head, journal)
    path = next(path for path in checkpoint_paths(journal) if int(path.stem) == head.turn)
    pieces = read_checkpoint(path, epoch=meta.epoch)[1]
    core, fits = thaw(pieces, policies=policies, schedules=schedules, decider=decider, keep=keep)
    return Begun(core, fits, head.turn, head.version)


def folded(journal: Path) -> Core:
    """The core as a journal leaves it, with the plug-ins that are installed, and every parent whole: for readers.

    Raises       `CallerError` for no journal, `ReplayDiverged`, `JournalFault`.
    """
    decisions = RecordedDecisions()
    begun = past(journal, decisions, keep=True)
    return fold_on(begun, (turn.records for turn in behind(begun, journal)), decisions)


def behind(begun: Begun, journal: Path) -> Iterator[Turn]:
    """The turns of a journal after what a fold begins with. Raises `JournalFault` as `turns`, and where one is gone."""
    for no, turn in enumerate(turns(journal, from_turn=begun.turn + 1), start=begun.turn + 1):
        if turn.no != no:
            raise JournalFault(f"{journal}: turn {no} was there and is gone; nothing was sent. Put its segment back")
        yield turn


def past(journal: Path, decisions: RecordedDecisions, *, keep: bool) -> Begun:
    """`base` with the plug-ins that are installed: what the turns `behind` it are folded on."""
    plugins = Plugins.installed()
    return base(journal, policies=plugins.policies, schedules=plugins.schedules, decider=decisions, keep=keep)


def recompute_checkpoints(journal: Path) -> int:
    """How many checkpoints a journal has behind its first turn, each made anew by the turns before it, and the same.

    Raises `ReplayDiverged` naming the first that is not, and else as `folded`.
    """
    decisions = RecordedDecisions()
    begun = past(journal, decisions, keep=False)
    epoch = read_meta(journal).epoch
    waiting = {int(path.stem): path for path in checkpoint_paths(journal) if int(path.stem) > begun.turn}
    count = len(waiting)

    def compare(turn_no: int) -> None:
        path = waiting.pop(turn_no, None)
        if path is None:
            return
        head, pieces = read_checkpoint(path, epoch=epoch)
        _check_version(head, journal)
        if list(freeze(begun.core, begun.fits).pieces()) != pieces:
            raise ReplayDiverged(
                f"{path} has another state than the turns up to {turn_no} give, of the same version of sor; nothing "
                "was changed. Remove it, and a start reads the turns instead"
            )

    def walked() -> Iterator[list[AnyFact | Recorded]]:
        for turn in behind(begun, journal):
            compare(turn.no - 1)  # what was handed out before has been folded by now
            for record in turn.records:
                begun.fits.see(record)
            yield turn.records
            compare(turn.no)

    fold_on(begun, walked(), decisions)
    return count


def _check_version(head: Head, journal: Path) -> None:
    if (head.layout, head.version) != (layout(), __version__):
        raise CallerError(
            f"journal {journal}: version {head.version} of sor wrote the checkpoint behind turn {head.turn}, this is "
            f"{__version__}, and its state is of another layout or meaning; nothing was sent. Settle the journal with "
            "the version that wrote it, or cancel the account's open orders at the venue and begin a new journal"
        )


def _difference(no: int, produced: list[Recorded], expected: list[Recorded]) -> str:
    for was, now in zip(expected, produced, strict=False):
        if was != now:
            return f"turn {no}: the journal records {was!r}, the fold makes {now!r}"
    return f"turn {no}: the journal records {len(expected)} wishes, the fold makes {len(produced)}"
