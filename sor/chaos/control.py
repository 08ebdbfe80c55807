"""The emulator's control endpoint, from outside: faults on and off, and its books.

What goes wrong with the bytes of connections goes wrong here, too: what must be known is asked until it is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from sor.emulation import EmulatorBooks

TIMEOUT_S = 1.0
TRIES = 20


class Unheard(OSError):
    """No answer came."""


class Struck(msgspec.Struct, frozen=True):
    """How often each fault struck."""

    struck: dict[str, int]


class Control:
    """One emulator. Everything raises `OSError` when it refuses, all but `switch` also when it is not heard."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._opener = build_opener(ProxyHandler({}))  # it is on this machine, whatever the environment says

    def switch(self, *faults: str) -> None:
        """Switch faults on or off, asked once: the answer may be the first thing that a fault strikes."""
        with suppress(Unheard):
            self._ask("POST", "faults", msgspec.json.encode({"switch": faults}), tries=1)

    def calm(self, afterwards: Sequence[str]) -> None:
        """End all faults, then switch these."""
        self._ask("DELETE", "faults")
        self.switch(*afterwards)

    def struck(self) -> dict[str, int]:
        """How often each fault struck so far."""
        return msgspec.json.decode(self._ask("GET", "faults"), type=Struck).struck

    def books(self, copy: Path) -> EmulatorBooks:
        """Its books as of now, and a copy of them in a file."""
        found = self._ask("GET", "audit")
        copy.write_bytes(found)
        return msgspec.json.decode(found, type=EmulatorBooks)

    def _ask(self, method: str, path: str, body: bytes | None = None, *, tries: int = TRIES) -> bytes:
        request = Request(self._address + path, data=body, method=method)
        lost = ""
        for _ in range(tries):
            try:
                with self._opener.open(request, timeout=TIMEOUT_S) as reply:
                    found: bytes = reply.read()
                    return found
            except HTTPError:
                raise
            except (OSError, HTTPException) as error:
                lost = f"{type(error).__name__}: {error}"
        raise Unheard(f"the emulator at {self._address} does not answer: {lost}")
