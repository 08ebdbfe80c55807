"""The story of one parent, out of its journal alone: for people, and as records for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sor.cli.picture import OwnOrders, book_picture
from sor.cli.words import (
    LIMITS,
    amount,
    bps,
    compared,
    count,
    denied,
    mid_price,
    moment,
    ordered,
    plain,
    possible,
    reported,
    seen,
    unanswered,
    verb,
    vetoed,
    wanted,
    weighed,
)
from sor.commands import Amend, Cancel, Decided, Ended, Place
from sor.decide import Checked
from sor.decide import Recorded as RecordedDecisions
from sor.definition import MEMBER
from sor.errors import CallerError
from sor.events import Looked, ParamsAdopted, Reported, RequestLost
from sor.ids import ParentId
from sor.instruments import Instrument
from sor.journal import Record, Turn, pick
from sor.journal.index import Index
from sor.market import MarketView
from sor.orders import ExecType
from sor.param_table import Unit, definition_of
from sor.params import Params, ParamSet, parse
from sor.parent import Parent
from sor.policy import Decision
from sor.records import record_of
from sor.recovery import behind, fold_on, past
from sor.regime import Regime
from sor.router import Core
from sor.tca import ParentReport, report
from sor.units import NS, rate_bps

INDENT = 13
"""Columns that the time before an event takes."""
UNSAID = (Unit.RATIO, Unit.COUNT, Unit.ONE)
"""Units that say nothing beside the number."""


_GONE = (ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED, ExecType.NOT_FOUND)


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
    begun = past(journal, decisions, keep=True)
    sets = {one.digest: one for one in begun.core.in_force.sets.values()}
    core = fold_on(begun, _noting_sets(behind(begun, journal), sets), decisions)
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


def recompute(journal: Path) -> int:
    """How many decisions of policies a journal holds, each recomputed and the same.

    Raises `ReplayDiverged` naming the first that is not.
    """
    decisions = Checked()
    begun = past(journal, decisions, keep=False)
    fold_on(begun, (list(turn.records) for turn in behind(begun, journal)), decisions)
    return decisions.count


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


def _told(params: Params, param_id: str) -> str:
    """What a set gives for a parameter: a word, the numbers of a family, or a number with its unit."""
    definition = definition_of(param_id)
    if definition is not None and definition.unit is Unit.CHOICE:
        return params.choice(param_id)
    unit = "" if definition is None or definition.unit in UNSAID else f" {definition.unit.value}"
    if param_id.endswith(MEMBER):
        return " ".join(f"{value:g}" for value in params.family(param_id)) + unit
    return f"{params[param_id]:g}{unit}"


class _Teller:
    """Prints one story: on a terminal with a hanging indent, elsewhere one line for each thing said."""

    def __init__(self, out: Console, story: Story) -> None:
        self._out = out
        self._story = story
        self._parent = story.parent
        self._instrument: Instrument = story.parent.instrument
        self._params: dict[str, float] = {}
        self._market: MarketView | None = None
        self._told_set = ("", "")
        self._told: tuple[str, ...] = ()
        self._own = OwnOrders()
        self._ahead: dict[str, int] = {}

    def tell(self, decisions: int | None) -> None:
        """The order, then what happened in its order, then what it cost."""
        parent, order, instrument = self._parent, self._parent.order, self._instrument
        mid = "" if parent.arrival_hticks is None else f" at a mid of {mid_price(instrument, parent.arrival_hticks)}"
        self._say(
            (str(parent.id), "bold"),
            f": {verb(parent.side)} {amount(instrument, order.quantity)}, {instrument.symbol} on {parent.venue}, "
            f"accepted {moment(parent.accepted_ns)} UTC{mid}",
        )
        limit = "" if order.limit is None else f"limit {order.limit}, "
        arguments = "".join(f" {name}={value:g}" for name, value in order.schedule_args.items())
        self._say(
            f"{limit}deadline {order.deadline_s:g} s, policy {parent.policy}, schedule {order.schedule}{arguments}, "
            f"param-set {parent.set_name} ({self._story.costs.params_digest})",
            indent=2,
        )
        told = 0
        for at_ns, record in self._story.records:
            if isinstance(record, Looked):
                self._market = record.market
                self._ahead = {str(order_id): lots for order_id, lots in record.ahead}
            elif isinstance(record, Decided):
                told += 1
                self._decision(at_ns, record, in_full=decisions is None or told <= decisions)
            else:
                self._event(at_ns, record)
        self._costs()

    def _say(self, *parts: str | tuple[str, str], when: str = "", indent: int = 0) -> None:
        """One thing, `when` it was before it; Text, not markup: what a venue said may hold any brackets."""
        said = Text.assemble(*parts)
        indent = max(indent, len(when))
        if not indent or not self._out.is_terminal:
            self._out.print(Text.assemble((when.ljust(indent), "dim"), said))
            return
        grid = Table.grid()
        grid.add_column(width=indent, no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        grid.add_row(when, said)
        self._out.print(grid)

    def _when(self, at_ns: int) -> str:
        return f"{(at_ns - self._parent.accepted_ns) / NS:+9.3f} s  "

    def _decision(self, at_ns: int, record: Decided, *, in_full: bool) -> None:
        decision = record.decision
        self._parameters(at_ns, record)
        wants = wanted(self._instrument, decision, at_ns)
        self._say((record.by, "cyan"), f" asked because of {plain(record.cause)}: {wants}", when=self._when(at_ns))
        if decision.note and in_full:
            self._say(decision.note, indent=INDENT)
        for veto in record.vetoes:
            did = "changed" if decision.placements else "forbade"
            self._say((f"invariant {plain(veto)} {did} this{vetoed(veto, decision)}", "yellow"), indent=INDENT)
        for denial in record.denials:
            self._say((f"risk gate refused it: {denied(denial, self._params)}", "yellow"), indent=INDENT)
        grounds = tuple(self._grounds(decision))
        if in_full and grounds != self._told:  # several fills of one moment are one look at one market
            for line in grounds:
                self._say(line, indent=INDENT)
            self._told = grounds

    def _grounds(self, decision: Decision) -> Iterator[str]:
        """What a decision saw, what was possible, and what it weighed."""
        if self._market is not None:
            regime = f"; a {decision.regime} market" if decision.regime else ""
            yield f"saw {seen(self._instrument, self._market)}{regime}"
            for line in book_picture(self._instrument, self._market, self._own.standing(self._ahead)):
                yield f"  {line}"
        yield possible(decision)
        for alternative in decision.alternatives:
            yield f"weighed {weighed(alternative)}"
        if compared(decision.alternatives):
            yield compared(decision.alternatives)
        if decision.propensity != 1.0:
            yield f"chosen with probability {decision.propensity:.4g}"
        if decision.inputs:
            told = ", ".join(f"{name} {value:.6g}" for name, value in decision.inputs)
            yield f"inputs {told}"

    def _parameters(self, at_ns: int, record: Decided) -> None:
        """What the policy read, said once, and again when another set or regime came into force."""
        policy = self._story.core.deciding.policies.get(record.by)
        found = self._story.sets.get(record.params_digest)
        if policy is None or found is None or (record.params_digest, record.decision.regime) == self._told_set:
            return
        self._told_set = (record.params_digest, record.decision.regime)
        params = found.resolve(self._parent.venue, self._instrument.symbol, now_ns=at_ns)
        if record.decision.regime:
            params = params.within(Regime(record.decision.regime))
        self._params = {name: params[name] for name in LIMITS.values() if name in params}
        regime = f", in a {record.decision.regime} market" if record.decision.regime else ""
        self._say((f"Parameters of {record.by} in {record.set_id} ({record.params_digest}){regime}:", "dim"))
        for need in policy.needs:
            if need in params:
                self._say((f"{need:34}{_told(params, need)}", "dim"), indent=2)

    def _event(self, at_ns: int, record: Record) -> None:
        said: str | tuple[str, str] = ""
        self._follow(record)
        if isinstance(record, Place):
            said = f"send {record.order.cl_ord_id}: {ordered(self._instrument, record.order)}"
        elif isinstance(record, Cancel):
            said = f"cancel {record.ref.cl_ord_id}"
        elif isinstance(record, Amend):
            said = f"move {record.ref.cl_ord_id} to {self._instrument.price(record.price_ticks)}"
        elif isinstance(record, Reported):
            said = reported(self._instrument, record.report)
        elif isinstance(record, RequestLost):
            said = unanswered(record.failed)
        elif isinstance(record, Ended):
            filled = self._instrument.quantity(record.cum_lots)
            why = record.text or plain(record.reason)
            said = (f"ended {plain(record.status)}: {filled} filled ({why})", "bold")
        if said:
            self._say(said, when=self._when(at_ns))

    def _follow(self, record: Record) -> None:
        """What rests after an event."""
        if isinstance(record, Place) and record.order.post_only:
            order = record.order
            self._own.placed(order.cl_ord_id, price_ticks=order.price_ticks, lots=order.qty_lots)
        elif isinstance(record, Reported):
            told = record.report
            if told.exec_type is ExecType.TRADE:
                self._own.filled(told.cl_ord_id, told.last_lots)
            elif told.exec_type is ExecType.REPLACED and told.price_ticks:
                self._own.moved(told.cl_ord_id, told.price_ticks)
            elif told.exec_type in _GONE:
                self._own.gone(told.cl_ord_id)

    def _costs(self) -> None:
        costs, out = self._story.costs, self._out
        self._say(self._outcome())
        self._say("What it cost, bps of the arrival notional (positive is a cost)")
        table = Table(box=None)
        for name in ("delay", "timing", "spread", "fees", "opportunity", "total"):
            table.add_column(name, justify="right")
        split = costs.shortfall_bps
        table.add_row(
            *(
                bps(value)
                for value in (split.delay, split.timing, split.spread, split.fees, split.opportunity, split.total)
            )
        )
        out.print(table)
        if costs.filled_lots < costs.qty_lots and costs.completion_bps is not None:
            beyond = ", or more, as the book showed less than that" if costs.beyond_book_lots else ""
            self._say(
                f"Completing the rest at the end would have cost {bps(costs.completion_bps)} bps, fee in{beyond}; "
                "against the arrival it counts as if that had been done."
            )
        if costs.cross_at_arrival_bps is not None and costs.arrival_cost_bps is not None:
            saved = costs.cross_at_arrival_bps - costs.arrival_cost_bps
            self._say(
                f"Crossing at once would have cost {costs.cross_at_arrival_bps:+.3f} bps by the book then "
                f"(taker fee {rate_bps(self._instrument.taker_fee_e8):g}); this cost {costs.arrival_cost_bps:+.3f}, "
                f"{abs(saved):.3f} bps {'less' if saved >= 0 else 'more'}."
            )
        drift = self._drift()
        if drift:
            self._say(f"After its fills the mid moved, in bps of our favour: {drift}.")

    def _outcome(self) -> str:
        """How much was done, at what price, by which means."""
        costs, instrument = self._story.costs, self._instrument
        done = f"{instrument.quantity(costs.filled_lots)} of {instrument.quantity(costs.qty_lots)} filled"
        if costs.avg_price is not None:
            places = max(0, -int(instrument.tick_size.normalize().as_tuple().exponent)) + 2
            done += f" at {costs.avg_price:.{places}f} on average"
        if costs.passive_share is not None:
            done += f", {costs.passive_share:.0%} of it passive"
        if costs.first_fill_ns is not None and costs.last_fill_ns is not None:
            done += f", first after {costs.first_fill_ns / NS:.3f} s, last after {costs.last_fill_ns / NS:.3f} s"
        means = [count(costs.orders, "order")]
        means += [
            count(number, noun)
            for number, noun in (
                (costs.requotes, "move"),
                (costs.rejects, "reject"),
                (costs.timeouts, "timeout"),
                (costs.fallbacks, "fallback"),
            )
            if number
        ]
        return f"{done}; {', '.join(means)}."

    def _drift(self) -> str:
        """Where the mid went after the fills, weighted by lots."""
        sums: dict[int, tuple[float, int]] = {}
        for fill in self._story.costs.fills:
            for markout in fill.markouts:
                gained, lots = sums.get(markout.horizon_ns, (0.0, 0))
                sums[markout.horizon_ns] = (gained + fill.lots * markout.markout_bps, lots + fill.lots)
        return ", ".join(
            f"{gained / lots:+.3f} after {horizon_ns / NS:g} s" for horizon_ns, (gained, lots) in sorted(sums.items())
        )
