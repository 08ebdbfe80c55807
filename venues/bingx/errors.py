"""What went wrong, told apart by what it means for an order: refused, refused for now, never sent, or nobody knows.

BingX's business errors come with HTTP 200. Many codes were renumbered on 2025-10-16 and both numbers are still in use;
several stand for different things in different mouths and are told apart by the request and by their text. Only what
is known to be a refusal is taken for one: an order that was answered with a code that is not in this table is in
doubt, and looked up. BingX's code and text are kept to the letter, whatever was made of them (B12).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import assert_never

import msgspec

from sor.adapter import Request
from sor.errors import VenueFault
from sor.orders import RejectKind
from sor.units import MS, NS
from venues.bingx.codec import Envelope, envelope

RATE_PAUSE_NS = 300 * NS
"""Rate limited calls are let through again after five minutes; going on instead gets the address banned (418)."""
WAF_PAUSE_NS = 300 * NS
SAME_ID_PAUSE_NS = 1 * NS
BUSY_PAUSE_NS = 1 * NS
RISK_PAUSE_NS = 60 * NS
"""Our choice: for how long an account is barred is nowhere said."""


class Outcome(StrEnum):
    """What is known about a call that did not succeed."""

    REFUSED = "refused"
    """It was not carried out, and would not be if it came again."""
    RETRY_LATER = "retry_later"
    """It was not carried out, and may be after a while."""
    NOT_SENT = "not_sent"
    """It never left."""
    IN_DOUBT = "in_doubt"
    """It may have been carried out: look it up by its client id, never send it again blindly."""


class Cause(StrEnum):
    """What it was about, as far as something is to be done about it."""

    AUTH = "auth"
    CLOCK = "clock"
    RATE = "rate"
    """One endpoint's budget."""
    BAN = "ban"
    """The whole address."""
    RISK = "risk"
    """The account is barred from trading for a while, also for too many cancels."""
    TERMS = "terms"
    FUNDS = "funds"
    LIMIT = "limit"
    SYMBOL = "symbol"
    MODE = "mode"
    MARKET = "market"
    """The order was fine, the market had moved."""
    POSITION = "position"
    STATE = "state"
    DUPLICATE = "duplicate"
    UNKNOWN_ORDER = "unknown_order"
    SETTLING = "settling"
    """Funding is being settled, a matter of moments; a definite no until then."""
    BUSY = "busy"
    ROUTE = "route"
    TRANSPORT = "transport"
    UNLISTED = "unlisted"


class Asked(StrEnum):
    """What the call was to do: the same code means different things to an order and to a cancel."""

    PLACE = "place"
    CANCEL = "cancel"
    AMEND = "amend"
    QUERY = "query"
    READ = "read"
    SETTING = "setting"

    @classmethod
    def of(cls, request: Request) -> Asked:
        """The one that a command of the router's stands for."""
        return cls(request.value)


