"""How a call of `wire` becomes a request, and what a reply of BingX means to the shared client (`venues.plumbing`).

The signature: HMAC-SHA256 over all parameters as they stand in the query, plain, `timestamp` included, lower-case hex,
last and outside what is signed. Where a value is JSON, the values are percent-encoded once they have been signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar, assert_never
from urllib.parse import quote

import msgspec

from sor.errors import CallerError, InDoubt, RateLimited, SorError, VenueFault
from sor.orders import RejectKind
from sor.units import MS, NS
from venues.bingx.endpoints import ALL, EXPIRE_HEADER, IP_LIMITS, REMAIN_HEADER, Endpoint, IpGroup
from venues.bingx.errors import (
    BANS,
    STAY_AWAY,
    Asked,
    Cause,
    Outcome,
    Verdict,
    judge_answer,
    judge_code,
    judge_failure,
    judge_unreadable,
)
from venues.bingx.wire import MOMENT, RECV_WINDOW_MS
from venues.plumbing.budget import Limit
from venues.plumbing.client import Fate, Trouble, Usage
from venues.plumbing.keys import HmacSha256, Secret
from venues.plumbing.transport import Header, WireReply, WireRequest
from venues.plumbing.verdict import Failure, Kind

_T = TypeVar("_T")

KEY_HEADER: Final = b"X-BX-APIKEY"
_USUAL_WINDOW = f"recvWindow={RECV_WINDOW_MS}"
_REMAIN = REMAIN_HEADER.lower().encode()
_EXPIRE = EXPIRE_HEADER.lower().encode()
_NAME_BYTES = len(_REMAIN)
assert len(_EXPIRE) == _NAME_BYTES
_SLACK_NS = 250 * MS
"""How far apart two requests may be delayed on their way: assumed."""


class BingxDialect:
    """The venue's part of a `venues.plumbing.client.Client`. Shows neither key nor secret.

    recv_window_ms    for how long a request is good, from its timestamp on.
    """

    __slots__ = ("_headers", "_signer", "_window")

    def __init__(self, *, api_key: Secret, secret: Secret, recv_window_ms: int = RECV_WINDOW_MS) -> None:
        self._headers: tuple[Header, ...] = ((KEY_HEADER, api_key.reveal().encode()),)
        self._signer = HmacSha256(secret)
        self._window = "" if recv_window_ms == RECV_WINDOW_MS else f"recvWindow={recv_window_ms}"

    def target(self, *, path: str, params: str, signed: bool, venue_ms: int) -> str:
        """Path and query as they go out at `venue_ms` on the venue's clock; nobody may encode them again."""
        if not signed:
            return f"{path}?{params}" if params else path
        text = params.replace(MOMENT, f"{MOMENT}{venue_ms}", 1)
        if self._window:
            text = text.replace(_USUAL_WINDOW, self._window, 1)
        signature = self._signer.hex(text.encode())
        if "[" in text:
            pairs = [pair.partition("=") for pair in text.split("&")]
            text = "&".join([f"{key}={quote(value, safe='')}" for key, _, value in pairs])
        return f"{path}?{text}&signature={signature}"

    def request(
        self, *, method: str, path: str, params: str, signed: bool, venue_ms: int, deadline_ns: int
    ) -> WireRequest:
        """The request; everything is in its query, whatever the method, and its body is empty."""
        target = self.target(path=path, params=params, signed=signed, venue_ms=venue_ms)
        headers = self._headers if signed else ()
        return WireRequest(method=method, target=target.encode(), headers=headers, deadline_ns=deadline_ns)

    def usage(self, reply: WireReply) -> Iterable[Usage]:
        """What is left of the public window of ten seconds.

        The headers were seen on public replies, where each endpoint counts for itself; whether signed ones have them is
        unverified. They are held against the budget of the address for market data, which they can only tighten.
        """
        remain = expire = None
        for name, value in reply.headers:
            if len(name) == _NAME_BYTES:  # both; the rest of the headers is not looked at
                lower = name.lower()
                if lower == _REMAIN and remain is None:
                    remain = value
                elif lower == _EXPIRE and expire is None:
                    expire = value
        if remain is None or not remain.isdigit() or len(remain) > 6:
            return ()
        ends = int(expire) * MS if expire is not None and expire.isdigit() and len(expire) <= 6 else 0
        return (Usage(limit=_PUBLIC, remaining=int(remain), ends_in_ns=ends),)

    def __repr__(self) -> str:
        return "BingxDialect(<hidden>)"


