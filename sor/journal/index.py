"""The query index: an SQLite file beside the segments, made from them off the hot path, thrown away at will (D9).

It answers where in the journal something is; what happened there is read from the segments, which are checked. Bring
it up to date by opening it: that reads only turns which it does not have yet. An index that is damaged, of another
layout or of another history is made anew; where the directory cannot be written, it is made in memory.

A parent's number is the count of `Submitted` facts up to and with its own. Statuses are ends: a parent without one is
not ended. Tables for people and exporters: parents, orders, fills (one row for each ExecID, with its latest fee),
decisions, alarms, each with the turn it stands in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, TypeVar, assert_never

import msgspec

from sor.commands import Alarm, Amend, Cancel, Decided, Ended, Place, Query
from sor.errors import CallerError, JournalFault
from sor.events import (
    AmendAsked,
    ArmStopped,
    CancelAsked,
    Contradicted,
    EndMarked,
    ExperimentAdopted,
    Fact,
    FitContradicted,
    FitTrusted,
    HaltLifted,
    InstrumentAdopted,
    Looked,
    Marked,
    ModeSet,
    NeighbourFound,
    ParamsAdopted,
    PauseAsked,
    PositionKnown,
    PositionMoved,
    Reported,
    RequestLost,
    ResumeAsked,
    SessionStarted,
    Shadowed,
    StrayFound,
    Submitted,
    VenueDown,
    VenueUp,
    WalletKnown,
    WalletMoved,
    Woke,
)
from sor.ids import ClOrdId, ParentId, Symbol, VenueName
from sor.instruments import canonical_symbol
from sor.journal.checkpoint import base_of
from sor.journal.layout import INDEX_NAME, read_meta
from sor.journal.reader import Turn, turns
from sor.journal.records import Record
from sor.orders import ExecType, ParentStatus, Side
from sor.reasons import EndReason

LAYOUT = 1
"""Version of the tables below; an index of another one is made anew."""
BUSY_S = 30.0
"""How long to wait for another process that is bringing the index up to date."""
IN_MEMORY = ":memory:"
# Damage shows as an error of the database, or as a value that is no text, no number or no member of its enum.
_DAMAGED = (sqlite3.DatabaseError, ValueError, TypeError)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

TABLES = """
CREATE TABLE about (layout INTEGER, epoch INTEGER, turn INTEGER, chain BLOB, time_ns INTEGER, parents INTEGER);
CREATE TABLE parents (parent_no INTEGER PRIMARY KEY, parent_id TEXT, strategy TEXT, account TEXT, venue TEXT,
    symbol TEXT, side INTEGER, quantity TEXT, submitted_ns INTEGER, status TEXT, reason TEXT, cum_lots INTEGER,
    ended_ns INTEGER);
CREATE INDEX parents_by_id ON parents (parent_id);
CREATE TABLE parent_records (parent_no INTEGER, turn INTEGER, place INTEGER,
    PRIMARY KEY (parent_no, turn, place)) WITHOUT ROWID;
CREATE TABLE orders (cl_ord_id TEXT PRIMARY KEY, parent_no INTEGER, child_no INTEGER, venue TEXT, symbol TEXT,
    side INTEGER, ord_type TEXT, qty_lots INTEGER, price_ticks INTEGER, placed_ns INTEGER, turn INTEGER) WITHOUT ROWID;
CREATE TABLE fills (venue TEXT, symbol TEXT, exec_id TEXT, cl_ord_id TEXT, parent_no INTEGER, lots INTEGER,
    ticks INTEGER, is_maker INTEGER, fee_atoms INTEGER, fee_asset TEXT, fee_source TEXT, venue_ns INTEGER,
    recv_ns INTEGER, turn INTEGER, PRIMARY KEY (venue, symbol, exec_id)) WITHOUT ROWID;
