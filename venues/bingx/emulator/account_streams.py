"""The account socket: everything that happens to an account goes to every socket on a listen key of its.

Nothing is subscribed. On connect and every five seconds leverage and margin type of each contract come, one frame a
contract, as ACCOUNT_CONFIG_UPDATE and as SNAPSHOT. Pushes go out a moment after the answer of the request they stem
from. A socket whose key is unknown is told that it has expired. What becomes of a socket whose key expires is not
documented: here it stays, pings go on, and nothing else comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from sor.units import NS
from venues.bingx.emulator.events import (
    AccountChanged,
    BookChanged,
    ConfigChanged,
    Event,
    FundingSettled,
    ListenKeyExpired,
    MarkMoved,
    OrderChanged,
    TradePrinted,
)
from venues.bingx.emulator.exchange import Exchange
from venues.bingx.emulator.faults import Faults, Strike
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.render import Json, encode
from venues.bingx.emulator.render_account import (
    LATER_KEYS,
    account_push,
    config_push,
    expired_push,
    has_push,
    order_push,
    snapshot_push,
)
from venues.bingx.emulator.sockets import BAD_FRAME, Line, Sockets, packed
from venues.emulation.app import ServerSocket

BURST_NS = 5 * NS


class AccountLine(Line):
    """One account socket. account: whose, "" on a key that is not valid."""

    __slots__ = ("account", "listen_key", "streams")

    def __init__(self, socket: ServerSocket, streams: AccountStreams, listen_key: str, account: str) -> None:
        self.streams = streams
        self.listen_key = listen_key
        self.account = account
        super().__init__(socket, streams.sockets, which="account")

    def said(self, payload: bytes) -> None:
        """Nothing may be said here."""
        refusal = Refusal(BAD_FRAME, "invalid frame")
        self.say({"code": refusal.code, "msg": refusal.msg, "timestamp": self.streams.now_ms()})

    def gone(self) -> None:
        """It is over."""
        self.streams.forget(self)


class AccountStreams:
    """Every account socket, and what is on its way to them."""

    def __init__(self, exchange: Exchange, faults: Faults, sockets: Sockets, *, push_delay_ns: int) -> None:
        self.sockets = sockets
        self._exchange = exchange
        self._faults = faults
        self._delay_ns = push_delay_ns
        self._lines: dict[str, list[AccountLine]] = {}
        self._turn = 0
        self._held: list[tuple[str, bytes]] = []
        faults.on_switch("expire-listen-keys", self._expire)
        exchange.listen(self._hear)

    def now_ms(self) -> int:
        """The venue's clock."""
        return self._exchange.now_ms()

    def open(self, socket: ServerSocket, listen_key: str) -> AccountLine:
        """A new socket on a key, valid or not."""
        account = self._exchange.listen_keys.owner(listen_key) or ""
        line = AccountLine(socket, self, listen_key, account)
        if account:
            self._lines.setdefault(account, []).append(line)
            self._burst(line)
        else:
            line.say(expired_push(ListenKeyExpired(account="", at_ms=self.now_ms(), listen_key=listen_key)))
            line.end(with_close=True)
        return line

    def forget(self, line: AccountLine) -> None:
        """A socket is over."""
        lines = self._lines.get(line.account, [])
        if line in lines:
            lines.remove(line)

    # --- what goes out ------------------------------------------------------------------------------------------------

    def _burst(self, line: AccountLine) -> None:
        """Configuration of every contract, now and every five seconds."""
        if not line.is_open:
            return
        scheduler = self._exchange.scheduler
        scheduler.call_at(scheduler.now_ns() + BURST_NS, lambda: self._burst(line))
        if self._exchange.listen_keys.owner(line.listen_key) != line.account:
            return
        account = self._exchange.accounts[line.account]
        desk, now_ms = self._exchange.desk, self.now_ms()
        for symbol in self._exchange.pits:
            config = desk.config(account, symbol)
            line.say(config_push(config))
            line.say(config_push(config, "SNAPSHOT"))
        if self._faults.strikes("snapshot-noise", account=account.name):
            line.say(snapshot_push(desk.balance(account), desk.positions(account), now_ms))

    def _hear(self, event: Event) -> None:
        match event:
            case OrderChanged():
                if has_push(event) and self._lines.get(event.account):
                    on = f"ORDER_TRADE_UPDATE {event.did.value}"
                    self._push(event.account, self._order(event, on), on=on, symbol=event.order.symbol)
            case AccountChanged():
                if self._lines.get(event.account):
                    self._push(event.account, account_push(event), on=f"ACCOUNT_UPDATE {event.reason.value}")
            case ConfigChanged():
                if self._lines.get(event.account):
                    self._push(event.account, config_push(event), on="ACCOUNT_CONFIG_UPDATE", symbol=event.symbol)
            case ListenKeyExpired():
                self._expired(event)
            case TradePrinted() | BookChanged() | MarkMoved() | FundingSettled():
                pass
            case _:
                assert_never(event)

    def _order(self, event: OrderChanged, on: str) -> Mapping[str, Json]:
        """An order event in the shape that the faults give it."""
        message = order_push(event)
        told = message["o"]
        assert isinstance(told, dict)
        about = {"on": on, "account": event.account, "symbol": event.order.symbol}
        if self._faults.strikes("push-bare", **about):
            for key in LATER_KEYS:
                del told[key]
            told["T"] = 0
            del message["T"]
        if self._faults.strikes("push-no-client-id", **about):
            told["c"] = ""
        if self._faults.strikes("push-id-text", **about):
            told["i"] = str(told["i"])
        if self._faults.strikes("push-short-name", **about):
            message["e"] = "TRADE_UPDATE"
        return message

    def _push(self, account: str, message: Json, *, on: str, symbol: str = "") -> None:
        """Put one push on its way."""
        about = {"on": on, "account": account, "symbol": symbol}
        faults, scheduler = self._faults, self._exchange.scheduler
        if faults.strikes("push-drop", **about):
            return
        frame = packed(encode(message))
        due_ns = scheduler.now_ns() + self._delay_ns
        late = faults.strikes("push-late", **about)
        if late is not None:
            due_ns += late.ns()
        swap = faults.strikes("push-swap", **about)
        if swap is not None:
            scheduler.call_at(due_ns, lambda: self._hold(account, frame, swap.ns()))
            return
        copies = 2 if faults.strikes("push-duplicate", **about) else 1
        scheduler.call_at(due_ns, lambda: self._deliver(account, frame, copies=copies))

    def _hold(self, account: str, frame: bytes, at_most_ns: int) -> None:
        """Keep a push back until the next one has gone, or for this long."""
        scheduler = self._exchange.scheduler
        self._held.append((account, frame))
        scheduler.call_at(scheduler.now_ns() + at_most_ns, self._release)

    def _deliver(self, account: str, frame: bytes, *, copies: int) -> None:
        lines = [
            line
            for line in self._lines.get(account, [])
            if self._exchange.listen_keys.owner(line.listen_key) == account
        ]
        if len(lines) > 1 and self._faults.strikes("push-split", account=account):
            self._turn += 1
            lines = [lines[self._turn % len(lines)]]
        for line in lines:
            for _ in range(copies):
                line.send(frame)
        self._release()

    def _release(self) -> None:
        """Send what was held back until something else had been sent."""
        held, self._held = self._held, []
        for account, frame in held:
            self._deliver(account, frame, copies=1)

    # --- keys ---------------------------------------------------------------------------------------------------------

    def _expired(self, event: ListenKeyExpired) -> None:
        if self._faults.is_on("key-dies-silently", account=event.account):
            return
        frame = packed(encode(expired_push(event)))
        for line in self._lines.get(event.account, []):
            if line.listen_key == event.listen_key:
                line.send(frame)

    def _expire(self, strike: Strike) -> None:
        """Every key ends now, of those that have a socket."""
        wanted = strike.text("account")
        keys = [
            line.listen_key
            for account, lines in self._lines.items()
            for line in lines
            if not wanted or account == wanted
        ]
        for key in dict.fromkeys(keys):
            self._exchange.listen_keys.expire(key)