# --- rate budgets -----------------------------------------------------------------------------------------------------


def group_name(group: IpGroup) -> str:
    """The name of an address's budget."""
    return f"ip-{group.name.lower()}"


def endpoint_name(endpoint: Endpoint) -> str:
    """The name of an endpoint, and of its own budget where it has one."""
    return f"{endpoint.method} {endpoint.path}"


def limits(*, newest: bool = False) -> tuple[Limit, ...]:
    """Every limit of one account behind one address, for a `Budget`.

    newest    the newest documented figures instead of the smallest; unverified against a live account.
    Some of each address budget is kept for cancels, some of the order endpoint's for orders that reduce.
    """
    found: list[Limit] = []
    for group, ip in IP_LIMITS.items():
        kept = 0 if group is IpGroup.MARKET else ip.group_calls // 10
        found.append(
            Limit(
                name=group_name(group),
                capacity=ip.group_calls,
                window_ns=ip.window_s * NS,
                slack_ns=_SLACK_NS,
                kept_for_cancel=kept,
                kept_for_reduce=kept,
            )
        )
    for endpoint in ALL:
        per_s = endpoint.per_s_2026 if newest else endpoint.per_s
        if per_s:
            kept = 1 if endpoint.opens and per_s > 1 else 0
            name = endpoint_name(endpoint)
            found.append(Limit(name=name, capacity=per_s, window_ns=NS, slack_ns=_SLACK_NS, kept_for_reduce=kept))
    return tuple(found)


def units(endpoint: Endpoint) -> dict[str, int]:
    """What one call spends, by name of limit, for `Budget.cost`; a batch is one call."""
    spent = {group_name(endpoint.group): 1}
    if endpoint.per_s:
        spent[endpoint_name(endpoint)] = 1
    return spent


_PUBLIC = group_name(IpGroup.MARKET)


# --- what a reply means to the client ---------------------------------------------------------------------------------


def reading(
    endpoint: Endpoint, asked: Asked, read: Callable[[bytes, int], _T], *, enveloped: bool = True
) -> Callable[[WireReply], _T | Failure]:
    """A reader for `venues.plumbing.client.Endpoint`.

    read         the data of a successful answer from its body and the time it came; may raise `VenueFault`.
    enveloped    False for the listen key, whose success has no envelope.
    """

    def answered(reply: WireReply) -> _T | Failure:
        verdict = judge_answer(status=reply.status, body=reply.body, asked=asked, enveloped=enveloped)
        if verdict is None:
            try:
                return read(reply.body, reply.recv_ns)
            except VenueFault as error:
                verdict = judge_unreadable(error, asked=asked)
        return failure_of(verdict, endpoint, recv_ns=reply.recv_ns)

    return answered


def failure_of(verdict: Verdict, endpoint: Endpoint, *, recv_ns: int) -> Failure:
    """A verdict in the client's words. A rate limit stops the endpoint, a ban everything."""
    kind = Kind.REFUSED
    wait_ns = 0
    names: tuple[str, ...] = ()
    if verdict.cause is Cause.RATE or verdict.cause is Cause.BAN:
        kind = Kind.THROTTLED
        wait_ns = max(verdict.until_ns - recv_ns, NS) if verdict.until_ns else verdict.pause_ns
        if verdict.cause is Cause.RATE:
            names = (endpoint_name(endpoint) if endpoint.per_s else group_name(endpoint.group),)
    elif verdict.cause is Cause.CLOCK:
        kind = Kind.SKEWED
    elif verdict.outcome is Outcome.IN_DOUBT or verdict.cause in _UNSURE:
        kind = Kind.UNSURE
    return Failure(kind=kind, code=verdict.code, text=verdict.text, wait_ns=wait_ns, limits=names)


