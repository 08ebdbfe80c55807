"""The listen key: made when a socket needs one, extended while it is in use, forgotten when it is no longer good.

A key is good for 60 minutes from its making or its last extension. Whether asking again gives the same key is not
known, so one that is spoiled is never taken for good before BingX has given it anew, and none is closed on leaving:
another session of the same account may be listening with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from sor.errors import NotSent
from sor.units import MS, NS
from venues.bingx import wire
from venues.bingx.rest import SETTING_WAIT_NS
from venues.bingx.session import Session
from venues.plumbing.budget import Priority
from venues.plumbing.client import Fate, Trouble
from venues.plumbing.frames import Address
from venues.plumbing.keys import Secret

EXTEND_NS: Final = 1_800 * NS
"""Every 30 minutes, as BingX advises."""
EXTEND_AGAIN_NS: Final = 60 * NS
"""After an extension that was not answered."""
LOOK_NS: Final = 100 * MS
"""How soon a socket that waits for a key looks again."""
ASK_AGAIN_NS: Final = 2 * NS
"""After a key was refused."""
_log = logging.getLogger(__name__)


class ListenKey:
    """The key of one account socket.

    lost    told why, when the key in use has turned out to be no longer good.
    """

    def __init__(self, session: Session, *, lost: Callable[[str], None]) -> None:
        self._session = session
        self._lost = lost
        self._key: Secret | None = None
        self._asking = False
        self._ask_ns = 0
        self._no = 0

    async def make(self) -> None:
        """Get the first key. Raises `CallerError`, `NotSent` or `InDoubt` when there is none."""
        rest = self._session.rest
        leave_by_ns = self._session.now_ns() + SETTING_WAIT_NS
        self._take(
            await rest.demand(
                rest.new_listen_key, wire.new_listen_key(), leave_by_ns=leave_by_ns, priority=Priority.OPEN
            )
        )

    def admit(self, now_ns: int) -> int:
        """For a `SocketSession`: 0 when there is a key to connect with, else when to look again."""
        if self._key is not None:
            return 0
        if not self._asking and now_ns >= self._ask_ns:
            self._asking = True
            rest = self._session.rest
            rest.call(
                rest.new_listen_key,
                wire.new_listen_key(),
                priority=Priority.OPEN,  # without it no order can be followed
                leave_by_ns=now_ns + SETTING_WAIT_NS,
                on_answer=self._answered,
            )
        return now_ns + LOOK_NS

    def address(self) -> Address:
        """Where to connect. Raises `NotSent` without a key."""
        if self._key is None:
            raise NotSent("there is no listen key; nothing was sent")
        base = self._session.settings.place.socket.removesuffix(wire.STREAM_PATH)
        return Address(base + wire.account_stream(self._key.reveal()))

    def spoil(self) -> None:
        """The key is no longer good."""
        self._key = None
        self._no += 1

    def _answered(self, answer: str | Trouble) -> None:
        self._asking = False
        if isinstance(answer, Trouble):
            self._ask_ns = max(self._session.now_ns() + ASK_AGAIN_NS, answer.until_ns)
            _log.warning("BingX gave no listen key: %s %s", answer.code, answer.text)
        elif self._key is None:
            self._take(answer)

    def _take(self, text: str) -> None:
        key = Secret(text)
        self._session.secrets.add(key)
        self._key = key
        self._no += 1
        self._extend_later(self._no, EXTEND_NS)

    def _extend_later(self, no: int, in_ns: int) -> None:
        self._session.scheduler.call_at(self._session.now_ns() + in_ns, lambda: self._extend(no))

    def _extend(self, no: int) -> None:
        key = self._key
        if key is None or no != self._no or self._session.closed:
            return

        def answered(answer: bool | Trouble) -> None:
            if no != self._no:
                return
            if not isinstance(answer, Trouble):
                self._extend_later(no, EXTEND_NS)
            elif answer.fate is Fate.REFUSED:
                self.spoil()
                self._lost(f"the listen key was not extended: {answer.code} {answer.text}".rstrip())
            else:
                self._extend_later(no, EXTEND_AGAIN_NS)

        rest = self._session.rest
        rest.call(
            rest.extend_listen_key,
            wire.extend_listen_key(key.reveal()),
            priority=Priority.OPEN,
            leave_by_ns=self._session.now_ns() + SETTING_WAIT_NS,
            on_answer=answered,
        )
