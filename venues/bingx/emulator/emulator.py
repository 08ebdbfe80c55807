"""BingX on this machine, whole: an `App` for any carrier, and what `sor emulate bingx` serves.

In a test, under virtual time:

    app = BingxEmulator(scheduler)
    net = MemoryNet(Server(app, scheduler=scheduler, faults=app.byte_faults))

Two accounts are there, one in one-way and one in hedge mode, with public keys (`venues.bingx.environments`), and a
read-only key of the first. Time is the scheduler's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

import msgspec

from sor.adapter import Scheduler
from sor.emulation import FaultHelp, Ground, Serving
from sor.errors import CallerError
from sor.tape import Tape, open_tape
from sor.units import MS, NS
from venues.bingx.emulator.account_streams import AccountStreams
from venues.bingx.emulator.contracts import DEFAULTS, listed
from venues.bingx.emulator.control import PREFIX, Control
from venues.bingx.emulator.events import Event, MarkMoved
from venues.bingx.emulator.exchange import Exchange
from venues.bingx.emulator.fault_table import FAULTS
from venues.bingx.emulator.faults import Faults, fault_help, read_fault
from venues.bingx.emulator.ledger import Ledger
from venues.bingx.emulator.limits import LimitRules, Limits
from venues.bingx.emulator.market import start_tapes
from venues.bingx.emulator.market_streams import MarketStreams
from venues.bingx.emulator.market_tape import contract_of
from venues.bingx.emulator.orders import State
from venues.bingx.emulator.service import Service, text_of
from venues.bingx.emulator.settings import HEDGE, ONE_WAY, Settings
from venues.bingx.emulator.signature import ApiKey, Gate
from venues.bingx.emulator.sockets import Sockets, means
from venues.bingx.emulator.venue_clock import VenueClock
from venues.bingx.emulator.weather import BANS, WEATHER
from venues.bingx.environments import EMULATOR_NAMES, EMULATOR_PORT, Env
from venues.bingx.errors import RATE_PAUSE_NS
from venues.bingx.listings import VENUE
from venues.emulation.app import Answer, HttpReply, HttpRequest, ServerSocket, SocketHandler
from venues.emulation.faults import ByteFaults
from venues.emulation.link_tcp import serve_tcp
from venues.emulation.server import Server
from venues.matching.rules import Oversize

STREAM_PATH: Final = "/swap-market"
READ_ONLY_KEY: Final = "emulator-read-only-key"
READ_ONLY_SECRET: Final = "emulator-read-only-secret"
SOCKETS_MAX: Final = 60
"""Of one address, and all come from one."""


class EmulatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The emulator as it starts.

    keys             beside those of the accounts.
    push_delay_ns    from what happens to its push: after the answer of the request that caused it, and not by much.
    """

    exchange: Settings = Settings()
    limits: LimitRules = LimitRules()
    keys: tuple[ApiKey, ...] = (ApiKey(key=READ_ONLY_KEY, secret=READ_ONLY_SECRET, account=ONE_WAY.name, trades=False),)
    push_delay_ns: int = 2 * MS


