"""Faults at the level of bytes, as data, and the switchboard on which they are armed while a server runs.

Rules
- A fault hits what a server sends: a reply, a socket message, or a connection from its beginning. Whether a request
  was carried out before is up to the app; so each of them can be had with the order live and without.
- Nothing is drawn: a fault hits the next ones, or each n-th. Chance is the caller's, who may attach faults to replies.
- Of several faults that end something, the first given wins; the others add up (chunked, in pieces, after a 103).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from sor.emulation import FaultHelp
from sor.errors import CallerError


class Pieces(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Written in pieces of `bytes_each`, `gap_ms` apart."""

    bytes_each: int = 1
    gap_ms: float = 0.0

    def __post_init__(self) -> None:
        _need(self.bytes_each >= 1 and 0 <= self.gap_ms <= 60_000, "pieces of 1 byte or more, up to 60000 ms apart")


class Chunked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reply in chunked transfer encoding, in chunks of `bytes_each`."""

    bytes_each: int = 16

    def __post_init__(self) -> None:
        _need(self.bytes_each >= 1, "chunks of 1 byte or more")


class Interim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many interim replies (103 and the like) before the reply."""

    status: int = 103
    replies: int = 1

    def __post_init__(self) -> None:
        _need(self.status == 100 or 102 <= self.status <= 199, "an interim status, which is 100 or 102 to 199")
        _need(1 <= self.replies <= 100, "1 to 100 interim replies")


class CutOff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The connection is closed (FIN, and no close frame) after so many bytes, or after all when there are fewer."""

    after_bytes: int = 0

    def __post_init__(self) -> None:
        _need(self.after_bytes >= 0, "0 bytes or more")


class Reset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The connection is reset (RST) after so many bytes, or after all when there are fewer."""

    after_bytes: int = 0

    def __post_init__(self) -> None:
        _need(self.after_bytes >= 0, "0 bytes or more")


class HalfOpen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """After so many bytes everything is swallowed: nothing in, nothing out, no FIN."""

    after_bytes: int = 0

    def __post_init__(self) -> None:
        _need(self.after_bytes >= 0, "0 bytes or more")


class CloseOnReuse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keep-alive race: after this reply the connection ends just as the next request arrives, which is lost."""

    reset: bool = False


ByteFault = Pieces | Chunked | Interim | CutOff | Reset | HalfOpen | CloseOnReuse
Ending = CutOff | Reset | HalfOpen

KINDS: Mapping[str, type[ByteFault]] = {
    "pieces": Pieces,
    "chunked": Chunked,
    "interim": Interim,
    "cut-off": CutOff,
    "reset": Reset,
    "half-open": HalfOpen,
    "close-on-reuse": CloseOnReuse,
}
"""Every byte fault by the name it is switched by."""
_NAMES: Mapping[type[ByteFault], str] = {kind: name for name, kind in KINDS.items()}


class Hits(StrEnum):
    """What a fault is armed for."""

    REPLY = "reply"
    MESSAGE = "message"
    """Text and binary messages on sockets."""
    CONNECTION = "connection"
    """New connections: it holds for all they send, counted from their first byte; after 0 bytes means at once."""
    STANDING = "standing"
    """The connections that stand now: at once, and for all they send from here on. Never armed for later."""


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault is to hit.

    count          so many times, then it is spent; 0: until it is switched off.
    every          each n-th of what it fits, beginning with the n-th.
    method, path   only replies to such requests (the path's beginning); "": to any.
    """

    hits: Hits = Hits.REPLY
    count: int = 1
    every: int = 1
    method: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        _need(self.count >= 0, "a count of 0 (until switched off) or more")
        _need(self.every >= 1, "every 1 or more")
        _need(self.hits is Hits.REPLY or not (self.method or self.path), "method and path for replies only")


class Struck(Protocol):
    """A connection that stands."""

    def strike(self, *faults: ByteFault) -> None:
        """These byte faults, from now on."""


class _Armed:
    __slots__ = ("aim", "fault", "left", "met")

    def __init__(self, fault: ByteFault, aim: Aim) -> None:
        self.fault = fault
        self.aim = aim
        self.left = aim.count
        self.met = 0


