"""One customer: wallet, positions, leverage, orders, and what was answered."""

from __future__ import annotations

from collections.abc import Iterator

from sor.orders import PositionSide
from sor.units import RATE_E8
from venues.bingx.emulator.events import MarginType
from venues.bingx.emulator.income import IncomeRow
from venues.bingx.emulator.money import atoms
from venues.bingx.emulator.orders import CustomerOrder, FillRow
from venues.bingx.emulator.positions import Position
from venues.bingx.emulator.recent import Recent
from venues.bingx.emulator.settings import AccountSettings
from venues.matching.orders import Account

_BOTH, _LONG, _SHORT = PositionSide.BOTH, PositionSide.LONG, PositionSide.SHORT


class TradingAccount:
    """One customer of the exchange.

    name, api_key, secret     as set up. user_id: a number, as BingX has them.
    hedge                     LONG and SHORT positions, else BOTH.
    maker_fee_e8, taker_fee_e8    its rates in 1e-8 of notional.
    opening_atoms             what it began with; deposited_atoms: what was put in since.
    wallet_atoms              both of these, realised profits and funding, less fees.
    orders                    every order ever accepted, by id; live: those that rest, oldest first.
    by_client_id              client ids, lower-case, burned for ever.
    submitted, canceled       client ids and order ids of the last second.
    countdown_no              number of the last cancelAllAfter; trigger_ms: when it fires, 0 while it is off.
    purging                   it has fired and is still cancelling.
    """

    def __init__(self, settings: AccountSettings, *, user_id: int, same_id_ms: int) -> None:
        self.name = settings.name
        self.api_key = settings.api_key
        self.secret = settings.secret
        self.user_id = user_id
        self.hedge = settings.hedge
        self.maker_fee_e8 = int(settings.maker_fee * RATE_E8)
        self.taker_fee_e8 = int(settings.taker_fee * RATE_E8)
        self.wallet_atoms = self.opening_atoms = atoms(settings.balance)
        self.deposited_atoms = 0
        self.fees_atoms = 0
        self.realised_atoms = 0
        self.funding_atoms = 0
        self.orders: dict[int, CustomerOrder] = {}
        self.live: dict[int, CustomerOrder] = {}
        self.by_client_id: dict[str, CustomerOrder] = {}
        self.fills: list[FillRow] = []
        self.income: list[IncomeRow] = []
        self.positions: dict[tuple[str, PositionSide], Position] = {}
        self.margin_types: dict[str, MarginType] = {}
        self.submitted = Recent(within_ms=same_id_ms)
        self.canceled = Recent(within_ms=same_id_ms)
        self.countdown_no = 0
        self.trigger_ms = 0
        self.purging = False
        self.n_accepted = 0
        self.n_duplicate = 0
        self.n_refused = 0
        self._leverage = settings.leverage
        self._leverages: dict[tuple[str, PositionSide], int] = {}

    def leverage(self, symbol: str, side: PositionSide) -> int:
        """Of LONG or of SHORT; in one-way mode both are the same."""
        return self._leverages.get((symbol, side), self._leverage)

    def set_leverage(self, symbol: str, side: PositionSide, leverage: int) -> None:
        """Of LONG, of SHORT, or of both for BOTH."""
        for one in (_LONG, _SHORT) if side is _BOTH else (side,):
            self._leverages[symbol, one] = leverage

    def margin_type(self, symbol: str) -> MarginType:
        """How margin is kept for a contract."""
        return self.margin_types.get(symbol, MarginType.CROSSED)

    def position(self, symbol: str, mode: PositionSide, *, unit_atoms: int) -> Position:
        """The position that an order of this side belongs to, made when it is first asked for."""
        position = self.positions.get((symbol, mode))
        if position is None:
            ledger = Account(
                f"{self.name}/{symbol}/{mode}",
                owner=self.name,
                maker_fee_e8=self.maker_fee_e8,
                taker_fee_e8=self.taker_fee_e8,
            )
            position = Position(symbol, mode, ledger, unit_atoms=unit_atoms)
            self.positions[symbol, mode] = position
        return position

    def held_lots(self, symbol: str, mode: PositionSide) -> int:
        """Signed lots of a position, 0 where there never was one."""
        position = self.positions.get((symbol, mode))
        return position.lots if position is not None else 0

    def live_in(self, symbol: str) -> Iterator[CustomerOrder]:
        """Live orders of one contract, or of all for "", oldest first."""
        return (order for order in self.live.values() if not symbol or order.contract_symbol == symbol)

    def in_use(self, symbol: str = "") -> bool:
        """Whether it has positions or live orders, in one contract or in any for ""."""
        if any(position.lots and symbol in {"", position.symbol} for position in self.positions.values()):
            return True
        return any(True for _ in self.live_in(symbol))