CREATE TABLE decisions (turn INTEGER, place INTEGER, parent_no INTEGER, time_ns INTEGER, cause TEXT, decided_by TEXT,
    set_id TEXT, params_digest TEXT, reason TEXT, propensity REAL, PRIMARY KEY (turn, place)) WITHOUT ROWID;
CREATE TABLE alarms (turn INTEGER, place INTEGER, parent_no INTEGER, time_ns INTEGER, venue TEXT, text TEXT,
    halts INTEGER, PRIMARY KEY (turn, place)) WITHOUT ROWID;
CREATE TABLE instruments (turn INTEGER PRIMARY KEY);
"""

Value: TypeAlias = int | float | str | bytes | None
T = TypeVar("T")


class ParentRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One parent as the index knows it; `status`, `reason`, `cum_lots` and `ended_ns` are None until it has ended.

    quantity    as the caller stated it, in the venue's unit. submitted_ns, ended_ns: the shell's clock.
    """

    parent_no: int
    parent_id: ParentId
    strategy: str
    account: str
    venue: VenueName
    symbol: Symbol
    side: Side
    quantity: Decimal
    submitted_ns: int
    status: ParentStatus | None
    reason: EndReason | None
    cum_lots: int | None
    ended_ns: int | None


class Index:
    """A journal's index, as far as the journal was when it was opened. Made by `open`; close it.

    fault    why turns are missing at its end: the journal does not check there. None when it does.
    """

    __slots__ = ("_database", "_directory", "_epoch", "_name", "fault")

    def __init__(self, directory: Path, epoch: int) -> None:
        self._directory = directory
        self._epoch = epoch
        self._name = str(directory / INDEX_NAME)
        self._database: sqlite3.Connection | None = None
        self.fault: JournalFault | None = None

    @classmethod
    def open(cls, path: Path) -> Index:
        """Open the index of the journal at `path` and bring it up to date, also while another process writes there.

        Raises `CallerError` when there is no journal, or another process is busy with the index for too long;
        `JournalFault` when `journal.json` is damaged. A journal that is damaged further on is indexed up to there,
        and `fault` says so.
        """
        index = cls(path, read_meta(path).epoch)
        try:
            index._answer(index._refresh)
        except BaseException:
            index.close()
            raise
        return index

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go; again is fine."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def parents(self) -> list[ParentRow]:
        """Every parent, by number."""
        fields = ParentRow.__struct_fields__
        query = f"SELECT {', '.join(fields)} FROM parents ORDER BY parent_no"

        def select() -> list[ParentRow]:
            rows = self._up_to_date().execute(query)
            return [msgspec.convert(dict(zip(fields, row, strict=True)), ParentRow) for row in rows]

        return self._answer(select)

    def parent_records(self, parent_id: ParentId) -> list[tuple[int, int]]:
        """(turn, place in the turn) of each record of a parent or of its orders, in order; empty for an unknown one."""
        query = (
            "SELECT turn, place FROM parent_records JOIN parents USING (parent_no) WHERE parent_id = ? "
            "ORDER BY turn, place"
        )
        rows = self._answer(lambda: self._up_to_date().execute(query, (parent_id,)).fetchall())
        return [(int(turn), int(place)) for turn, place in rows]

    def instrument_turns(self) -> list[int]:
        """Numbers of the turns in which an instrument was adopted: what it takes to read prices as decimals."""
        query = "SELECT turn FROM instruments ORDER BY turn"
        rows = self._answer(lambda: self._up_to_date().execute(query).fetchall())
        return [int(turn) for (turn,) in rows]

    def _answer(self, work: Callable[[], T]) -> T:
        """Do something with the database; one that cannot be used is made anew, in memory if need be."""
        for remedy in (self._make_anew, self._go_to_memory):
            try:
                return work()
            except _DAMAGED as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
                    raise CallerError(
                        f"{self._name} has been in use by another process for {BUSY_S:.0f} s; nothing was changed. "
                        "Try again later"
                    ) from error
                self.close()
                remedy()
        return work()

    def _make_anew(self) -> None:
        with suppress(OSError):  # where it cannot be removed it cannot be made either, and memory is next
            for suffix in ("-journal", ""):
                Path(self._name + suffix).unlink(missing_ok=True)

    def _go_to_memory(self) -> None:
        self._name = IN_MEMORY

    def _up_to_date(self) -> sqlite3.Connection:
        """The database; after a remedy it has to be filled again."""
        return self._refresh() if self._database is None else self._database

    def _refresh(self) -> sqlite3.Connection:
        """Connect, and add the turns that are missing, all in one transaction."""
        database = self._database = sqlite3.connect(self._name, timeout=BUSY_S, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        (sound,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(f"the index is damaged: {sound}")
        if not database.execute("SELECT name FROM sqlite_master WHERE name = 'about'").fetchone():
            for statement in TABLES.split(";"):
                database.execute(statement)
            database.execute("INSERT INTO about VALUES (?, ?, 0, NULL, 0, 0)", (LAYOUT, self._epoch))
        layout, epoch, last_turn, chain, time_ns, parents = database.execute("SELECT * FROM about").fetchone()
        if (layout, epoch) != (LAYOUT, self._epoch):
            raise sqlite3.DatabaseError("the index is of another layout or of another journal")
        filler = _Filler(database, time_ns=time_ns, parents=parents)
        follows = last_turn == 0
        self.fault = None
        try:
            base = base_of(self._directory, epoch=self._epoch)
            if base is not None and last_turn <= base.turn:
                # What is before it is gone from the journal, and stays here as far as it was read.
                follows = last_turn < base.turn or chain == base.chain
                last_turn, chain, filler.time_ns, filler.parents = base.turn, base.chain, base.now_ns, base.parents
            # The last turn that the index has is read again: a journal may lose its end when the machine loses power,
            # and then go on differently.
            for turn in turns(self._directory, from_turn=max(1, last_turn)):
                if turn.no > last_turn:
                    filler.add(turn)
                elif turn.chain != chain:
                    break
                last_turn, chain, follows = turn.no, turn.chain, True
        except JournalFault as fault:
            self.fault = fault
        if not follows and self.fault is None:
            raise sqlite3.DatabaseError("the journal has another history than the index")
        database.execute(
            "UPDATE about SET turn = ?, chain = ?, time_ns = ?, parents = ?",
            (last_turn, chain, filler.time_ns, filler.parents),
        )
        database.execute("COMMIT")
        return database


class _Filler:
    """Puts turns into the tables. `time_ns` and `parents` carry over from turn to turn and from run to run."""

    __slots__ = ("_database", "parents", "time_ns")

    def __init__(self, database: sqlite3.Connection, *, time_ns: int, parents: int) -> None:
        self._database = database
        self.time_ns = time_ns
        self.parents = parents

    def add(self, turn: Turn) -> None:
        """One turn's rows."""
        for place, record in enumerate(turn.records):
            if isinstance(record, Fact):
                self.time_ns = record.now_ns
            parent_no = self._enter(record, turn.no, place)
            if parent_no is not None:
                self._insert("INSERT INTO parent_records VALUES (?, ?, ?)", (parent_no, turn.no, place))

    def _enter(self, record: Record, turn_no: int, place: int) -> int | None:
        """Rows of one record; returns the number of the parent that it concerns, None when there is none."""
        match record:
            case Submitted():
                return self._submitted(record)
            case Reported():
                return self._reported(record, turn_no)
            case Place():
                self._placed(record, turn_no)
                return record.parent_no
            case Ended():
                self._insert(
                    "UPDATE parents SET status = ?, reason = ?, cum_lots = ?, ended_ns = ? WHERE parent_no = ?",
                    (record.status, record.reason, record.cum_lots, self.time_ns, record.parent_no),
                )
                return record.parent_no
            case Decided():
                self._decided(record, turn_no, place)
                return record.parent_no
            case Alarm():
                self._insert(
                    "INSERT INTO alarms VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (turn_no, place, record.parent_no, self.time_ns, record.venue, record.text, record.halts),
                )
                return record.parent_no
            case InstrumentAdopted():
                self._insert("INSERT OR IGNORE INTO instruments VALUES (?)", (turn_no,))
                return None
            case RequestLost():
                return self._parent_of(record.failed.cl_ord_id)
            case Contradicted():
                return self._parent_of(record.cl_ord_id)
            case (
                Looked()
                | Woke()
                | CancelAsked()
                | PauseAsked()
                | ResumeAsked()
                | AmendAsked()
                | Shadowed()
                | Marked()
                | EndMarked()
            ):
                return record.parent_no
            case Cancel() | Amend() | Query():
                return record.parent_no or None  # a stray's has none
            case (
                SessionStarted()
                | ParamsAdopted()
                | VenueUp()
                | VenueDown()
                | PositionKnown()
                | PositionMoved()
                | WalletKnown()
                | WalletMoved()
                | StrayFound()
                | NeighbourFound()
                | ModeSet()
                | HaltLifted()
                | FitContradicted()
                | FitTrusted()
                | ExperimentAdopted()
                | ArmStopped()
            ):
                return None
            case _:
                assert_never(record)

    def _submitted(self, fact: Submitted) -> int:
        self.parents += 1
        order = fact.order
        self._insert(
            "INSERT INTO parents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)",
            (
                self.parents,
                order.parent_id,
                order.strategy,
                order.account,
                fact.venue,
                canonical_symbol(order.symbol),
                int(order.side),
                str(order.quantity),
                fact.now_ns,
            ),
        )
        return self.parents

    def _reported(self, fact: Reported, turn_no: int) -> int | None:
        report = fact.report
        parent_no = self._parent_of(report.cl_ord_id)
        if report.exec_type is ExecType.TRADE:
            # A venue that settles a fee later says the trade again; what was known of it stays where it says nothing.
            self._insert(
                "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "fee_atoms = excluded.fee_atoms, fee_asset = excluded.fee_asset, fee_source = excluded.fee_source "
                "WHERE excluded.fee_atoms IS NOT NULL",
                (
                    report.venue,
                    report.symbol,
                    report.exec_id,
                    report.cl_ord_id,
                    parent_no,
                    report.last_lots,
                    report.last_ticks,
                    report.is_maker,
                    report.fee_atoms,
                    report.fee_asset,
                    report.fee_source,
                    report.venue_ns,
                    report.recv_ns,
                    turn_no,
                ),
            )
        return parent_no

    def _placed(self, wish: Place, turn_no: int) -> None:
        order = wish.order
        self._insert(
            "INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                order.cl_ord_id,
                wish.parent_no,
                wish.child_no,
                wish.venue,
                order.symbol,
                int(order.side),
                order.ord_type,
                order.qty_lots,
                order.price_ticks,
                self.time_ns,
                turn_no,
            ),
        )

    def _decided(self, wish: Decided, turn_no: int, place: int) -> None:
        decision = wish.decision
        self._insert(
            "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                turn_no,
                place,
                wish.parent_no,
                self.time_ns,
                wish.cause,
                wish.by,
                wish.set_id,
                wish.params_digest,
                decision.reason,
                decision.propensity,
            ),
        )

    def _parent_of(self, cl_ord_id: ClOrdId) -> int | None:
        row = self._database.execute("SELECT parent_no FROM orders WHERE cl_ord_id = ?", (cl_ord_id,)).fetchone()
        return None if row is None else int(row[0])

    def _insert(self, statement: str, values: tuple[Value, ...]) -> None:
        # SQLite's integers end at 63 bits; the journal's own go one further.
        fitting = [float(each) if isinstance(each, int) and abs(each) >= 1 << 63 else each for each in values]
        self._database.execute(statement, fitting)