class Verdict(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What to make of a failed call.

    reject      the router's word for it.
    code, text  BingX's own, to the letter; an HTTP status or a failure of the transport names itself.
    advice      what whoever reads the log may do, "" where the text says it all.
    pause_ns    send nothing of that kind for this long (see `Cause` for what "that kind" is), 0 for no pause.
    until_ns    the moment until which BingX says it will refuse, 0 when it does not say.
    """

    outcome: Outcome
    reject: RejectKind
    cause: Cause
    code: str
    text: str
    advice: str = ""
    pause_ns: int = 0
    until_ns: int = 0


class Meaning(msgspec.Struct, frozen=True, gc=False):
    """One row of the table."""

    outcome: Outcome
    reject: RejectKind
    cause: Cause
    advice: str = ""
    pause_ns: int = 0


_NO, _LATER, _DOUBT = Outcome.REFUSED, Outcome.RETRY_LATER, Outcome.IN_DOUBT
_AUTH = Meaning(
    _NO, RejectKind.NOT_ALLOWED, Cause.AUTH, "check the key, and that it is one of this environment; each has its own"
)
_SIGNED = Meaning(_NO, RejectKind.NOT_ALLOWED, Cause.AUTH, "check the secret: it is not the one of this key")
_RIGHTS = Meaning(
    _NO,
    RejectKind.NOT_ALLOWED,
    Cause.AUTH,
    "allow perpetual futures trading for this key, and this address in its whitelist",
)
_CLOCK = Meaning(_NO, RejectKind.OTHER, Cause.CLOCK, "let this machine's clock be set over the network (NTP)")
_ROUTE = Meaning(_NO, RejectKind.OTHER, Cause.ROUTE)
_RATE = Meaning(
    _LATER, RejectKind.RATE_LIMITED, Cause.RATE, "stay away for five minutes: going on is a ban", RATE_PAUSE_NS
)
_RISK = Meaning(_NO, RejectKind.OTHER, Cause.RISK, "send fewer cancels for each fill", RISK_PAUSE_NS)
# The same id came twice within a second. Of an order: a copy of the request arrived, and a lookup says what of it
# counts. Of a cancel: an earlier one is being worked on, which says nothing about the order.
_SAME_ID = Meaning(_DOUBT, RejectKind.DUPLICATE_ID, Cause.DUPLICATE, "", SAME_ID_PAUSE_NS)
_TOO_SOON = Meaning(_LATER, RejectKind.RATE_LIMITED, Cause.DUPLICATE, "", SAME_ID_PAUSE_NS)
_DUPLICATE = Meaning(_NO, RejectKind.DUPLICATE_ID, Cause.DUPLICATE)
_TERMS = Meaning(_NO, RejectKind.BAD_TERMS, Cause.TERMS)
_FUNDS = Meaning(_NO, RejectKind.NO_MARGIN, Cause.FUNDS)
_LIMIT = Meaning(_NO, RejectKind.OTHER, Cause.LIMIT)
_WOULD_TAKE = Meaning(_NO, RejectKind.WOULD_TAKE, Cause.MARKET)
_NO_POSITION = Meaning(_NO, RejectKind.NOTHING_TO_REDUCE, Cause.POSITION)
_CLOSED = Meaning(_NO, RejectKind.VENUE_CLOSED, Cause.SYMBOL)
_NOT_OURS = Meaning(_NO, RejectKind.NOT_ALLOWED, Cause.SYMBOL, "trade another contract: not this one, over the API")
_MODE = Meaning(_NO, RejectKind.NOT_ALLOWED, Cause.MODE, "read the account's position mode again")
_SETTLING = Meaning(_LATER, RejectKind.NOT_NOW, Cause.SETTLING, "", BUSY_PAUSE_NS)
_BUSY = Meaning(_DOUBT, RejectKind.OTHER, Cause.BUSY, "", BUSY_PAUSE_NS)
_UNKNOWN_ORDER = Meaning(_NO, RejectKind.UNKNOWN_ORDER, Cause.UNKNOWN_ORDER)
_TOO_LATE = Meaning(_NO, RejectKind.TOO_LATE, Cause.STATE)
_SILENCE = Meaning(_DOUBT, RejectKind.OTHER, Cause.TRANSPORT)
_ASTRAY = Meaning(_DOUBT, RejectKind.OTHER, Cause.UNLISTED, "this code is no answer to a cancel: tell the maintainers")
_UNLISTED = Meaning(_DOUBT, RejectKind.OTHER, Cause.UNLISTED, "this code is not known here: tell the maintainers")

RENUMBERED: Mapping[int, int] = {
    80014: 109400,
    80001: 109400,
    109414: 109400,
    80016: 109421,
    80018: 109422,
    80017: 109420,
    80019: 109423,
    80012: 109500,
    80020: 109403,
    40029: 109403,
    100409: 109429,
    100410: 109429,
    80013: 101419,
}
"""Numbers of before 2025-10-16, all still seen, and what they are now."""

MEANINGS: Mapping[int, Meaning] = {
    100001: _SIGNED,
    100412: _AUTH,
    100413: _AUTH,
    100004: _RIGHTS,
    100419: _RIGHTS,
    100421: _CLOCK,
    100400: _ROUTE,
    100404: _ROUTE,
    109429: _RATE,
    109403: _RISK,
    100414: _RISK,
    101514: _RISK,
    101515: _RISK,
    109201: _SAME_ID,
    101481: _DUPLICATE,
    101400: _TERMS,
    110425: _TERMS,
    109400: _TERMS,
    101202: _TERMS,
    110422: _TERMS,
    101485: _TERMS,
    101204: _FUNDS,
    101253: _FUNDS,
    101206: _FUNDS,
    110424: _FUNDS,
    101212: _FUNDS,
    101209: _LIMIT,
    110287: _LIMIT,
    101222: _LIMIT,
    101429: _LIMIT,
    101424: _LIMIT,
    112414: _LIMIT,
    101211: _TERMS,
    110402: _TERMS,
    101460: _TERMS,
    101461: _TERMS,
    101215: _WOULD_TAKE,
    101290: _NO_POSITION,
    101205: _NO_POSITION,
    109420: _NO_POSITION,
    110203: _NO_POSITION,
    101415: _NOT_OURS,
    110280: _CLOSED,
    109415: _CLOSED,
    109417: _CLOSED,
    109418: _NOT_OURS,
    109425: _NOT_OURS,
    101413: _CLOSED,
    104424: _CLOSED,
    101414: _TERMS,
    101419: _LIMIT,
    104103: _MODE,
    109401: _MODE,
    104108: _MODE,
    101214: _SETTLING,
    101219: _SETTLING,
    100500: _BUSY,
    109500: _BUSY,
    110500: _BUSY,
    101500: _BUSY,
    109423: _BUSY,
    109421: _UNKNOWN_ORDER,
    109422: _TOO_LATE,
    102201: _TERMS,
    110206: _TERMS,
    **{code: _TERMS for code in range(110400, 110429) if code not in {110402, 110422, 110424, 110425}},
}
"""What each code means where its text says nothing else."""

_BY_TEXT: tuple[tuple[str, Meaning], ...] = (
    ("unique check", _DUPLICATE),
    ("duplicate", _DUPLICATE),
    ("timestamp", _CLOCK),
    ("order not exist", _UNKNOWN_ORDER),
    ("order does not exist", _UNKNOWN_ORDER),
    ("order not found", _UNKNOWN_ORDER),
    ("position not exist", _NO_POSITION),
    ("position does not exist", _NO_POSITION),
    ("no position", _NO_POSITION),
    ("insufficient", _FUNDS),
    ("positionside", _MODE),
    ("position side", _MODE),
    ("reduceonly", _MODE),
    ("reduce only", _MODE),
    ("not tradable", _NOT_OURS),
    ("not available for trading", _CLOSED),
    ("suspended", _CLOSED),
)
"""Texts that say more than an overloaded code; the first that occurs counts."""
_NEVER_OF_A_CANCEL = frozenset({Cause.FUNDS, Cause.LIMIT, Cause.MARKET})
"""A cancel takes no money and no room: such a refusal is about something else, and says nothing of the order."""
_OVERLOADED = frozenset({109400, 101400, 110425})
_UNBLOCKED = re.compile(r"unblocked after (\d{13})(?!\d)")


def judge_code(*, code: int, text: str, asked: Asked) -> Verdict:
    """A business error; `code` is not 0."""
    number = RENUMBERED.get(code, code)
    meaning = MEANINGS.get(number, _UNLISTED)
    lower = text.lower()
    if number in _OVERLOADED:
        meaning = next((known for needle, known in _BY_TEXT if needle in lower), meaning)
    match asked:
        case Asked.PLACE:
            if meaning is _TOO_LATE:
                # One number for "the order has ended" and "the position does not exist": a new order has no end yet.
                meaning = _NO_POSITION
            elif meaning is _UNKNOWN_ORDER:
                meaning = _TERMS
        case Asked.CANCEL | Asked.AMEND:
            if meaning is _SAME_ID:
                meaning = _TOO_SOON
            elif meaning is _DUPLICATE:
                meaning = _TERMS
            elif asked is Asked.CANCEL and meaning.cause in _NEVER_OF_A_CANCEL:
                meaning = _ASTRAY
        case Asked.QUERY | Asked.READ | Asked.SETTING:
            pass
        case _:
            assert_never(asked)
    outcome = meaning.outcome
    if outcome is _DOUBT and asked in _HARMLESS:
        outcome = _LATER
    found = _UNBLOCKED.search(lower) if meaning is _RATE else None
    until_ns = int(found.group(1)) * MS if found else 0
    return Verdict(
        outcome=outcome,
        reject=meaning.reject,
        cause=meaning.cause,
        code=str(code),
        text=text,
        advice=f"stay away until {_utc(until_ns)}: going on is a ban" if until_ns else meaning.advice,
        pause_ns=meaning.pause_ns,
        until_ns=until_ns,
    )


def _utc(at_ns: int) -> str:
    """A moment as people read it."""
    return f"{datetime.fromtimestamp(at_ns // NS, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"


_HARMLESS = frozenset({Asked.QUERY, Asked.READ})
"""What changes nothing can be asked again."""
STAY_AWAY = "stay away for five minutes at least: going on makes it longer"
"""What to do about an address that is shut out."""
_BY_STATUS: Mapping[int, Meaning] = {
    400: _TERMS,
    401: _AUTH,
    403: Meaning(_LATER, RejectKind.RATE_LIMITED, Cause.BAN, STAY_AWAY, WAF_PAUSE_NS),
    404: _ROUTE,
    418: Meaning(_LATER, RejectKind.RATE_LIMITED, Cause.BAN, STAY_AWAY, RATE_PAUSE_NS),
    429: _RATE,
}
_ABOUT_THE_ADDRESS = frozenset({403, 418})
BANS = frozenset({f"http {status}" for status in _ABOUT_THE_ADDRESS})
"""Codes of answers that shut the whole address out."""


def judge_answer(*, status: int, body: bytes, asked: Asked, enveloped: bool = True) -> Verdict | None:
    """An HTTP answer; None when it is a success, whose data may then be read.

    enveloped    False for the listen key, whose success comes without an envelope, or without any body.
    An answer that cannot be read, a 5xx, and any status that is not in the table leave an order in doubt.
    """
    opened: Envelope | None
    try:
        opened = envelope(body)
    except VenueFault as error:
        opened, unreadable = None, str(error)
    else:
        unreadable = ""
    if status == 200:
        if opened is None:
            return _verdict(_SILENCE, "http 200", unreadable, asked) if enveloped else None
        return judge_code(code=opened.code, text=opened.text, asked=asked) if opened.code else None
    code = f"http {status}"
    text = _page(status) if opened is None else f"{opened.code} {opened.text}".rstrip()
    meaning = _BY_STATUS.get(status)
    if meaning is None:
        return _verdict(_BUSY if status >= 500 else _SILENCE, code, text, asked)
    if opened is not None and opened.code and status not in _ABOUT_THE_ADDRESS:
        known = judge_code(code=opened.code, text=opened.text, asked=asked)
        if known.cause is not Cause.UNLISTED:
            return known
    return _verdict(meaning, code, text, asked)


def _page(status: int) -> str:
    """What an answer is that is no JSON: of a gateway in front of BingX, which has said nothing itself."""
    phrase = _PHRASES.get(status, "")
    return f"{phrase + ': ' if phrase else ''}a page of the gateway in front of BingX, not an answer of its own"


_PHRASES: Mapping[int, str] = {status.value: status.phrase for status in HTTPStatus}


def judge_unreadable(error: VenueFault, *, asked: Asked) -> Verdict:
    """A success whose data could not be read: for an order, it may well stand."""
    return _verdict(_SILENCE, "unreadable", str(error), asked)


def judge_failure(*, bytes_left: bool, text: str, asked: Asked) -> Verdict:
    """A call without an answer: refused connection, reset, timeout, a socket that closed.

    bytes_left    whether any byte of the request may have left. If none did, it was not sent.
    text          what the transport said; it must not hold the target, which is signed.
    """
    if not bytes_left:
        return Verdict(
            outcome=Outcome.NOT_SENT, reject=RejectKind.OTHER, cause=Cause.TRANSPORT, code="not_sent", text=text
        )
    return _verdict(_SILENCE, "no_answer", text, asked)


def _verdict(meaning: Meaning, code: str, text: str, asked: Asked) -> Verdict:
    outcome = meaning.outcome
    if outcome is _DOUBT and asked in _HARMLESS:
        outcome = _LATER
    return Verdict(
        outcome=outcome,
        reject=meaning.reject,
        cause=meaning.cause,
        code=code,
        text=text,
        advice=meaning.advice,
        pause_ns=meaning.pause_ns,
    )


TOPIC_REFUSALS: Mapping[int, str] = {
    80015: "the socket does not know this topic: a paused, unknown or coin-margined contract, or a wrong spelling",
    80403: "this socket has its 200 topics",
    100400: "the request belongs to another product's socket",
    80014: "the frame is malformed; the account socket takes none but Pong",
}
"""Why a subscription was refused, by the code of its `market.TopicAnswer`."""
