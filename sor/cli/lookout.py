"""Watching a market before anything is decided on it: what flows and how volatile it is, only time tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from sor.engine import Router
from sor.instruments import Instrument
from sor.orders import ParentOrder

MEASURED_BY = "placement.window_s_min"
"""A policy that needs this parameter estimates nothing before the market has been watched for that long."""
SPARE_S = 1.0
"""What is watched beyond that, as the first trades and moves come when they come."""
REFRESH_S = 0.25


def long_enough_s(router: Router, order: ParentOrder, instrument: Instrument) -> float:
    """How long a market has to be watched for the order's policy to have its estimates; 0 where it makes none.

    `order` is one that the router would take, of that instrument.
    """
    core = router.core
    if MEASURED_BY not in core.deciding.policies[order.policy].needs:
        return 0.0
    params, _ = core.in_force.resolved(order.param_set or core.in_force.default_set, instrument, core.now_ns)
    return params[MEASURED_BY] + SPARE_S


async def watch_market(router: Router, symbol: str, watch_s: float, console: Console | None) -> None:
    """Follow the market of `symbol` for so long, and say on `console` how far it is; without one say nothing.

    To be cancelled at any time: nothing has been decided and nothing sent.
    """
    if watch_s <= 0.0:
        return
    router.market(symbol)  # followed from now on
    began_s = time.monotonic()
    if console is not None and not console.is_terminal:
        console.print(f"Watching {symbol} for {watch_s:g} s before anything is decided (--watch 0: at once).")
    with _shown(console) as live:
        while (gone_s := time.monotonic() - began_s) < watch_s:
            if live is not None:
                live.update(Text(_progress(router, symbol, gone_s, watch_s), "dim"), refresh=True)
            await anyio.sleep(min(REFRESH_S, watch_s - gone_s))


@contextmanager
def _shown(console: Console | None) -> Iterator[Live | None]:
    """A line of a terminal that changes, and is gone in the end."""
    if console is None or not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield live


def _progress(router: Router, symbol: str, gone_s: float, watch_s: float) -> str:
    features = router.market(symbol).features
    known = "no sound book yet" if features is None else f"flow and volatility rest on {features.window_s:.1f} s"
    return f"Watching {symbol}: {gone_s:.1f} of {watch_s:g} s; {known}"
