"""Verdict: what a venue's answer means when it is not the one that was hoped for.

Four meanings, since callers do four things: a refusal is final, a throttled request had no effect and may be made
later, one with a refused timestamp had no effect either and wants the clock read again, and an unsure one may have had
its effect and is only ever looked up.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sor.units import NS
from venues.plumbing.transport import WireReply

_TEXT_MAX = 200


class Kind(StrEnum):
    """What is known after an answer that is no success."""

    REFUSED = "refused"
    """Definitely not done, and asking again the same way is pointless."""
    THROTTLED = "throttled"
    """Definitely not done: too many requests, or a ban."""
    SKEWED = "skewed"
    """Definitely not done: the timestamp is outside the venue's window."""
    UNSURE = "unsure"
    """Perhaps done."""


class Failure(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One such answer.

    code, text  the venue's own.
    wait_ns     THROTTLED: how long the venue wants us to stay away; 0: it does not say.
    limits      THROTTLED: the rate limits it concerns; none: everything.
    """

    kind: Kind
    code: str
    text: str
    wait_ns: int = 0
    limits: tuple[str, ...] = ()


def by_status(reply: WireReply) -> Failure | None:
    """What the HTTP status alone says; None for 2xx. For replies in which a venue's own code cannot be found.

    A 4xx is written by what stands before the engine (gateway, firewall), so the request was not carried out; but 408
    speaks of time, and a redirect or a 5xx of nothing that is certain.
    """
    status = reply.status
    if 200 <= status < 300:
        return None
    kind = Kind.UNSURE
    wait_ns = 0
    if status in {418, 429}:
        kind = Kind.THROTTLED
        after = reply.header(b"retry-after") or b""
        # Digits beyond a day's seconds are no instruction that anybody meant.
        wait_ns = int(after) * NS if after.isdigit() and len(after) <= 6 else 0
    elif 400 <= status < 500 and status != 408:
        kind = Kind.REFUSED
    text = reply.body[:_TEXT_MAX].decode("utf-8", "replace")
    return Failure(kind=kind, code=f"HTTP {status}", text=text, wait_ns=wait_ns)