class BingxEmulator:
    """One emulated BingX, an `App`. Its market is still to be started: `venues.bingx.emulator.market`.

    exchange      what trades. faults, byte_faults: what goes wrong. limits: what is allowed. ledger: what came in.
    """

    def __init__(
        self, scheduler: Scheduler, settings: EmulatorSettings | None = None, *, byte_faults: ByteFaults | None = None
    ) -> None:
        settings = settings or EmulatorSettings()
        self._clock = VenueClock(scheduler)
        self.exchange = Exchange(self._clock, settings.exchange)
        self.faults = Faults(scheduler.now_ns)
        self.byte_faults = byte_faults if byte_faults is not None else ByteFaults()
        self.limits = Limits(settings.limits)
        self.ledger = Ledger()
        own = [ApiKey(key=one.api_key, secret=one.secret, account=one.name) for one in settings.exchange.accounts]
        names = [one.name for one in settings.exchange.accounts]
        others = [key for key in settings.keys if key.account in names]
        self._sockets = Sockets(self._clock, self.faults)
        self._market = MarketStreams(self.exchange, self.faults, self._sockets)
        self._accounts = AccountStreams(self.exchange, self.faults, self._sockets, push_delay_ns=settings.push_delay_ns)
        self._service = Service(self.exchange, self.faults, self.limits, Gate((*own, *others)), self.ledger)
        self._control = Control(
            self.exchange,
            self.faults,
            self.byte_faults,
            self.ledger,
            self._sockets,
            true_time=scheduler,
            switch=self.switch,
        )
        self.faults.on_switch("forgive", lambda _: self.limits.forgive())
        self.exchange.listen(self._heartbeat)

    def switch(self, fault: str) -> None:
        """Switch a fault on or off. Raises `CallerError` for one that is not known; nothing has changed then."""
        if not self.byte_faults.switch(fault):
            self.faults.switch(fault)
            self._refresh()

    # --- as an App ----------------------------------------------------------------------------------------------------

    def request(self, request: HttpRequest, answer: Answer) -> None:
        """One request: of the control endpoint, or of BingX."""
        self._refresh()
        if request.path.startswith(PREFIX):
            answer(self._control.answer(request))
        else:
            self._service.request(request, answer)

    def socket(self, request: HttpRequest, socket: ServerSocket) -> SocketHandler | HttpReply:
        """A new socket: the account's with a listen key in its query, else the market's."""
        self._refresh()
        if request.path != STREAM_PATH:
            return HttpReply(status=404)
        listen_key = parse_qs(text_of(request.query)).get("listenKey", [""])[0]
        stopped = self._service.stopped(f"GET {STREAM_PATH}", "")
        if stopped is not None:
            return stopped
        refused = self.faults.is_on("refuse-socket")
        if refused is not None and means(refused, "account" if listen_key else "market"):
            return HttpReply(status=403)
        if len(self._sockets) >= SOCKETS_MAX:
            return HttpReply(status=429)
        return self._accounts.open(socket, listen_key) if listen_key else self._market.open(socket)

    # --- what lasts ---------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Let the faults that change how the exchange behaves begin or end."""
        skew = self.faults.is_on("clock-skew")
        self._clock.skew_ns = skew.ns() if skew is not None else 0
        self.limits.lifted = self.faults.is_on("no-limits") is not None
        switches, faults = self.exchange.switches, self.faults
        switches.skips_ids = faults.is_on("ids-consecutive") is None
        switches.leftover = State.EXPIRED if faults.is_on("leftover-expired") else State.CANCELED
        switches.reduce_oversize = Oversize.REFUSE if faults.is_on("oversize-refused") else Oversize.CLIP

    def _heartbeat(self, event: Event) -> None:
        if isinstance(event, MarkMoved):  # every second: for what ends by itself
            self._refresh()


# --- the command line -------------------------------------------------------------------------------------------------

OPTIONS: Final = ("synthetic", "tape", "symbol", "speed")
_ACCOUNTS: Final = {one.name: one for one in (ONE_WAY, HEDGE)}


