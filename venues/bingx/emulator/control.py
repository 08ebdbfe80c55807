"""The control endpoint: on the emulator's own port, under a path that BingX does not have.

    GET    /_emulator/                 what there is
    GET    /_emulator/faults           known, on, and how often each struck
    POST   /_emulator/faults           {"switch": "NAME=ARGS"} or a list of them; all or none
    DELETE /_emulator/faults           all off
    GET    /_emulator/audit            the exchange's books, and every rule of them that is broken
    GET    /_emulator/requests         counts by endpoint and account, and arrivals (?path= only with this in it)
    DELETE /_emulator/requests         count anew
    GET    /_emulator/time             the true time and the venue's
    GET    /_emulator/sockets          how many are open
    POST   /_emulator/trade            {symbol, side, qty, price}: somebody takes that much at that price or better
    POST   /_emulator/order            {account, symbol, side, type, ...}: an order that no client of ours sent
    POST   /_emulator/force            {account, symbol, type}: LIQUIDATION or ADL closes its positions there
    POST   /_emulator/funding          {symbol}: funding is settled now
    POST   /_emulator/money            {account, amount}: money comes in by transfer, or goes out where it is negative

Answers are plain JSON; what cannot be done is HTTP 400 with {"error": one sentence}. Nothing here is signed: it
listens on loopback, and everything in it is invented.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from sor.adapter import Scheduler
from sor.errors import CallerError
from sor.orders import Side
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.audit import audit
from venues.bingx.emulator.exchange import Exchange
from venues.bingx.emulator.faults import Faults, fault_help, read_fault
from venues.bingx.emulator.ledger import Arrival, Count, Ledger
from venues.bingx.emulator.order_asks import read_ask
from venues.bingx.emulator.orders import Forced
from venues.bingx.emulator.parameters import Form, Parameters, Refused, read_parameters
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.sockets import Sockets
from venues.emulation.app import HttpReply, HttpRequest
from venues.emulation.faults import ByteFaults

PREFIX = "/_emulator/"

_MONEY_MAX = 12
"""Decimal places before and behind the point that an amount may have."""
_ENCODER = msgspec.json.Encoder(decimal_format="string")


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """What came in."""

    counts: list[Count]
    arrivals: list[Arrival]


class _Switch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    switch: str | list[str]


class _Trade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbol: str
    side: str
    qty: Decimal
    price: Decimal


class _Force(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: str
    symbol: str
    type: Forced


class _Symbol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbol: str


class _Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: str
    amount: Decimal


class Control:
    """The endpoint. `switch` takes a fault of any kind as it is written; `refresh` lets what lasts take effect."""

    def __init__(
        self,
        exchange: Exchange,
        faults: Faults,
        byte_faults: ByteFaults,
        ledger: Ledger,
        sockets: Sockets,
        *,
        true_time: Scheduler,
        switch: Callable[[str], None],
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._byte_faults = byte_faults
        self._ledger = ledger
        self._sockets = sockets
        self._true_time = true_time
        self._switch = switch
        self._ways: dict[tuple[str, str], Callable[[HttpRequest], object]] = {
            ("GET", ""): self._index,
            ("GET", "faults"): self._list_faults,
            ("POST", "faults"): self._switch_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "audit"): self._audit,
            ("GET", "requests"): self._requests,
            ("DELETE", "requests"): self._clear_requests,
            ("GET", "time"): self._time,
            ("GET", "sockets"): self._count_sockets,
            ("POST", "trade"): self._trade,
            ("POST", "order"): self._order,
            ("POST", "force"): self._force,
            ("POST", "funding"): self._funding,
            ("POST", "money"): self._money,
        }

    def answer(self, request: HttpRequest) -> HttpReply:
        """Answer one request."""
        way = self._ways.get((request.method, request.path.removeprefix(PREFIX)))
        if way is None:
            return _json(404, {"error": f"there is nothing at {request.method} {request.path}"})
        try:
            return _json(200, way(request))
        except (CallerError, msgspec.MsgspecError) as error:
            return _json(400, {"error": str(error)})
        except Refused as error:
            return _json(400, {"error": error.refusal.msg, "code": error.refusal.code})

    def _index(self, _request: HttpRequest) -> object:
        return [f"{method} {PREFIX}{name}" for method, name in self._ways]

    # --- faults -------------------------------------------------------------------------------------------------------

    def _list_faults(self, _request: HttpRequest) -> object:
        armed = [f"{one}" for one in self._byte_faults.armed]
        return {"known": fault_help(), "on": self._faults.active(), "struck": self._faults.struck(), "bytes": armed}

    def _switch_faults(self, request: HttpRequest) -> object:
        wanted = msgspec.json.decode(request.body, type=_Switch).switch
        texts = [wanted] if isinstance(wanted, str) else wanted
        for text in texts:  # all or none: what is wrong is found before anything is switched
            if not text.startswith("-") and text.partition("=")[0] not in _byte_names():
                read_fault(text)
        for text in texts:
            self._switch(text)
        return self._faults.active()

    def _clear_faults(self, _request: HttpRequest) -> object:
        for name in tuple(self._faults.active()):
            self._switch(f"-{name}")
        self._byte_faults.disarm()
        return {}

    # --- what there is ------------------------------------------------------------------------------------------------

    def _audit(self, _request: HttpRequest) -> object:
        return audit(self._exchange)

    def _requests(self, request: HttpRequest) -> object:
        return Requests(counts=self._ledger.counts(), arrivals=self._ledger.arrivals(path=_query(request).text("path")))

    def _clear_requests(self, _request: HttpRequest) -> object:
        self._ledger.clear()
        return {}

    def _time(self, _request: HttpRequest) -> object:
        return {"true_ns": self._true_time.now_ns(), "venue_ns": self._exchange.scheduler.now_ns()}

    def _count_sockets(self, _request: HttpRequest) -> object:
        return {which: self._sockets.count(which) for which in ("market", "account")}

    # --- what others do -----------------------------------------------------------------------------------------------

    def _trade(self, request: HttpRequest) -> object:
        wish = msgspec.json.decode(request.body, type=_Trade)
        if wish.side not in Side.__members__:
            raise CallerError(f"side must be BUY or SELL, not {wish.side!r}; nothing was traded")
        pit = self._exchange.pit(wish.symbol)
        if isinstance(pit, Refusal):
            raise Refused(pit)
        return {"traded": pit.trade_as_crowd(Side[wish.side], qty=wish.qty, price=wish.price)}

    def _account(self, name: str) -> TradingAccount:
        account = self._exchange.accounts.get(name)
        if account is None:
            raise CallerError(f"there is no account {name!r}; there are: {', '.join(self._exchange.accounts)}")
        return account

    def _order(self, request: HttpRequest) -> object:
        said = read_parameters(method="POST", query="", body=request.body, content_type="application/json")
        account = self._account(said.text("account"))
        ask, _ = read_ask(said)
        row = self._exchange.place(account, ask)
        if isinstance(row, Refusal):
            raise Refused(row)
        return row

    def _force(self, request: HttpRequest) -> object:
        wish = msgspec.json.decode(request.body, type=_Force)
        account = self._account(wish.account)
        if wish.type is Forced.NO:
            raise CallerError("type must be LIQUIDATION or ADL; nothing was closed")
        held = [one for one in account.positions.values() if one.lots and one.symbol == wish.symbol]
        rows = [self._exchange.force(account, one.position_id, wish.type) for one in held]
        for row in rows:
            if isinstance(row, Refusal):
                raise Refused(row)
        return rows

    def _funding(self, request: HttpRequest) -> object:
        symbol = msgspec.json.decode(request.body, type=_Symbol).symbol
        pit = self._exchange.pit(symbol)
        if isinstance(pit, Refusal):
            raise Refused(pit)
        self._exchange.settle_funding(symbol)
        return {}

    def _money(self, request: HttpRequest) -> object:
        wish = msgspec.json.decode(request.body, type=_Money)
        if not wish.amount.is_finite() or abs(wish.amount.adjusted()) > _MONEY_MAX:
            raise CallerError(f"amount {wish.amount} is no money; nothing was moved")
        return self._exchange.desk.top_up(self._account(wish.account), wish.amount)


def _byte_names() -> tuple[str, ...]:
    return tuple(one.name for one in ByteFaults().help)


def _query(request: HttpRequest) -> Parameters:
    if not request.query:
        return Parameters((), form=Form.QUERY, signed=())
    return read_parameters(method="GET", query=request.query.decode("latin-1"), body=b"", content_type="")


def _json(status: int, value: object) -> HttpReply:
    return HttpReply(status=status, headers=((b"content-type", b"application/json"),), body=_ENCODER.encode(value))
