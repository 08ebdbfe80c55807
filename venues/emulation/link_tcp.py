"""A server on TCP, loopback only."""

from __future__ import annotations

from collections.abc import Callable

from venues.emulation.connection import Server


async def serve_tcp(server: Server, *, port: int, started: Callable[[int], None], backlog: int = 128) -> None:
    """Serve on 127.0.0.1 until cancelled; port 0 takes a free one, `started` is told which, once it is open.

    Raises `CallerError` when the port cannot be had.
    """