class ServedEmulator:
    """An `Emulator` for the command line: remembers what was switched until it serves."""

    def __init__(self, *, seed: str, tape: Tape | None, symbols: tuple[str, ...], speed: float) -> None:
        self._seed = seed
        self._tape = tape
        self._symbols = symbols
        self._speed = speed
        self._switched: list[str] = []
        self._byte_faults = ByteFaults()
        self._app: BingxEmulator | None = None

    @property
    def port(self) -> int:
        """Where `env=emulator` of the adapter looks for it."""
        return EMULATOR_PORT

    @property
    def faults(self) -> tuple[FaultHelp, ...]:
        """Every fault it knows."""
        return fault_help()

    @property
    def weather(self) -> tuple[str, ...]:
        """What may go wrong at any moment while routers are killed."""
        return WEATHER

    @property
    def bans(self) -> tuple[str, ...]:
        """What BingX answers to who asks too much, or is thought to."""
        return BANS

    @property
    def banned_s_max(self) -> float:
        """What the adapter takes a ban to last."""
        return RATE_PAUSE_NS / NS

    @property
    def accounts(self) -> tuple[str, ...]:
        """One for each position mode."""
        return tuple(_ACCOUNTS)

    @property
    def calm(self) -> tuple[str, ...]:
        """Rate windows are forgotten: a router that is started again and again knows nothing of those before it."""
        return ("forgive",)

    def ground(self, serving: Serving, folder: Path, *, account: str) -> Ground:
        """The first contract, on that account."""
        contract = listed(self._symbols, defaults=DEFAULTS)[0].symbol
        customer = _ACCOUNTS[account]
        return Ground(
            options={
                "env": Env.EMULATOR.value,
                "url": serving.addresses["rest"],
                "symbols": contract,
                "leverage_cache": str(folder),
            },
            environment=dict(zip(EMULATOR_NAMES, (customer.api_key, customer.secret), strict=True)),
            symbol=contract,
            account=customer.name,
        )

    def switch(self, fault: str) -> None:
        """Switch a fault on or off, before it serves or while it does."""
        if self._app is not None:
            self._app.switch(fault)
        elif not self._byte_faults.switch(fault):
            if not fault.startswith("-"):
                read_fault(fault)
            elif fault[1:] not in FAULTS:
                raise CallerError(f"there is no fault {fault[1:]!r}; nothing was switched")
            self._switched.append(fault)

    async def serve(self, *, port: int, scheduler: Scheduler, started: Callable[[Serving], None]) -> None:
        """Serve on loopback until cancelled. Raises `CallerError` when the port cannot be had."""
        contracts = list(listed(self._symbols, defaults=DEFAULTS))
        tapes: dict[str, Tape] = {}
        if self._tape is not None:
            own = contract_of(self._tape)
            contracts = [one for one in contracts if one.symbol != own.symbol]
            contracts.insert(0, own)
            tapes[own.symbol] = self._tape
        app = BingxEmulator(
            scheduler,
            EmulatorSettings(exchange=Settings(seed=self._seed, contracts=tuple(contracts))),
            byte_faults=self._byte_faults,
        )
        for fault in self._switched:
            app.switch(fault)
        start_tapes(app.exchange, tapes, seed=self._seed, speed=self._speed)
        self._app = app
        server = Server(app, scheduler=scheduler, faults=self._byte_faults)
        try:
            await serve_tcp(server, port=port, started=lambda taken: started(_serving(app, taken)))
        finally:
            self._app = None


def _serving(app: BingxEmulator, port: int) -> Serving:
    accounts = app.exchange.settings.accounts
    notes = {f"key, {one.name}": f"{one.api_key} / {one.secret}" for one in accounts}
    notes["key, read only"] = f"{READ_ONLY_KEY} / {READ_ONLY_SECRET}"
    notes["symbols"] = ", ".join(app.exchange.pits)
    return Serving(
        venue=VENUE,
        port=port,
        addresses={
            "rest": f"http://127.0.0.1:{port}",
            "socket": f"ws://127.0.0.1:{port}{STREAM_PATH}",
            "control": f"http://127.0.0.1:{port}{PREFIX}",
        },
        notes=notes,
    )


def open_emulator(options: dict[str, str]) -> ServedEmulator:
    """The entry point. Raises `CallerError` for an option that it does not know or cannot use."""
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise CallerError(
            f"the BingX emulator has no option {unknown[0]!r}; it has {', '.join(OPTIONS)}; nothing was started"
        )
    try:
        speed = Decimal(options.get("speed", "1"))
    except ArithmeticError:
        speed = Decimal(0)
    if not (speed.is_finite() and 0 < speed <= 1_000):
        raise CallerError(
            f"option speed must be above 0 and at most 1000, not {options['speed']!r}; nothing was started"
        )
    symbols = tuple(name for name in options.get("symbol", "").split(",") if name)
    listed(symbols, defaults=DEFAULTS)  # so that a wrong one is told now
    tape = open_tape(Path(options["tape"])) if "tape" in options else None
    return ServedEmulator(seed=options.get("synthetic", "1"), tape=tape, symbols=symbols, speed=float(speed))
