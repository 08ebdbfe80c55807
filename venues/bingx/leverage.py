"""Leverage on BingX: the account's, per contract, and in hedge mode per side of the position.

Setting one costs a round trip, so what is in force is remembered (`venues.plumbing.leverage`), compared with BingX on
every connect, and kept up to date by what BingX pushes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from sor.adapter import LeverageSet
from sor.errors import NotSent, SorError
from sor.ids import Symbol
from sor.orders import PositionSide
from venues.bingx import wire
from venues.bingx.account import Leverage
from venues.bingx.listings import Listing
from venues.bingx.options import clamped
from venues.bingx.push import ConfigPush
from venues.bingx.rest import READ_WAIT_NS, SETTING_WAIT_NS
from venues.bingx.session import Session
from venues.plumbing.budget import Priority
from venues.plumbing.client import Trouble
from venues.plumbing.leverage import LeverageCache
from venues.plumbing.link_ask import Later

CHECKS_MAX: Final = 10
"""Contracts that are compared on a connect; of others nothing is taken for known."""
_log = logging.getLogger(__name__)


class AccountLeverage:
    """The leverages of one account. hedge: its position mode as of now."""

    def __init__(self, session: Session, cache: LeverageCache, *, hedge: Callable[[], bool]) -> None:
        self._session = session
        self._cache = cache
        self._hedge = hedge

    @property
    def _sides(self) -> tuple[PositionSide, ...]:
        return (PositionSide.LONG, PositionSide.SHORT) if self._hedge() else (PositionSide.BOTH,)

    async def set(self, symbol: Symbol, leverage: Decimal) -> LeverageSet:
        """See to it that this is in force, rounded down and within 1 and the cap (B4); in hedge mode on both sides.

        Raises `CallerError` when BingX refuses, `NotSent` or `InDoubt` when it could not be told.
        """
        whole = clamped(leverage, self._session.settings.leverage_cap)
        listing = self._session.listings.of(symbol)
        sent = False
        for side in self._sides:
            later: Later[bool | SorError] = Later()
            self._cache.wish(symbol, side, whole, post=self._poster(listing, side, whole), on_done=later.set)
            outcome = await later.wait()
            if isinstance(outcome, SorError):
                raise outcome
            sent = sent or outcome
        return LeverageSet(asked=leverage, in_force=whole, sent=sent)

    def _poster(
        self, listing: Listing, side: PositionSide, leverage: int
    ) -> Callable[[Callable[[int | SorError], None]], None]:
        def post(on_changed: Callable[[int | SorError], None]) -> None:
            def answered(answer: int | Trouble) -> None:
                on_changed(answer.error() if isinstance(answer, Trouble) else answer)

            session = self._session
            if session.closed:
                on_changed(NotSent("BingX is not connected; nothing was sent"))
                return
            rest = session.rest
            rest.call(
                rest.set_leverage,
                wire.set_leverage(listing, side, leverage),
                priority=Priority.OPEN,
                leave_by_ns=session.now_ns() + SETTING_WAIT_NS,
                on_answer=answered,
            )

        return post

    async def compare(self) -> None:
        """Hold what is remembered against BingX (B2); loud where it differs, never in the way."""
        session, cache = self._session, self._cache
        sides = self._sides
        asked: dict[Symbol, Later[Leverage | Trouble]] = {}
        for symbol, side in cache.entries():
            listing = session.listings.find(symbol)
            if side not in sides or listing is None or (symbol not in asked and len(asked) >= CHECKS_MAX):
                cache.forget(symbol, side)
            elif symbol not in asked:
                rest = session.rest
                asked[symbol] = rest.begin(
                    rest.leverage, wire.leverage(listing), leave_by_ns=session.now_ns() + READ_WAIT_NS
                )
        for symbol, later in asked.items():
            answer = await later.wait()
            for side in sides:
                if cache.known(symbol, side) is None:
                    continue
                if isinstance(answer, Trouble):
                    _log.warning("the leverage of %s could not be compared: %s %s", symbol, answer.code, answer.text)
                    cache.forget(symbol, side)
                    continue
                stated = _of(answer.long, answer.short, side)
                if stated is None:
                    cache.forget(symbol, side)
                    continue
                before = cache.found(symbol, side, stated)
                if before is not None:
                    _log.error(
                        "the leverage of %s (%s) is %d at BingX and was remembered as %d: somebody else has changed it",
                        symbol,
                        side.value,
                        stated,
                        before,
                    )

    def pushed(self, push: ConfigPush) -> None:
        """BingX states the leverages of a contract; it does so of hundreds, and of most nobody here wants to know."""
        listing = self._session.listings.known(push.venue_symbol)
        if listing is None:
            return
        symbol = listing.instrument.symbol
        for side in self._sides:
            if self._cache.follows(symbol, side):
                stated = _of(push.long_leverage, push.short_leverage, side)
                if stated is None:
                    self._cache.forget(symbol, side)
                else:
                    before = self._cache.pushed(symbol, side, stated)
                    if before is not None:
                        _log.warning("the leverage of %s was changed elsewhere from %d to %d", symbol, before, stated)


def _of(long: int, short: int, side: PositionSide) -> int | None:
    """The leverage of a side; None where it is not known. In one-way mode both sides have the same."""
    if side is PositionSide.BOTH:
        return long if long == short and long >= 1 else None
    found = long if side is PositionSide.LONG else short
    return found if found >= 1 else None
