"""Parents of a policy behind the production router on a recording, each alone: what sweeps are held to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import msgspec

from policies.immediate import Immediate
from policies.maker_first import MakerFirst
from sor.commands import Amend, Cancel, Place, Recorded
from sor.decide import decide
from sor.events import AnyFact
from sor.ids import AccountId, ParentId
from sor.instruments import Instrument
from sor.lab.plan import Start
from sor.market import MarketView
from sor.orders import ParentOrder
from sor.params import Params, parse
from sor.policy import Decision, Policy
from sor.records import record_of
from sor.router import Core
from sor.sim.world import World, at_once
from sor.snapshot import Resting, View
from sor.tape import Tape
from sor.tca import ParentReport, report
from sor.units import NS
from venues.simulated.tape import TapeVenue, open_market
from venues.simulated.tape_latency import Delay
from venues.simulated.tape_owner import CLIENT_IDS
from venues.simulated.tape_settings import TapeSettings

BASELINE = Path(str(files("paramsets"))) / "baseline" / "2026-11-21.json"
UNLIMITED = {
    "risk.order_notional_max": "1000000000",
    "risk.open_notional_max": "1000000000",
    "risk.position_notional_max": "1000000000",
}
"""Limits of value, which the lane does not have. Rates are each account's own, and so each parent's."""
Fill = tuple[int, int, int, bool]
"""Venue time, price, lots, and whether as maker."""


class Ran(NamedTuple):
    """What became of the parents, in their order.

    views    what the policy of each was shown. sent: orders of each, and amends and cancels of them.
    """

    instrument: Instrument
    params: Params
    fills: list[list[Fill]]
    reports: list[ParentReport]
    views: list[list[dict[str, object]]]
    sent: list[tuple[int, ...]]


class Watched:
    """A policy that keeps what it was shown, by parent."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.name, self.needs = policy.name, policy.needs
        self.views: dict[str, list[dict[str, object]]] = {}

    def decide(self, view: View, params: Params) -> Decision:
        self.views.setdefault(view.parent_id, []).append(shown(view))
        return self._policy.decide(view, params)


def shown(view: View) -> dict[str, object]:
    """All that a policy can read of a view."""
    market = {name: getattr(view.market, name) for name in MarketView.__struct_fields__}
    resting = [{name: getattr(one, name) for name in Resting.__struct_fields__} for one in view.resting]
    return {**{name: getattr(view, name) for name in View.__struct_fields__}, "market": market, "resting": resting}


class _Requests:
    """A recorder that counts what was sent, by parent."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[int, type[object]]] = Counter()

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        self.counts.update((one.parent_no, type(one)) for one in records if isinstance(one, Place | Amend | Cancel))
        return 0


def param_text(values: Mapping[str, str]) -> str:
    """The packaged baseline with other values for some of its parameters."""
    content = msgspec.json.decode(BASELINE.read_bytes(), type=dict[str, object])
    records = msgspec.convert(content["records"], list[dict[str, object]])
    for record in records:
        record["value"] = {**UNLIMITED, **values}.get(str(record["id"]), record["value"])
    return msgspec.json.encode({**content, "records": records}).decode()


def run_alone(
    tape: Tape,
    starts: Sequence[Start],
    *,
    lots: int,
    deadline_s: float,
    queue: str,
    latency_ns: int,
    feed_ns: int,
    values: Mapping[str, str],
    policy: Policy | None = None,
    amends: bool = True,
) -> Ran:
    """Run the parents until all have ended; the recording must go on for long enough."""
    watched = Watched(policy or MakerFirst())
    requests = _Requests()
    core = Core(policies={watched.name: watched}, schedules={"immediate": Immediate()}, decider=decide)
    delay = Delay(median_ns=latency_ns)
    settings = TapeSettings(queue=queue, entry=delay, response=delay, owners="parents", amends=amends)
    venue = TapeVenue(open_market(tape, feed=Delay(median_ns=feed_ns)), settings)
    world = World(core, start_ns=int(tape.group_venue_ns[0]), recorder=requests, horizons_ns=())
    world.open(epoch=1, version="test", sets={"t": parse(param_text(values), where="t")}, default_set="t")
    world.connect(venue)
    (instrument,) = core.in_force.instruments.values()
    world.dispatcher.feed(venue.name, instrument.symbol)
    for start in starts:
        order = order_of(start, instrument, lots=lots, deadline_s=deadline_s, policy=watched.name)
        world.scheduler.call_at(start.at_ns, partial(world.submit, order))
    world.scheduler.run_until(int(tape.group_venue_ns[-1]) + round((deadline_s + 60) * NS))
    fills: list[list[Fill]] = [[] for _ in starts]
    for told in at_once(venue.fills_since(0)):
        owned = CLIENT_IDS.decode(told.cl_ord_id)
        assert owned is not None
        fills[owned.parent_no - 1].append((told.venue_ns, told.last_ticks, told.last_lots, bool(told.is_maker)))
    reports = [report(record_of(parent, core)) for parent in core.parents]
    return Ran(
        instrument,
        core.in_force.resolved("t", instrument, core.now_ns)[0],
        fills,
        reports,
        [watched.views.get(f"p{start.no}", []) for start in starts],
        [tuple(requests.counts[no, kind] for kind in (Place, Amend, Cancel)) for no in range(1, len(starts) + 1)],
    )


def order_of(start: Start, instrument: Instrument, *, lots: int, deadline_s: float, policy: str) -> ParentOrder:
    """The parent order of a start."""
    return ParentOrder(
        parent_id=ParentId(f"p{start.no}"),
        symbol=instrument.symbol,
        side=start.side,
        quantity=instrument.quantity(lots),
        account=AccountId(f"a{start.no}"),
        deadline_s=deadline_s,
        policy=policy,
    )
