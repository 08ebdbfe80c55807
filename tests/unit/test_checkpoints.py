"""A router writes its state down while it trades, and goes on from there: with all turns, without the first, or not."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner

import sor.checkpoints
import sor.recovery
from sor.cli.explain import explain
from sor.cli.journal import journal as command
from sor.commands import Recorded as Wished
from sor.decide import Recorded
from sor.engine import Router, Settings
from sor.errors import CallerError, InDoubt, JournalFault, ReplayDiverged
from sor.events import AnyFact
from sor.ids import ParentId
from sor.journal import Journal, Record, turns, verify
from sor.journal import writer as writer_module
from sor.journal.checkpoint import Head, checkpoint_paths, prune, read_head
from sor.journal.index import Index
from sor.journal.layout import read_meta, segment_paths
from sor.orders import OrdStatus, ParentStatus
from sor.plugins import Plugins
from sor.recovery import Begun, fold_on, folded, newest, past, recompute_checkpoints
from sor.router import Core
from tests.fakes.patience import until
from tests.fakes.walk import walked
from tests.unit.test_engine import ladder, order, resting

pytestmark = pytest.mark.anyio
SEGMENT_BYTES = 20_000


def small_segments(settings: Settings) -> Journal:
    path = settings.journal
    if path.exists():
        return Journal.open(path, environment=settings.environment, segment_bytes=SEGMENT_BYTES)
    return Journal.create(path, epoch=7, environment=settings.environment, segment_bytes=SEGMENT_BYTES)


def router_on(journal: Path, **settings: object) -> Router:
    merged = Settings(journal=journal, **settings)  # type: ignore[arg-type]
    return Router(merged, venues=[ladder()], open_journal=small_segments)


def heads(journal: Path) -> list[Head]:
    epoch = read_meta(journal).epoch
    return [read_head(path, epoch=epoch) for path in checkpoint_paths(journal)]


async def trade(router: Router, *names: str) -> None:
    for name in names:
        assert (await router.submit(order(name))).parent_id == name
        await router.handle(ParentId(name)).result()


def without_the_first(journal: Path) -> int:
    """Remove the segments that the newest checkpoint does not need; the first one that is left."""
    first = heads(journal)[-1].segment
    gone = [path for path in segment_paths(journal) if int(path.stem) < first]
    for path in gone:
        path.unlink()
    assert gone
    return first


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sor.checkpoints, "POLL_S", 0.005)


# --- while it trades --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
async def test_a_router_writes_its_state_down_beside_its_trading(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    async with router_on(journal, checkpoint_bytes=1_000) as router:
        rests = await router.submit(order("rests", policy="maker_first", deadline_s=600.0))
        await trade(router, "one", "two")
        await until(lambda: len(checkpoint_paths(journal)) == 1)
        await trade(router, "three")
        router.checkpoint()
        at_work = [parent.id for parent in router.core.parents.at_work.values()]
        assert at_work == ["rests"]
        assert router.alarms() == ()
    assert rests.status is ParentStatus.CANCELED
    found = verify(journal)
    assert (found.faults, found.checkpoints) == ((), 2)
    assert recompute_checkpoints(journal) == 2
    told = CliRunner().invoke(command, ["verify", str(journal)]).output
    assert "2 checkpoint(s) stand in these turns" in told
    assert ("no start needs the first" in told) == bool(found.spare_segments)


async def test_there_is_none_of_the_middle_of_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []
    append = Journal.append

    async with router_on(tmp_path / "j") as router:

        def within(journal: Journal, records: Sequence[Record]) -> int:
            try:
                router.checkpoint()
            except CallerError as error:
                refused.append(str(error))
            return append(journal, records)

        monkeypatch.setattr(Journal, "append", within)
        await trade(router, "one")
        monkeypatch.undo()
        router.checkpoint()
    assert set(refused) == {"in the middle of a turn there is no state to write down; nothing was written"}
    assert len(heads(tmp_path / "j")) == 1


async def test_nothing_is_written_where_none_is_wanted_or_due(tmp_path: Path) -> None:
    for name, every in (("never", 0), ("later", 1 << 30)):
        async with router_on(tmp_path / name, checkpoint_bytes=every) as router:
            await trade(router, "one")
            await anyio.sleep(0.05)
        assert checkpoint_paths(tmp_path / name) == []


@pytest.mark.usefixtures("quick")
async def test_no_less_is_recorded_than_the_last_one_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    keep = Journal.keep

    def large(self: Journal, head: Head, pieces: Iterable[bytes]) -> int:
        written.append(head.turn)
        return keep(self, head, pieces) + (1 << 20)

    monkeypatch.setattr(Journal, "keep", large)
    async with router_on(tmp_path / "j", checkpoint_bytes=1) as router:
        await trade(router, "one", "two", "three")
        await until(lambda: len(written) == 1)
        await trade(router, "four")
        await anyio.sleep(0.05)
    assert len(written) == 1


@pytest.mark.usefixtures("quick")
async def test_one_that_is_asked_for_waits_for_the_one_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def slow(directory: Path, *, epoch: int) -> None:
        said.append("begins")
        time.sleep(0.2)
        prune(directory, epoch=epoch)
        said.append("ends")

    monkeypatch.setattr(writer_module, "prune", slow)
    async with router_on(tmp_path / "j", checkpoint_bytes=1_000) as router:
        await until(lambda: bool(said))
        router.checkpoint()
        assert said == ["begins", "ends"] * 2
        assert router.alarms() == ()


@pytest.mark.usefixtures("quick")
async def test_a_disk_that_takes_none_is_said_and_trading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(directory: Path, head: Head, pieces: Iterable[bytes]) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writer_module, "write_checkpoint", full)
    async with router_on(tmp_path / "j", checkpoint_bytes=1_000) as router:
        await trade(router, "one")
        await until(lambda: bool(router.alarms()))
        assert "no checkpoint could be written: No space left on device" in router.alarms()[0].text
        await trade(router, "two")
        router.checkpoint()
        assert "no checkpoint could be written" in router.alarms()[-1].text
    assert verify(tmp_path / "j").faults == ()


@pytest.mark.usefixtures("quick")
async def test_turns_that_do_not_sync_stop_the_router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(journal: Journal, first: int, last: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def stopped() -> None:
        async with router_on(tmp_path / "j") as router:
            handle = await router.submit(order("rest", policy="plain_limit", limit=Decimal(59990), deadline_s=600.0))
            await resting(router, handle)
            # Nothing happens any more by itself: a report would meet the fault instead of what is submitted.
            monkeypatch.setattr(Journal, "_sync_segments", broken)
            monkeypatch.setattr(sor.checkpoints.Checkpoints, "due", True)
            await until(lambda: any("does not sync" in alarm.text for alarm in router.alarms()))
            with pytest.raises(JournalFault, match="does not sync"):
                await router.submit(order("one"))

    with pytest.raises(InDoubt, match="left with 2 orders not confirmed gone"):
        await stopped()


# --- a start goes on from it ------------------------------------------------------------------------------------------


async def test_a_start_goes_on_from_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / "j"
    async with router_on(journal) as router:
        await trade(router, "one", "two")
        router.checkpoint()
        at = router.core.parents.given, heads(journal)[-1].turn
    folded_from: list[int] = []

    def noted(begun: Begun, turns: Iterable[list[AnyFact | Wished]], decisions: Recorded) -> Core:
        folded_from.append(begun.turn)
        return fold_on(begun, turns, decisions)

    monkeypatch.setattr("sor.engine.fold_on", noted)
    async with router_on(journal) as router:
        assert folded_from == [at[1]]
        assert router.core.parents.given == at[0]
        handle = await router.submit(order("one"))
        assert handle.status is ParentStatus.FILLED
        assert len(handle.fills) > 0
        with pytest.raises(CallerError, match="submitted before with other terms"):
            await router.submit(order("one", quantity=Decimal("0.25")))
        assert router.alarms() == ()
    whole, begun = folded(journal), past(journal, Recorded(), keep=True)
    assert (begun.turn, whole.parents.given) == (0, 2)


async def test_one_that_is_due_at_a_start_is_written_before_anything_is_asked(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    async with router_on(journal) as router:
        await trade(router, "one")
    end = verify(journal).turns
    async with router_on(journal, checkpoint_bytes=1_000):
        assert [head.turn for head in heads(journal)] == [end]


async def test_what_rests_is_there_again_to_the_last_field(tmp_path: Path) -> None:
    journal, copy = tmp_path / "j", tmp_path / "copy"
    async with router_on(journal) as router:
        await trade(router, "one")
        handle = await router.submit(order("rests", policy="maker_first", deadline_s=600.0))
        await resting(router, handle)
        router.checkpoint()
        await trade(router, "two")
        shutil.copytree(journal, copy)  # as a `kill -9` would leave it
        before = walked(router.core)
    decisions, plugins = Recorded(), Plugins.installed()
    begun = newest(copy, policies=plugins.policies, schedules=plugins.schedules, decider=decisions)
    again = fold_on(begun, (turn.records for turn in turns(copy, from_turn=begun.turn + 1)), decisions)
    assert begun.turn == heads(copy)[-1].turn
    assert walked(again) == before
    (child,) = again.by_id[ParentId("rests")].open_children
    assert child.status is OrdStatus.NEW


async def test_one_that_is_damaged_is_passed_over_and_said(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    async with router_on(journal) as router:
        await trade(router, "one")
        router.checkpoint()
        await trade(router, "two")
        router.checkpoint()
    newest = checkpoint_paths(journal)[-1]
    content = newest.read_bytes()
    newest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    async with router_on(journal) as router:
        assert [parent.parent_id for parent in router.parents()] == ["one", "two"]
        (alarm,) = router.alarms()
        assert "a checkpoint was passed over" in alarm.text
        assert "does not match its digest" in alarm.text
    for path in checkpoint_paths(journal):
        path.write_bytes(b"")
    async with router_on(journal) as router:
        assert [parent.parent_id for parent in router.parents()] == ["one", "two"]
        assert len(router.alarms()) == 2


# --- without the first turns ------------------------------------------------------------------------------------------


async def trimmed(journal: Path) -> None:
    """A journal with two parents that are over before its first turn, and one behind it."""
    async with router_on(journal) as router:
        await trade(router, "one", "two", "three", "four")
        await until(lambda: len(segment_paths(journal)) > 1)
        router.checkpoint()
        await trade(router, "five")
    without_the_first(journal)


async def test_a_journal_without_its_first_turns_is_read_and_goes_on(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    await trimmed(journal)
    core = folded(journal)
    assert [parent.id for parent in core.parents] == ["one", "two", "three", "four", "five"]
    assert core.parents[0].ledger.cum_lots > 0
    async with router_on(journal) as router:
        assert (await router.submit(order("one"))).status is ParentStatus.FILLED
        await trade(router, "six")
        router.checkpoint()
    assert recompute_checkpoints(journal) == 1
    with Index.open(journal) as index:
        rows = {row.parent_id: row.parent_no for row in index.parents()}
    assert rows == {"five": 5, "six": 6}
    assert folded(journal).by_id[ParentId("six")].no == 6


async def test_what_is_told_of_such_a_journal(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    await trimmed(journal)
    told = CliRunner().invoke(command, ["verify", "--checkpoints", "--decisions", str(journal)])
    assert told.exit_code == 0, told.output
    assert "are not here; a checkpoint stands for them" in told.output
    assert "1 checkpoint(s) stand in these turns" in told.output
    assert "0 checkpoint(s) were made anew" in told.output  # the one at which it begins has nothing before it
    shown = CliRunner().invoke(command, ["show", "--kind", "place", str(journal)])
    assert shown.exit_code == 0
    assert "0.500" in shown.output  # lots as the instrument counts them, which was listed before
    assert CliRunner().invoke(explain, ["five", "--journal", str(journal)]).exit_code == 0


async def test_another_version_does_not_read_what_stands_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "j"
    await trimmed(journal)
    monkeypatch.setattr(sor.recovery, "__version__", "99.0")
    with pytest.raises(CallerError, match="Settle the journal with the version that wrote it, or cancel the account's"):
        async with router_on(journal):
            pass
    with pytest.raises(CallerError, match=r"this is 99\.0"):
        folded(journal)


async def test_another_version_reads_the_turns_where_they_are_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "j"
    async with router_on(journal) as router:
        await trade(router, "one")
        router.checkpoint()
        await trade(router, "two")
    end = verify(journal).turns
    (before,) = heads(journal)
    monkeypatch.setattr(sor.recovery, "layout", lambda: bytes(16))
    async with router_on(journal) as router:
        assert [parent.parent_id for parent in router.parents()] == ["one", "two"]
        assert "of another layout or meaning" in router.alarms()[0].text
        assert [head.turn for head in heads(journal)] == [before.turn, end]  # and it has written its own at once


async def test_a_checkpoint_that_is_not_what_the_turns_give_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    async with router_on(journal) as router:
        await trade(router, "one")
        router.core.breakers.mode_reason = "bent"
        router.checkpoint()
    with pytest.raises(ReplayDiverged, match="has another state than the turns up to"):
        recompute_checkpoints(journal)
