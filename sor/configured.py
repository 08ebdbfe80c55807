"""The venues and the account that a router was given, and what is refused because of them."""

from __future__ import annotations

from collections.abc import Sequence

from sor.adapter import Keyed, Selective, Situated, VenueAdapter
from sor.dispatch import identity_of
from sor.errors import CallerError
from sor.ids import VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.intake import admit
from sor.orders import ParentOrder
from sor.parent import Parent
from sor.router import Core
from sor.settings import Settings


class Configured:
    """Where this router trades: its venues, in the order in which they were given, and one account on each."""

    def __init__(self, adapters: Sequence[VenueAdapter], settings: Settings) -> None:
        self.adapters = tuple(adapters)
        self.account = settings.account
        self._environment = settings.environment

    def adapter(self, venue: VenueName) -> VenueAdapter:
        """The adapter of a venue. Raises `CallerError` for one that is not configured."""
        for adapter in self.adapters:
            if adapter.name == venue:
                return adapter
        known = ", ".join(adapter.name for adapter in self.adapters)
        raise CallerError(f"venue {venue!r} is not configured. Configured: {known}")

    def check_start(self) -> None:
        """Raises `CallerError` for a venue that is not in the environment of the journal (B7), or has not its keys."""
        said = self._environment.value
        for adapter in self.adapters:
            if isinstance(adapter, Situated) and adapter.environment != said:
                raise CallerError(
                    f"orders on {adapter.name} would be {adapter.environment}, and this router's are to be {said}; "
                    "nothing was started. Say in its settings which environment is meant: demo and live never mix"
                )
        for adapter in self.adapters:
            if isinstance(adapter, Keyed):
                adapter.check_keys()  # before a journal is made that nobody will use

    def check_account(self, core: Core, adapter: VenueAdapter) -> None:
        """Raises `CallerError` for a venue that is connected with another account than that of its orders here."""
        stranger = core.stranger(adapter.name, identity_of(adapter))
        if stranger:
            raise CallerError(
                f"{stranger}. They would not be found there and count as never sent, so nothing was looked up and "
                "nothing was sent. Start with the keys of that account until they have ended, or use another journal "
                "for this one; if it is the same account under another name, say so (`same_accounts`, `--same-account`)"
            )

    def check_at_work(self, core: Core) -> None:
        """Raises `CallerError` when the journal has parents at work where this router does not trade."""
        names = [adapter.name for adapter in self.adapters]
        for parent in core.parents.at_work.values():
            if parent.venue in names and parent.order.account == self.account:
                continue
            raise CallerError(
                f"parent {parent.id!r} of this journal is at work on {parent.venue}, account {parent.order.account!r}, "
                f"which is not configured; nothing was started. Configured: {', '.join(names)}, "
                f"account {self.account!r}"
            )

    def admit(self, core: Core, order: ParentOrder) -> VenueName | Parent:
        """Check an order as `intake.admit` does, and that it is for the account that these venues trade."""
        mine = self.account
        if order.account != mine:
            raise CallerError(f"account {order.account!r} is not traded here; nothing was sent. This is {mine!r}")
        self.check_tradable(core, order.symbol)
        return admit(core, order)

    def check_tradable(self, core: Core, spelling: str) -> None:
        """Raises `CallerError`, with the reason, for a symbol that a venue lists and does not let be traded now."""
        symbol = canonical_symbol(spelling)
        if any((adapter.name, symbol) in core.in_force.instruments for adapter in self.adapters):
            return
        for adapter in self.adapters:
            why = adapter.why_not(symbol) if isinstance(adapter, Selective) else ""
            if why:
                raise CallerError(f"{spelling!r} cannot be traded on {adapter.name} now: {why}; nothing was sent")

    def watched(self, core: Core, spelling: str) -> Instrument:
        """The instrument to watch: on the first venue that lists it. Raises `CallerError` where none does."""
        symbol = canonical_symbol(spelling)
        for adapter in self.adapters:
            instrument = core.in_force.instruments.get((adapter.name, symbol))
            if instrument is not None:
                return instrument
        raise CallerError(f"{spelling!r}, which is to be watched, is listed on no venue; nothing was started")
