"""Every fault of the emulator by name: when it strikes, its keys and what happens. `faults.md` is made of this."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """When a fault strikes; the headings of the page."""

    ORDER = "A request that changes something"
    READ = "A request that reads, or that is about a listen key"
    ANY = "Any request"
    MATCH = "What the exchange does"
    PUSH = "Pushes of the account socket"
    MARKET = "The market socket"
    SOCKET = "Sockets and keys, for as long as it is on"
    AT_ONCE = "At once, when it is switched on"


class Arg(msgspec.Struct, frozen=True, kw_only=True):
    """One key.

    words     the only values, where they are few.
    whole     a whole number; `signed` lets it be negative.
    required  there is no default.
    text      what it means, "" where the fault's own text says it.
    """

    name: str
    default: str = ""
    words: tuple[str, ...] = ()
    whole: bool = False
    signed: bool = False
    required: bool = False
    text: str = ""


class Fault(msgspec.Struct, frozen=True):
    """One fault."""

    name: str
    kind: Kind
    text: str
    args: tuple[Arg, ...] = ()


COMMON = (
    Arg(name="count", default="0", whole=True, text="strike so often, then be off; 0: no end"),
    Arg(name="after", default="0", whole=True, text="let so many occasions pass first"),
    Arg(name="p", default="1", text="probability at each occasion"),
    Arg(name="seed", default="1", whole=True, text="of the generator for `p`"),
    Arg(name="on", text="only where this occurs in `METHOD /path`, in the event of a push, or in the topic"),
    Arg(name="account", text="only for this account"),
    Arg(name="symbol", text="only for this symbol"),
    Arg(name="for_ms", default="0", whole=True, text="be off by itself after this time; 0: no end"),
)


def _ms(default: int) -> Arg:
    return Arg(name="ms", default=str(default), whole=True)


def _word(name: str, *words: str) -> Arg:
    return Arg(name=name, default=words[0], words=words)


_BUSY = _word("code", "109500", "110500", "100500", "80012", "101500")
_SYMBOL = Arg(name="symbol", required=True)
_WHICH = _word("which", "all", "market", "account")

_ORDER = (
    Fault("answer-late", Kind.ORDER, "Carried out at once, answered `ms` later.", (_ms(1_000),)),
    Fault("answer-never", Kind.ORDER, "Carried out and never answered; the connection stays open."),
    Fault("answer-reset", Kind.ORDER, "Carried out, then the connection is reset instead of an answer."),
    Fault(
        "answer-http",
        Kind.ORDER,
        "Carried out, answered with an HTTP error of the gateway.",
        (_word("status", "504", "500", "502", "503"),),
    ),
    Fault("answer-busy", Kind.ORDER, "Carried out, answered with a code that says the venue was busy.", (_BUSY,)),
    Fault("answer-garbled", Kind.ORDER, "Carried out, answered with HTTP 200 and half of the JSON."),
    Fault("request-lost", Kind.ORDER, "Not carried out and never answered."),
    Fault("request-late", Kind.ORDER, "Held back for `ms` before it is judged and carried out.", (_ms(1_000),)),
    Fault("refuse-busy", Kind.ORDER, "Not carried out, answered as if the venue was busy.", (_BUSY,)),
    Fault("refuse-http", Kind.ORDER, "Not carried out, answered with an HTTP error.", (_word("status", "503", "504"),)),
    Fault("settling", Kind.ORDER, "Refused with 101214: funding is being settled."),
    Fault("risk-control", Kind.ORDER, "Refused with 109403: risk control forbids trading."),
    Fault("refuse", Kind.ORDER, "Refused with any code.", (Arg(name="code", default="101400", whole=True),)),
    Fault("ack-bare", Kind.ORDER, "The answer to a new order has no status, average price and executed quantity."),
    Fault("ack-pending", Kind.ORDER, "The answer to a resting order says PENDING instead of NEW."),
    Fault("ack-lacks-fill", Kind.ORDER, "The answer to a new order says NEW and nothing filled, whatever happened."),
)
_MATCH = (
    Fault("cancel-races-fill", Kind.MATCH, "An order fills just before its cancel comes, which is refused (109422)."),
    Fault("post-only-late", Kind.MATCH, "A post-only order that would take is accepted, then cancelled by a push."),
    Fault(
        "duplicate-code",
        Kind.MATCH,
        "The code of a client id that was used before.",
        (_word("code", "101481", "101400", "109201"),),
    ),
    Fault("leftover-expired", Kind.MATCH, "What a MARKET, IOC or FOK order leaves is EXPIRED instead of CANCELED."),
    Fault("oversize-refused", Kind.MATCH, "A reduce-only order above the position is refused (101290), not clipped."),
    Fault(
        "symbol-paused", Kind.MATCH, "No book, no orders, no topics: the contract is paused (status 25).", (_SYMBOL,)
    ),
)
_READ = (
    Fault(
        "lookup-lag", Kind.READ, "An order younger than `ms` does not exist to those who look for it.", (_ms(1_000),)
    ),
    Fault("history-lag", Kind.READ, "Orders, fills and income younger than `ms` are in no history.", (_ms(5_000),)),
    Fault("read-http", Kind.READ, "Answered with an HTTP error.", (_word("status", "504", "500", "502", "503"),)),
    Fault("read-busy", Kind.READ, "Answered with a code that says the venue was busy.", (_BUSY,)),
    Fault("read-late", Kind.READ, "Answered `ms` later, with what was true at the time of asking.", (_ms(1_000),)),
    Fault("read-never", Kind.READ, "Never answered; the connection stays open."),
    Fault("depth-worst-first", Kind.READ, "The asks of a book come worst first, as in older recordings."),
)
_ANY = (
    Fault("rate-limited", Kind.ANY, "Refused as one call too many.", (_word("code", "100410", "109429", "429"),)),
    Fault("banned", Kind.ANY, "HTTP 418: this address is banned."),
    Fault("firewall", Kind.ANY, "HTTP 403 from the firewall, as a page; sockets are refused the same way."),
    Fault("maintenance", Kind.ANY, "HTTP 503 to everything, and no new sockets."),
    Fault(
        "clock-skew",
        Kind.ANY,
        "The venue's clock is `ms` ahead of the true time (behind when negative), wherever it shows or is checked.",
        (Arg(name="ms", default="10000", whole=True, signed=True),),
    ),
    Fault("no-limits", Kind.ANY, "Not a fault: rate limits are not enforced."),
    Fault("form-encoded-signature", Kind.ANY, "A form's signature must cover the encoded bytes and nothing else."),
)
_PUSH = (
    Fault("push-drop", Kind.PUSH, "Lost."),
    Fault("push-duplicate", Kind.PUSH, "Sent twice."),
    Fault("push-late", Kind.PUSH, "Sent `ms` later, and overtaken by what follows.", (_ms(500),)),
    Fault("push-swap", Kind.PUSH, "Held until the next one was sent, or for `ms` if none comes.", (_ms(200),)),
    Fault("push-first", Kind.PUSH, "Pushes of a request go out `ms` before its answer.", (_ms(50),)),
    Fault("push-split", Kind.PUSH, "Of several sockets on one listen key each push goes to one only, in turn."),
    Fault("push-bare", Kind.PUSH, "Without last quantity and price, trade id and value: the shape of 2023."),
    Fault("push-no-client-id", Kind.PUSH, "With an empty client id."),
    Fault("push-short-name", Kind.PUSH, "Named TRADE_UPDATE instead of ORDER_TRADE_UPDATE."),
    Fault("push-id-text", Kind.PUSH, "With the order id as a string."),
    Fault("snapshot-noise", Kind.PUSH, "SNAPSHOT frames of balances and positions too, with every burst."),
)
_MARKET = (
    Fault("market-silent", Kind.MARKET, "Nothing is sent any more while pings go on; acks still come."),
    Fault("market-late", Kind.MARKET, "Sent `ms` late, in order.", (_ms(2_000),)),
    Fault("book-loss", Kind.MARKET, "An update is lost; the ids do not tell."),
    Fault("book-crossed", Kind.MARKET, "An update with a bid above the best ask."),
    Fault("ids-consecutive", Kind.MARKET, "Ids of updates go up by one instead of skipping."),
    Fault("ids-back", Kind.MARKET, "An update with an id that came before."),
    Fault("ids-repeat", Kind.MARKET, "An update that comes twice."),
    Fault("updates-first", Kind.MARKET, "An update comes before the snapshot of a new subscription."),
    Fault("stale-ticker", Kind.MARKET, "The first bookTicker frame is 22 minutes old, its bid above the live book."),
    Fault("topic-leak", Kind.MARKET, "A refused topic gets one frame of data all the same."),
    Fault("asks-best-first", Kind.MARKET, "Asks come best first instead of worst first."),
)
_SOCKET = (
    Fault("no-ping", Kind.SOCKET, "No pings, and no drop for want of answers; everything else goes on.", (_WHICH,)),
    Fault("zombie", Kind.SOCKET, "Pings go on and nothing else does, acks included.", (_WHICH,)),
    Fault("refuse-socket", Kind.SOCKET, "A new socket is refused with HTTP 403.", (_WHICH,)),
    Fault("key-dies-silently", Kind.SOCKET, "Listen keys end without an event: the socket stays, and says nothing."),
    Fault("listen-key-wrapped", Kind.SOCKET, "A new listen key comes in an envelope, as the pages of 2026 say."),
)
_AT_ONCE = (
    Fault(
        "drop-sockets",
        Kind.AT_ONCE,
        "Open sockets end: without a word, or with a close frame.",
        (_WHICH, _word("close", "no", "yes")),
    ),
    Fault("expire-listen-keys", Kind.AT_ONCE, "Every listen key that has a socket ends now, and is told so there."),
    Fault("forgive", Kind.AT_ONCE, "Not a fault: rate windows begin anew and bans are lifted."),
)

FAULTS: Mapping[str, Fault] = {
    fault.name: fault for fault in (*_ORDER, *_READ, *_ANY, *_MATCH, *_PUSH, *_MARKET, *_SOCKET, *_AT_ONCE)
}
"""By name, in the order of the page."""
