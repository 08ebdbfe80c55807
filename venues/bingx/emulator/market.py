"""Where prices come from: a flow of orders with known statistics, a recorded tape, or a ladder that stands still."""

from __future__ import annotations

from collections.abc import Mapping

from sor.tape import Tape
from venues.bingx.emulator.exchange import Exchange


def start_quiet(exchange: Exchange) -> None:
    """A static ladder in every contract that trades; nothing moves unless a customer takes from it."""
    raise NotImplementedError


def start_synthetic(exchange: Exchange, *, seed: str, speed: float = 1.0) -> None:
    """Zero-intelligence flow in every contract that trades, `speed` times as fast as life."""
    raise NotImplementedError


def start_tapes(exchange: Exchange, tapes: Mapping[str, Tape], *, seed: str, speed: float = 1.0) -> None:
    """Recorded markets by BingX's symbol; contracts without a tape move synthetically."""
    raise NotImplementedError
