"""Topics of the market socket: which there are, and what they are about."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from venues.bingx.emulator.contracts import Contract
from venues.bingx.emulator.render_market import INTERVALS_MS

SNAPSHOT_DEPTHS = (5, 10, 20, 50, 100)
_FAST_MS, _SLOW_MS = 200, 500
_DEPTH = re.compile(r"depth(\d{1,4})(?:@(200|500)ms)?")


class Feed(StrEnum):
    """What a topic carries."""

    DEPTH = "depth"
    INCR_DEPTH = "incrDepth"
    TRADE = "trade"
    BOOK_TICKER = "bookTicker"
    MARK_PRICE = "markPrice"
    LAST_PRICE = "lastPrice"
    TICKER = "ticker"
    KLINE = "kline"


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic. name: as it was subscribed, which its frames repeat.

    levels, every_ms    of DEPTH. interval: of KLINE.
    """

    name: str
    symbol: str
    feed: Feed
    levels: int = 0
    every_ms: int = 0
    interval: str = ""


_PLAIN = {
    feed.value: feed
    for feed in (Feed.INCR_DEPTH, Feed.TRADE, Feed.BOOK_TICKER, Feed.MARK_PRICE, Feed.LAST_PRICE, Feed.TICKER)
}


def read_topic(name: str, contracts: dict[str, Contract]) -> Topic | None:
    """A topic by its name, None for one that BingX does not know (80015).

    The suffix of a depth is asked for and ignored: the large contracts come every 200 ms, the others every 500 ms;
    without one everything comes every 500 ms. Suffixes of before June 2025 are refused.
    """
    symbol, _, rest = name.partition("@")
    contract = contracts.get(symbol)
    if contract is None or not contract.trades:
        return None
    feed = _PLAIN.get(rest)
    if feed is not None:
        return Topic(name=name, symbol=symbol, feed=feed)
    if rest.startswith("kline_"):
        interval = rest.removeprefix("kline_")
        known = interval in INTERVALS_MS
        return Topic(name=name, symbol=symbol, feed=Feed.KLINE, interval=interval) if known else None
    match = _DEPTH.fullmatch(rest)
    if match is None or int(match[1]) not in SNAPSHOT_DEPTHS:
        return None
    fast = match[2] is not None and contract.book_ms <= _FAST_MS
    return Topic(
        name=name,
        symbol=symbol,
        feed=Feed.DEPTH,
        levels=int(match[1]),
        every_ms=_FAST_MS if fast else _SLOW_MS,
    )
