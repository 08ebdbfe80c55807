"""A whole router in virtual time for the benchmarks: core, dispatcher, journal on disk, risk gate, features, one venue.

Nothing is left out and nothing is replaced by something lighter: the dispatcher, core, journal, policies and param-set
are those of production, the venue is `sor`'s simulated one. Only the scheduler is virtual, so no time is waited away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import msgspec

from policies.cross import Cross
from policies.immediate import Immediate
from policies.maker_first import MakerFirst
from sor.adapter import VenueAdapter
from sor.commands import Happening
from sor.decide import decide
from sor.errors import SorError
from sor.journal import Environment, Journal, verify
from sor.params import parse
from sor.policy import Policy
from sor.router import Core
from sor.sim.world import World
from sor.tca import HORIZONS_NS
from sor.units import NS

PARAM_SET = "benchmark/2026-11-21"
BASELINE = Path(str(files("paramsets"))) / "baseline" / "2026-11-21.json"
ROOMY = {
    "risk.order_notional_max": "1000000000",
    "risk.open_notional_max": "1000000000",
    "risk.position_notional_max": "1000000000",
    "risk.orders_per_s_max": "1000",
    "risk.cancels_per_s_max": "1000",
    "risk.cancel_ratio_max": "1000000",
}
"""The packaged baseline with limits that no benchmark meets: the gate checks every one and lets orders through."""
START_NS = 1_800_000_000 * NS
EPOCH = 7


class WrongWork(SorError):
    """What was timed did not do what it claims to do; its figure would mean nothing."""


def param_text(values: Mapping[str, str] = MappingProxyType({})) -> str:
    """The param-set that the benchmarks trade under, as a file holds it, with other values for some of its ids."""
    content = msgspec.json.decode(BASELINE.read_bytes(), type=dict[str, object])
    records = msgspec.convert(content["records"], list[dict[str, object]])
    for record in records:
        record["value"] = {**ROOMY, **values}.get(str(record["id"]), record["value"])
    return msgspec.json.encode({**content, "records": records}).decode()


@contextmanager
def world_on(
    adapter: VenueAdapter,
    directory: Path,
    *,
    tell: Callable[[Happening], None],
    start_ns: int = START_NS,
    policies: Mapping[str, Policy] | None = None,
) -> Iterator[World]:
    """A connected router that journals into the new directory `directory`, which is verified at the end."""
    core = Core(
        policies={"cross": Cross(), "maker_first": MakerFirst(), **(policies or {})},
        schedules={"immediate": Immediate()},
        decider=decide,
    )
    param_set = parse(param_text(), where=PARAM_SET)
    with Journal.create(directory, epoch=EPOCH, environment=Environment.SIMULATED) as journal:
        world = World(core, start_ns=start_ns, recorder=journal, horizons_ns=HORIZONS_NS, tell=tell)
        world.open(epoch=EPOCH, version="benchmark", sets={PARAM_SET: param_set}, default_set=PARAM_SET)
        world.connect(adapter)
        yield world
        turns = journal.last_turn
    verified = verify(directory)
    if verified.faults or verified.turns != turns:
        raise WrongWork(f"the journal of a benchmark does not verify: {verified}")