_UNSURE = frozenset({Cause.BUSY, Cause.TRANSPORT, Cause.UNLISTED})
"""What a read may ask again at once, and nothing else."""


def verdict_of(trouble: Trouble, asked: Asked) -> Verdict:
    """What the client ended with, for `Reports.refused`: BingX's own code is judged, other words are kept."""
    match trouble.fate:
        case Fate.NOT_SENT:
            return judge_failure(bytes_left=False, text=trouble.text, asked=asked)
        case Fate.IN_DOUBT:
            unanswered = judge_failure(bytes_left=True, text=trouble.text, asked=asked)
            return _worded(unanswered, trouble)
        case Fate.RATE_LIMITED:
            if trouble.code.isdigit():
                return judge_code(code=int(trouble.code), text=trouble.text, asked=asked)
            # The address is banned, or our own budget held it back: nothing was carried out.
            held = _plain(trouble, Outcome.RETRY_LATER, RejectKind.RATE_LIMITED, Cause.RATE)
            if trouble.code in BANS:
                return msgspec.structs.replace(held, cause=Cause.BAN, advice=STAY_AWAY)
            return held if trouble.code else msgspec.structs.replace(held, text=f"not sent: {trouble.text}")
        case Fate.REFUSED:
            if trouble.code.lstrip("-").isdigit():
                return judge_code(code=int(trouble.code), text=trouble.text, asked=asked)
            return _plain(trouble, Outcome.REFUSED, RejectKind.BAD_TERMS, Cause.TERMS)
        case _:
            assert_never(trouble.fate)


KEYS_REFUSED: Final = "BingX does not accept these keys"
_SAID: Mapping[Cause, str] = {
    Cause.AUTH: KEYS_REFUSED,
    Cause.CLOCK: "BingX does not accept our timestamps",
    Cause.RATE: "BingX limits how often it is asked",
    Cause.BAN: "BingX shuts this address out",
    Cause.RISK: "BingX bars this account",
    Cause.BUSY: "BingX is busy",
    Cause.TRANSPORT: "BingX did not answer",
}
"""What has happened, by what it was about; anything else was refused."""


def read_error(trouble: Trouble) -> SorError:
    """What to raise where something was asked for that changes nothing: never a reason to look anything up."""
    verdict = verdict_of(trouble, Asked.READ)
    said = f"{_SAID.get(verdict.cause, 'BingX refused')}: {verdict.code} {verdict.text} ({trouble.name})"
    advice = verdict.advice or "try again later"
    text = f"{said}; nothing was ordered. {advice[0].upper()}{advice[1:]}"
    match trouble.fate:
        case Fate.NOT_SENT:
            return trouble.error()
        case Fate.RATE_LIMITED:
            return RateLimited(text, trouble.until_ns)
        case Fate.REFUSED:
            return CallerError(text)
        case Fate.IN_DOUBT:
            return InDoubt(text)
        case _:
            assert_never(trouble.fate)


def _plain(trouble: Trouble, outcome: Outcome, reject: RejectKind, cause: Cause) -> Verdict:
    return Verdict(
        outcome=outcome, reject=reject, cause=cause, code=trouble.code or trouble.fate.value, text=trouble.text
    )


def _worded(verdict: Verdict, trouble: Trouble) -> Verdict:
    return Verdict(
        outcome=verdict.outcome,
        reject=verdict.reject,
        cause=verdict.cause,
        code=trouble.code or verdict.code,
        text=trouble.text,
    )
