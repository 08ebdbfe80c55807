"""The story of one parent, out of its journal alone: for people, and as records for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from sor.commands import Amend, Cancel, Decided, Ended, Place
from sor.decide import Checked
from sor.decide import Recorded as RecordedDecisions
from sor.errors import CallerError
from sor.events import Looked, ParamsAdopted, Reported
from sor.ids import ParentId
from sor.instruments import Instrument
from sor.journal import Record, Turn, pick, turns
from sor.journal.index import Index
from sor.market import MarketView
from sor.orders import ExecType, ExecutionReport, OrdType, Side
from sor.params import ParamSet, parse
from sor.parent import Parent
from sor.plugins import Plugins
from sor.policy import Decision, Rest
from sor.reasons import TimeoutBound
from sor.records import record_of
from sor.recovery import fold
from sor.router import Core
from sor.tca import ParentReport, report
from sor.units import NS, rate_bps


class Story(msgspec.Struct, frozen=True):
    """One parent: its final state, what it cost, its records with their times, in order, and the sets ever in force."""

    parent: Parent
    costs: ParentReport
    records: tuple[tuple[int, Record], ...]
    core: Core
    sets: dict[str, ParamSet]


def read_story(journal: Path, parent_id: ParentId, *, check: bool = False) -> Story:
    """Fold a journal and pick one parent out of it. Raises `CallerError` for an unknown one."""
    decisions = Checked() if check else RecordedDecisions()
    plugins = Plugins.installed()
    sets: dict[str, ParamSet] = {}
    core = fold(
        _noting_sets(turns(journal), sets),
        policies=plugins.policies,
        schedules=plugins.schedules,
        decisions=decisions,
    )
    parent = core.by_id.get(parent_id)
    if parent is None:
        raise CallerError(f"journal {journal} knows no parent {parent_id!r}; nothing was changed")
    with Index.open(journal) as index:
        places = index.parent_records(parent_id)
    wanted = dict.fromkeys(places)
    records: list[tuple[int, Record]] = []
    for turn in pick(journal, [turn for turn, _ in places]):
        records += _of_turn(turn, wanted)
    return Story(parent, report(record_of(parent, core)), tuple(records), core, sets)


def _noting_sets(read: Iterable[Turn], sets: dict[str, ParamSet]) -> Iterator[list[Record]]:
    """The records of all turns; param-sets they adopt go into `sets` by digest, also those replaced later."""
    for turn in read:
        for record in turn.records:
            if isinstance(record, ParamsAdopted):
                sets[record.digest] = parse(record.text, where=f"journal record of {record.name}")
        yield turn.records


def _of_turn(turn: Turn, wanted: dict[tuple[int, int], None]) -> list[tuple[int, Record]]:
    found: list[tuple[int, Record]] = []
    now_ns = 0
    for place, record in enumerate(turn.records):
        now_ns = getattr(record, "now_ns", now_ns)  # a wish has the time of the fact that caused it
        if (turn.no, place) in wanted:
            found.append((now_ns, record))
    return found


def tell_story(
    out: Console, journal: Path, parent_id: ParentId, *, decisions: int | None = None, check: bool = False
) -> None:
    """Tell it to a person; `decisions` limits how many are told in full."""
    story = read_story(journal, parent_id, check=check)
    _Teller(out, story).tell(decisions)


class _Teller:
    """Prints one story."""

    def __init__(self, out: Console, story: Story) -> None:
        self._out = out
        self._story = story
        self._parent = story.parent
        self._instrument: Instrument = story.parent.instrument
        self._market: MarketView | None = None
        self._told_digest = ""

    def tell(self, decisions: int | None) -> None:
        parent, order, out = self._parent, self._parent.order, self._out
        limit = "" if order.limit is None else f", limit {order.limit}"
        out.print(
            f"[bold]{parent.id}[/bold]: {_verb(parent.side)} {order.quantity} {self._instrument.symbol} on "
            f"{parent.venue}{limit}, deadline {order.deadline_s:g} s, policy {order.policy}, schedule "
            f"{order.schedule}, param-set {parent.set_name} ({self._story.costs.params_digest})"
        )
        told = 0
        for at_ns, record in self._story.records:
            if isinstance(record, Looked):
                self._market = record.market
            elif isinstance(record, Decided):
                told += 1
                self._decision(at_ns, record, in_full=decisions is None or told <= decisions)
            else:
                self._event(at_ns, record)
        self._costs()

    def _when(self, at_ns: int) -> str:
        return f"[dim]{(at_ns - self._parent.accepted_ns) / NS:+9.3f} s[/dim]"

    def _decision(self, at_ns: int, record: Decided, *, in_full: bool) -> None:
        out, decision = self._out, record.decision
        self._parameters(at_ns, record)
        wants = self._wants(decision, at_ns)
        out.print(f"{self._when(at_ns)}  [cyan]{record.by}[/cyan] asked because of {_words(record.cause)}: {wants}")
        if decision.note and in_full:
            out.print(f"{'':14}{decision.note}")
        for veto in record.vetoes:
            out.print(f"{'':14}[yellow]invariant {_words(veto)} changed this[/yellow]")
        for denial in record.denials:
            out.print(f"{'':14}[yellow]risk gate: {_words(denial)}[/yellow]")
        if not in_full:
            return
        if self._market is not None:
            out.print(f"{'':14}saw {self._saw(self._market)}")
        for alternative in decision.alternatives:
            cost = "cost not known" if alternative.cost_bps is None else f"{alternative.cost_bps:+.3f} bps"
            error = "" if alternative.se_bps is None else f" ± {alternative.se_bps:.3f}"
            note = f" ({alternative.note.strip()})" if alternative.note else ""
            out.print(f"{'':14}weighed {alternative.name}: {cost}{error}{note}")
        if decision.inputs:
            told = ", ".join(f"{name} {value:.6g}" for name, value in decision.inputs)
            out.print(f"{'':14}inputs {told}")

    def _parameters(self, at_ns: int, record: Decided) -> None:
        """What the policy read, said once, and again when another set came into force."""
        policy = self._story.core.policies.get(record.by)
        found = self._story.sets.get(record.params_digest)
        if policy is None or found is None or record.params_digest == self._told_digest:
            return
        self._told_digest = record.params_digest
        params = found.resolve(self._parent.venue, self._instrument.symbol, now_ns=at_ns)
        self._out.print(f"[dim]Parameters of {record.by} in {record.set_id} ({record.params_digest}):[/dim]")
        for need in policy.needs:
            if need in params:
                self._out.print(f"[dim]  {need:34}{params[need]:g}[/dim]")

    def _wants(self, decision: Decision, at_ns: int) -> str:
        if not decision.placements:
            return f"place nothing ({_words(decision.reason)})"
        told = []
        for want in decision.placements:
            lots = f"{self._instrument.quantity(want.qty_lots)}"
            if isinstance(want, Rest):
                wait = (want.expire_ns - at_ns) / NS
                price = self._instrument.price(want.price_ticks)
                bound = "" if want.bound_by is TimeoutBound.NONE else f", bound by {_words(want.bound_by)}"
                told.append(f"rest {lots} at {price} for up to {wait:.3f} s{bound}")
            else:
                told.append(f"take {lots} now, at {self._instrument.price(want.collar_ticks)} or better")
        return f"{'; '.join(told)} ({_words(decision.reason)})"

    def _saw(self, market: MarketView) -> str:
        if not market.bids or not market.asks:
            return f"a book that is {market.trust.value}"
        (bid, bid_lots), (ask, ask_lots) = market.bids[0], market.asks[0]
        price, quantity = self._instrument.price, self._instrument.quantity
        text = f"bid {price(bid)} x {quantity(bid_lots)}, ask {price(ask)} x {quantity(ask_lots)}"
        features = market.features
        if features is None:
            return f"{text}; book {market.trust.value}"
        return (
            f"{text}; spread {features.spread_bps:.3f} bps, imbalance {features.imbalance:.2f}, volatility "
            f"{features.volatility:.3f} bps/sqrt(s), buyers {features.buy_flow * float(self._instrument.lot_size):.4g} "
            f"and sellers {features.sell_flow * float(self._instrument.lot_size):.4g} per s"
        )

    def _event(self, at_ns: int, record: Record) -> None:
        text = ""
        if isinstance(record, Place):
            order = record.order
            kind = (
                "MARKET" if order.ord_type is OrdType.MARKET else f"LIMIT {self._instrument.price(order.price_ticks)}"
            )
            how = " post-only" if order.post_only else f" {order.tif.value.upper()}"
            text = (
                f"send {order.cl_ord_id}: {_verb(order.side)} {self._instrument.quantity(order.qty_lots)} {kind}{how}"
            )
        elif isinstance(record, Cancel):
            text = f"cancel {record.ref.cl_ord_id}"
        elif isinstance(record, Amend):
            text = f"move {record.ref.cl_ord_id} to {self._instrument.price(record.price_ticks)}"
        elif isinstance(record, Reported):
            text = self._reported(record.report)
        elif isinstance(record, Ended):
            filled = self._instrument.quantity(record.cum_lots)
            why = record.text or _words(record.reason)
            text = f"[bold]ended {_words(record.status)}[/bold]: {filled} filled ({why})"
        if text:
            self._out.print(f"{self._when(at_ns)}  {text}")

    def _reported(self, told: ExecutionReport) -> str:
        if told.exec_type is ExecType.TRADE:
            price, lots = self._instrument.price(told.last_ticks), self._instrument.quantity(told.last_lots)
            role = "" if told.is_maker is None else " as maker" if told.is_maker else " as taker"
            fee = "" if told.fee_atoms is None else f", fee {_short(self._instrument.money(told.fee_atoms))}"
            return f"[green]filled {lots} at {price}{role}{fee}[/green]"
        return " ".join(["venue:", _words(told.exec_type), *(said for said in (told.code, told.text) if said)])

    def _costs(self) -> None:
        costs, out = self._story.costs, self._out
        table = Table(
            box=None, title="What it cost, bps of the arrival notional (positive is a cost)", title_justify="left"
        )
        for name in ("delay", "timing", "spread", "fees", "opportunity", "total"):
            table.add_column(name, justify="right")
        split = costs.shortfall_bps
        table.add_row(
            *(
                "-" if value is None else f"{value:+.3f}"
                for value in (split.delay, split.timing, split.spread, split.fees, split.opportunity, split.total)
            )
        )
        out.print(table)
        if costs.cross_at_arrival_bps is not None and costs.arrival_cost_bps is not None:
            saved = costs.cross_at_arrival_bps - costs.arrival_cost_bps
            out.print(
                f"Crossing at once would have cost {costs.cross_at_arrival_bps:+.3f} bps by the book then "
                f"(taker fee {rate_bps(self._instrument.taker_fee_e8):g}); this cost {costs.arrival_cost_bps:+.3f}, "
                f"{abs(saved):.3f} bps {'less' if saved >= 0 else 'more'}."
            )


def _verb(side: Side) -> str:
    return "buy" if side is Side.BUY else "sell"


def _words(text: str) -> str:
    return text.replace("_", " ")


def _short(value: object) -> str:
    return f"{float(str(value)):.6g}"
