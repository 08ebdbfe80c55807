"""From a request to its answer: limits, keys and signatures, the route, and what the faults make of both ways.

An answer is made in one place, `_judge`; everything before it is about a request that may never get so far, and
everything behind it about an answer that may never arrive.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sor.units import MS
from venues.bingx.emulator.calls import Call, Market, Plain
from venues.bingx.emulator.exchange import Exchange
from venues.bingx.emulator.faults import Faults, Strike
from venues.bingx.emulator.ledger import Ledger
from venues.bingx.emulator.limits import EXPIRE_HEADER, REMAIN_HEADER, Excess, Limits, Pass, Stop
from venues.bingx.emulator.parameters import SIGNATURE, Form, Parameters, Refused, read_parameters
from venues.bingx.emulator.refusals import SETTLING, Refusal
from venues.bingx.emulator.render import Json, enveloped, refusal_body
from venues.bingx.emulator.routes import BY_PLACE, PATHS, Route
from venues.bingx.emulator.signature import KEY_HEADER, ApiKey, Gate
from venues.emulation.app import Answer, Header, HttpReply, HttpRequest
from venues.emulation.faults import Reset

NO_PATH = 100400
NO_METHOD = 100404
LOOPBACK = "127.0.0.1"
_JSON: Header = (b"content-type", b"application/json")
_HTML: Header = (b"content-type", b"text/html")
_BUSY_TEXT = "The current system is busy, please try again later"


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request on its way. account: whose key stands in it, "" for nobody's."""

    request: HttpRequest
    route: Route
    where: str
    host: str
    key_name: str
    account: str
    left: Pass


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it would be without faults. done: it was carried out."""

    body: bytes
    status: int = 200
    done: bool = False
    symbol: str = ""


class Service:
    """The REST side of the emulator."""

    def __init__(self, exchange: Exchange, faults: Faults, limits: Limits, gate: Gate, ledger: Ledger) -> None:
        self._exchange = exchange
        self._faults = faults
        self._limits = limits
        self._gate = gate
        self._ledger = ledger

    def request(self, request: HttpRequest, answer: Answer) -> None:
        """Answer one request, now, later or never."""
        now_ns = self._exchange.scheduler.now_ns()
        key_name = text_of(request.header(KEY_HEADER.encode()))
        account = self._gate.owner(key_name)
        self._ledger.arrived(request, account=account, at_ns=now_ns)
        where = f"{request.method} {request.path}"
        stopped = self.stopped(where, account)
        if stopped is not None:
            answer(stopped)
            return
        route = BY_PLACE.get((request.method, request.path))
        if route is None:
            answer(_no_route(request))
            return
        host = host_of(request)
        rules = self._limits.rules
        left = self._limits.ask(
            host=host,
            account=account,
            endpoint=where,
            group=route.group,
            per_s=route.per_s_oldest if rules.oldest else route.per_s,
            now_ns=now_ns,
            shown=route.market is not None,
        )
        if isinstance(left, Stop):
            answer(self._excess(left, rules.excess))
            return
        asked = _Asked(
            request=request,
            route=route,
            where=where,
            host=host,
            key_name=key_name,
            account=account,
            left=left,
        )
        if not route.changes:
            self._read(asked, answer)
            return
        about = {"on": where, "account": account, "symbol": _symbol(request)}
        if self._faults.strikes("request-lost", **about):
            return
        late = self._faults.strikes("request-late", **about)
        if late is not None:
            self._later(late, lambda: self._change(asked, answer))
        else:
            self._change(asked, answer)

    def stopped(self, where: str, account: str) -> HttpReply | None:
        """What everybody is told while a fault shuts the venue."""
        faults = self._faults
        if faults.strikes("firewall", on=where, account=account):
            return _page(403, "<html><head><title>403 Forbidden</title></head><body>Request blocked.</body></html>")
        if faults.strikes("banned", on=where, account=account):
            return _banned()
        if faults.strikes("maintenance", on=where, account=account):
            return _page(503, "<html><head><title>503 Service Temporarily Unavailable</title></head></html>")
        limited = faults.strikes("rate-limited", on=where, account=account)
        if limited is not None:
            until_ns = self._exchange.scheduler.now_ns() + self._limits.rules.pause_ns
            return self._excess(Stop(until_ns=until_ns, banned=False), Excess(limited.text("code")))
        return None

    def _excess(self, stop: Stop, excess: Excess) -> HttpReply:
        if stop.banned:
            return _banned()
        text = (
            "The endpoint trigger frequency limit rule is currently in the disabled period and will be unblocked after "
            f"{stop.until_ns // MS}"
        )
        if excess is Excess.HTTP:
            return HttpReply(status=429, headers=(_JSON,), body=refusal_body(Refusal(429, text)))
        return HttpReply(headers=(_JSON,), body=refusal_body(Refusal(int(excess.value), text)))

    # --- what reads ---------------------------------------------------------------------------------------------------

    def _read(self, asked: _Asked, answer: Answer) -> None:
        faults = self._faults
        about = {"on": asked.where, "account": asked.account, "symbol": _symbol(asked.request)}
        if faults.strikes("read-never", **about):
            return
        status = faults.strikes("read-http", **about)
        if status is not None:
            answer(_gateway(status.whole("status")))
            return
        busy = faults.strikes("read-busy", **about)
        if busy is not None:
            answer(HttpReply(headers=(_JSON,), body=refusal_body(Refusal(busy.whole("code"), _BUSY_TEXT))))
            return
        reply = _reply(asked, self._judge(asked))
        late = faults.strikes("read-late", **about)
        if late is not None:
            self._later(late, lambda: answer(reply))
        else:
            answer(reply)

    # --- what changes something ---------------------------------------------------------------------------------------

    def _change(self, asked: _Asked, answer: Answer) -> None:
        faults = self._faults
        outcome = self._judge(asked)
        reply = _reply(asked, outcome)
        if not outcome.done:
            answer(reply)
            return
        about = {"on": asked.where, "account": asked.account, "symbol": outcome.symbol}
        if faults.strikes("answer-never", **about):
            return
        if faults.strikes("answer-reset", **about):
            answer(msgspec.structs.replace(reply, faults=(Reset(after_bytes=0),)))
            return
        status = faults.strikes("answer-http", **about)
        if status is not None:
            answer(_gateway(status.whole("status")))
            return
        busy = faults.strikes("answer-busy", **about)
        if busy is not None:
            answer(HttpReply(headers=(_JSON,), body=refusal_body(Refusal(busy.whole("code"), _BUSY_TEXT))))
            return
        if faults.strikes("answer-garbled", **about):
            answer(msgspec.structs.replace(reply, body=reply.body[: len(reply.body) // 2]))
            return
        late = faults.strikes("answer-late", **about) or faults.strikes("push-first", **about)
        if late is not None:
            self._later(late, lambda: answer(reply))
        else:
            answer(reply)

    def _later(self, strike: Strike, action: Callable[[], object]) -> None:
        scheduler = self._exchange.scheduler
        scheduler.call_at(scheduler.now_ns() + strike.ns(), action)

    # --- the answer itself --------------------------------------------------------------------------------------------

    def _judge(self, asked: _Asked) -> _Outcome:
        """Read, admit and carry out."""
        request, route = asked.request, asked.route
        try:
            said = read_parameters(
                method=request.method,
                query=text_of(request.query),
                body=request.body,
                content_type=text_of(request.header(b"content-type")),
            )
            if route.market is not None:
                data = route.market(Market(self._exchange, self._faults, said, where=asked.where))
            else:
                data = self._signed(asked, said)
        except Refused as error:
            return _Outcome(body=refusal_body(error.refusal))
        except _Refusing as error:
            return _Outcome(body=b"", status=error.status)
        symbol = said.text("symbol")
        if isinstance(data, Plain):
            return _Outcome(body=data.body, status=data.status, done=data.status == 200, symbol=symbol)
        return _Outcome(body=enveloped(data), done=True, symbol=symbol)

    def _signed(self, asked: _Asked, said: Parameters) -> Json | Plain:
        route = asked.route
        assert route.signed is not None
        if route.keyed and not said.text(SIGNATURE):
            key = self._gate.key(asked.key_name)
        else:
            key = self._admit(asked, said)
        account = self._exchange.accounts[key.account]
        if route.changes:
            self._refuse(asked, said)
        return route.signed(Call(self._exchange, self._faults, said, account, where=asked.where))

    def _admit(self, asked: _Asked, said: Parameters) -> ApiKey:
        if said.form is Form.FORM and self._faults.is_on("form-encoded-signature", on=asked.where):
            said = said.signed_as_encoded()
        return self._gate.admit(
            said,
            key_name=asked.key_name,
            host=asked.host,
            now_ns=self._exchange.scheduler.now_ns(),
            changes=asked.route.changes,
        )

    def _refuse(self, asked: _Asked, said: Parameters) -> None:
        """Raises what the faults refuse a change with, before anything is done."""
        faults = self._faults
        about = {"on": asked.where, "account": asked.account, "symbol": said.text("symbol")}
        busy = faults.strikes("refuse-busy", **about)
        if busy is not None:
            raise Refused(Refusal(busy.whole("code"), _BUSY_TEXT))
        status = faults.strikes("refuse-http", **about)
        if status is not None:
            raise _Refusing(status.whole("status"))
        if faults.strikes("settling", **about):
            raise Refused(SETTLING)
        if faults.strikes("risk-control", **about):
            raise Refused(Refusal(109403, "risk control forbids trading"))
        other = faults.strikes("refuse", **about)
        if other is not None:
            raise Refused(Refusal(other.whole("code"), "refused by a fault"))


class _Refusing(Exception):
    """An HTTP status instead of an answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _reply(asked: _Asked, outcome: _Outcome) -> HttpReply:
    if outcome.status >= 500:
        return _gateway(outcome.status)
    headers: tuple[Header, ...] = (_JSON,)
    if asked.route.market is not None:
        headers = (
            *headers,
            (REMAIN_HEADER.encode(), str(asked.left.remain).encode()),
            (EXPIRE_HEADER.encode(), str(asked.left.expire_ms).encode()),
        )
    return HttpReply(status=outcome.status, headers=headers, body=outcome.body)


