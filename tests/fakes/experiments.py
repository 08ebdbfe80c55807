"""An experiment on the simulated venue in virtual time, journaled as a live one would be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path

from sor import __version__
from sor.decide import decide
from sor.ids import ParentId
from sor.journal import Environment, Journal
from sor.journal.wanted import StartAsked
from sor.orders import ParentOrder, Side
from sor.params import ParamSet, ParamStore
from sor.plugins import Plugins
from sor.router import Core
from sor.sim.world import World
from sor.units import NS
from tests.fakes.bench import START_NS

EPOCH = 7


def experiment_text(
    *arms: tuple[str, str], name: str = "trial", guards: dict[str, str] | None = None, **fields: object
) -> str:
    """The text of an experiment; arms are (policy, param-set) with equal shares, named `a`, `b` and so on."""
    share = round(Decimal(1) / len(arms), 4)
    shares = [1 - share * (len(arms) - 1), *[share] * (len(arms) - 1)]
    content = {
        "format": 1,
        "name": name,
        "note": "made for a test",
        "salt": 11,
        "arms": [
            {"name": letter, "policy": policy, "param_set": param_set, "share": f"{part.normalize()}"}
            for letter, (policy, param_set), part in zip("abcdefgh", arms, shares, strict=False)
        ],
        "guards": {"harm_bps": "20", **(guards or {})},
        **fields,
    }
    return json.dumps(content, indent=1)


def buy_or_sell(number: int, **terms: object) -> ParentOrder:
    """Parent `number` of a trial."""
    merged: dict[str, object] = {
        "parent_id": ParentId(f"P{number:05d}"),
        "symbol": "BTCUSDT",
        "side": Side.BUY if number % 2 else Side.SELL,
        "quantity": Decimal("0.01"),
        "deadline_s": 5.0,
        "policy": "cross",
        "experiment": "trial",
        **terms,
    }
    return ParentOrder(**merged)  # type: ignore[arg-type]


def run_trial(
    journal: Path,
    text: str,
    *,
    parents: int,
    every_s: float = 1.0,
    order: Callable[[int], ParentOrder] = buy_or_sell,
    options: dict[str, str] | None = None,
    more_sets: Mapping[str, ParamSet] | None = None,
    meanwhile: Callable[[World], None] | None = None,
) -> Core:
    """Start the experiment on a new journal and hand in parents one after another; returns the core at the end.

    meanwhile    called with the world once half of the parents have been handed in.
    """
    plugins = Plugins.installed()
    core = Core(policies=plugins.policies, schedules=plugins.schedules, decider=decide)
    adapter = plugins.venue("simulated")(options or {"market": "ladder", "latency": "near"})
    with Journal.create(journal, epoch=EPOCH, environment=Environment.SIMULATED) as written:
        world = World(core, start_ns=START_NS, recorder=written, horizons_ns=())
        sets = ParamStore().in_force(now_ns=START_NS) | dict(more_sets or {})
        world.open(epoch=EPOCH, version=__version__, sets=sets, default_set="baseline")
        world.connect(adapter)
        (instrument,) = core.in_force.instruments.values()
        world.dispatcher.feed(adapter.name, instrument.symbol)
        world.keeper.heed(StartAsked(text=text, where="trial.json"))
        begin_ns = START_NS + 2 * NS
        for number in range(parents):
            at_ns = begin_ns + round(number * every_s * NS)
            world.scheduler.call_at(at_ns, partial(world.submit, order(number)))
            if meanwhile is not None and number == parents // 2:
                world.scheduler.call_at(at_ns, partial(meanwhile, world))
        world.scheduler.run_until(begin_ns + round(parents * every_s * NS) + 60 * NS)
    return core