class ByteFaults:
    """The switchboard of one server.

    fired    how often an armed fault has hit something; struck: the same by the name of the fault.
    """

    def __init__(self) -> None:
        self.struck = Counter[str]()
        self._armed: list[_Armed] = []
        self._standing: dict[int, Struck] = {}

    @property
    def fired(self) -> int:
        """Of all kinds."""
        return self.struck.total()

    @property
    def help(self) -> tuple[FaultHelp, ...]:
        """Every byte fault as a switch, for an emulator's own list."""
        return tuple(_help(name, kind) for name, kind in KINDS.items())

    @property
    def armed(self) -> tuple[ByteFault, ...]:
        """What is armed and not spent, in order."""
        return tuple(one.fault for one in self._armed)

    def arm(self, fault: ByteFault, aim: Aim | None = None) -> None:
        """Arm a fault, by default for the next reply. Raises `CallerError` for one that does not fit its aim."""
        aim = aim or Aim()
        if aim.hits is Hits.MESSAGE and isinstance(fault, Chunked | Interim | CloseOnReuse):
            raise CallerError(f"{type(fault).__name__} is a fault of HTTP replies, not of socket messages; not armed")
        if aim.hits is Hits.STANDING:
            for each in tuple(self._standing.values()):
                self.struck[_NAMES[type(fault)]] += 1
                each.strike(fault)
        else:
            self._armed.append(_Armed(fault, aim))

    def disarm(self, kind: type[ByteFault] | None = None) -> None:
        """Switch off what is armed, of one kind or all. What has hit a connection stays with it."""
        self._armed = [one for one in self._armed if kind is not None and not isinstance(one.fault, kind)]

    def switch(self, text: str) -> bool:
        """Switch on or off by text: `NAME`, `NAME=KEY=VALUE,...` or `-NAME`; False when the name is no byte fault's.

        Raises `CallerError` for values that make no sense; then nothing is switched.
        """
        name, _, rest = text.partition("=")
        off = name.startswith("-")
        kind = KINDS.get(name[1:] if off else name)
        if kind is None:
            return False
        if off:
            if rest:
                raise CallerError(f"fault {text!r}: to switch it off write {name} alone; nothing was switched")
            self.disarm(kind)
            return True
        given: dict[str, str] = {}
        for part in rest.split(",") if rest else ():
            key, _, value = part.partition("=")
            if not value or key in given:
                raise CallerError(f"fault {text!r}: write each key once, like {_usage(kind)}; nothing was switched")
            given[key] = value
        own = {key: given.pop(key) for key in kind.__struct_fields__ if key in given}
        unknown = [key for key in given if key not in Aim.__struct_fields__]
        if unknown:
            raise CallerError(f"fault {text!r} has no {unknown[0]!r}; nothing was switched. It takes {_usage(kind)}")
        try:
            self.arm(msgspec.convert(own, kind, strict=False), msgspec.convert(given, Aim, strict=False))
        except msgspec.ValidationError as error:
            raise CallerError(f"fault {text!r}: {error}; nothing was switched") from error
        return True

    # --- for connections --------------------------------------------------------------------------------------------

    def take(self, hits: Hits, *, method: str = "", path: str = "") -> tuple[ByteFault, ...]:
        """What hits this reply, message or connection."""
        if not self._armed:
            return ()
        found: list[ByteFault] = []
        for one in self._armed:
            aim = one.aim
            if aim.hits is not hits or (aim.method and aim.method != method) or not path.startswith(aim.path):
                continue
            one.met += 1
            if one.met % aim.every == 0:
                found.append(one.fault)
                one.left -= 1
        self._armed = [one for one in self._armed if one.left != 0 or one.aim.count == 0]
        self.struck.update(_NAMES[type(fault)] for fault in found)
        return tuple(found)

    def entered(self, connection: Struck) -> None:
        """A connection stands."""
        self._standing[id(connection)] = connection

    def left(self, connection: Struck) -> None:
        """It stands no more; one that has left before is fine."""
        self._standing.pop(id(connection), None)


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise CallerError(f"a byte fault wants {what}; nothing was switched")


def _usage(kind: type[ByteFault]) -> str:
    """Every key with its default, "..." where that is empty."""
    keys: list[str] = []
    for struct in (kind(), Aim()):
        for key, value in msgspec.structs.asdict(struct).items():
            text = "|".join(Hits) if key == "hits" else f"{value}".lower() or "..."
            keys.append(f"{key}={text}")
    return ",".join(keys)


def _help(name: str, kind: type[ByteFault]) -> FaultHelp:
    return FaultHelp(name=name, args=_usage(kind), text=(kind.__doc__ or "").replace("`", ""))