def _no_route(request: HttpRequest) -> HttpReply:
    path = request.path
    if not path.startswith("/openApi/"):
        return _page(404, "<html><head><title>404 Not Found</title></head></html>")
    if path in PATHS:
        refusal = Refusal(NO_METHOD, f"the method {request.method} is not supported by this api")
    else:
        refusal = Refusal(NO_PATH, "this api is not exist, please refer to the API docs")
    return HttpReply(headers=(_JSON,), body=refusal_body(refusal))


def _banned() -> HttpReply:
    return HttpReply(status=418, headers=(_JSON,), body=refusal_body(Refusal(100410, "this address is banned")))


def _gateway(status: int) -> HttpReply:
    return _page(status, f"<html><head><title>{status}</title></head><body>CloudFront</body></html>")


def _page(status: int, text: str) -> HttpReply:
    return HttpReply(status=status, headers=(_HTML,), body=text.encode())


def _symbol(request: HttpRequest) -> str:
    """The symbol of a request that is not judged yet, as far as it stands in the query."""
    try:
        return read_parameters(method="GET", query=text_of(request.query), body=b"", content_type="").text("symbol")
    except Refused:
        return ""


def text_of(raw: bytes | None) -> str:
    """Bytes of a request line or header as text."""
    return raw.decode("latin-1") if raw is not None else ""


def host_of(request: HttpRequest) -> str:
    """The address a request counts for. All come from this machine; `X-Forwarded-For` lets a test be several."""
    return text_of(request.header(b"x-forwarded-for")) or LOOPBACK
