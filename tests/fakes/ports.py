"""Ports for servers that leave theirs and come back to it."""

import socket
from contextlib import suppress
from random import SystemRandom

HANDED_OUT_FROM = 32_768
"""Where the ports begin that a system hands out itself, on Linux; elsewhere later."""


def free_port() -> int:
    """One that nobody listens on, and that is not handed out to anybody else while it is not used."""
    while True:
        port = SystemRandom().randrange(HANDED_OUT_FROM - 12_768, HANDED_OUT_FROM)
        with suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            return port
