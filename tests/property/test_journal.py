"""Whatever is recorded comes back, and whatever is damaged never comes back as something else."""

from contextlib import suppress
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from sor.commands import Alarm, Decided
from sor.errors import CallerError, JournalFault
from sor.events import ParamsAdopted, Reported, Woke
from sor.ids import ClOrdId, ExecId, Symbol, VenueName
from sor.journal import Environment, Journal, Record, turns, verify
from sor.orders import ExecType, ExecutionReport
from sor.policy import Decision, Rest, Take
from sor.reasons import Denial, TimeoutBound
from sor.revisit import Revisit
from sor.snapshot import Cause

FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""In memory where that can be had: hundreds of journals are synced here."""

times = st.integers(min_value=0, max_value=2**63 - 1)
wide = st.integers(min_value=-(2**63), max_value=2**64 - 1)
text = st.text(max_size=30)
floats = st.floats(allow_nan=False)
venues = st.sampled_from([VenueName("sim"), VenueName("other")])

reports = st.builds(
    ExecutionReport,
    venue=venues,
    symbol=st.just(Symbol("BTCUSDT")),
    cl_ord_id=text.map(ClOrdId),
    exec_type=st.sampled_from(ExecType),
    exec_id=text.map(ExecId),
    last_lots=wide,
    is_maker=st.none() | st.booleans(),
    fee_atoms=st.none() | wide,
    text=text,
)
placements = st.builds(Rest, venues, times, times, times, st.sampled_from(TimeoutBound)) | st.builds(
    Take, venues, times, times
)
decisions = st.builds(
    Decision,
    placements=st.lists(placements, max_size=3).map(tuple),
    revisit=st.builds(Revisit, st.none() | times),
    reason=text,
    inputs=st.lists(st.tuples(text, floats), max_size=3).map(tuple),
    memory=st.dictionaries(text, floats, max_size=3),
)
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(Woke, now_ns=times, parent_no=times, market=st.booleans()),
    st.builds(ParamsAdopted, now_ns=times, name=text, digest=text, text=text),
    st.builds(Reported, now_ns=times, report=reports, mid_hticks=wide),
    st.builds(Alarm, times, venues, text, st.booleans()),
    st.builds(
        Decided,
        parent_no=times,
        cause=st.sampled_from(Cause),
        by=text,
        set_id=text,
        params_digest=text,
        open_lots=times,
        remaining_lots=times,
        decision=decisions,
        denials=st.lists(st.sampled_from(Denial), max_size=2).map(tuple),
    ),
)
histories = st.lists(st.lists(records, min_size=1, max_size=4), max_size=8)
segment_sizes = st.sampled_from([1, 200, 500, 1 << 20])


def write(path: Path, history: list[list[Record]], segment_bytes: int, reopen_every: int) -> None:
    journal = Journal.create(path, epoch=1, environment=Environment.SIMULATED, segment_bytes=segment_bytes)
    for number, turn in enumerate(history, start=1):
        if number % reopen_every == 0:
            journal.close()
            journal = Journal.open(path, segment_bytes=segment_bytes)
        assert journal.append(turn) == number
    journal.close()


@settings(max_examples=50)
@given(histories, segment_sizes, st.integers(min_value=1, max_value=4))
def test_what_is_recorded_comes_back(history: list[list[Record]], segment_bytes: int, reopen_every: int) -> None:
    with TemporaryDirectory(dir=FOLDER) as folder:
        path = Path(folder) / "j"
        write(path, history, segment_bytes, reopen_every)
        assert [turn.records for turn in turns(path)] == history
        found = verify(path)
        assert (found.turns, found.records, found.faults) == (len(history), sum(map(len, history)), ())


@settings(max_examples=50)
@given(histories.filter(bool), segment_sizes, st.data())
def test_a_cut_leaves_the_longest_whole_beginning(
    history: list[list[Record]], segment_bytes: int, data: st.DataObject
) -> None:
    with TemporaryDirectory(dir=FOLDER) as folder:
        path = Path(folder) / "j"
        write(path, history, segment_bytes, 100)
        last = max(path.glob("*.seg"))
        begins = [turn.offset for turn in turns(path) if f"{turn.segment:06}" == last.stem]
        size = last.stat().st_size
        cut = data.draw(st.integers(min_value=begins[0], max_value=size))
        with last.open("rb+") as file:
            file.truncate(cut)
        ends = [*begins[1:], size]
        lost = sum(end > cut for end in ends)
        whole = history[: len(history) - lost]
        with Journal.open(path, segment_bytes=segment_bytes) as journal:
            assert journal.torn_tail_bytes == cut - max([begins[0], *(end for end in ends if end <= cut)])
            assert journal.append(history[0]) == len(whole) + 1
        assert [turn.records for turn in turns(path)] == [*whole, history[0]]


@settings(max_examples=50)
@given(histories.filter(bool), segment_sizes, st.data())
def test_damage_never_reads_as_another_history(
    history: list[list[Record]], segment_bytes: int, data: st.DataObject
) -> None:
    with TemporaryDirectory(dir=FOLDER) as folder:
        path, damaged = Path(folder) / "j", Path(folder) / "damaged"
        write(path, history, segment_bytes, 100)
        copytree(path, damaged)
        file = data.draw(st.sampled_from(sorted(damaged.glob("*.seg"))))
        content = bytearray(file.read_bytes())
        start = data.draw(st.integers(min_value=0, max_value=len(content) - 1))
        junk = data.draw(st.binary(min_size=1, max_size=40))
        content[start : start + len(junk)] = junk
        file.write_bytes(content)
        read: list[list[Record]] = []
        with suppress(JournalFault, CallerError):
            read.extend(turn.records for turn in turns(damaged))
        assert read == history[: len(read)]
        found = verify(damaged)
        unchanged = file.read_bytes() == (path / file.name).read_bytes()
        assert unchanged or found.faults or found.torn_tail_bytes
