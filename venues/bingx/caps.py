"""What BingX offers, as data. Every figure says where it comes from; what is unverified errs on the safe side."""

from __future__ import annotations

from typing import Final

from sor.adapter import AckModel, AmendModel, Capabilities, DeadMan, ReduceOnly, SelfTrade
from sor.ids import ClOrdIdCodec
from sor.orders import PositionSide, Tif
from sor.units import MS, NS
from venues.bingx import endpoints, wire
from venues.bingx.listings import TradingRules
from venues.plumbing.client import ClientSettings

CLIENT_IDS: Final = ClOrdIdCodec(prefix="sor", separator="-", max_len=wire.CLIENT_ID_MAX)
"""1 to 40 characters. The server lower-cases them since 2024-07-22; one page says alphanumeric, ids with hyphens are
accepted live and on the demo. Ours are 22 characters, `sor` + epoch, `-`, parent, `-`, child and `e` or `x`."""

LOOKUP_LAG_NS: Final = 5 * NS
"""How soon after placement "does not exist" may be a lie is nowhere quantified; "a few seconds" is the advice."""

CLOCK_ERROR_NS: Final = ClientSettings().clock_error_ns_max
"""The client's own bound: signed with a clock that is known less well, nothing leaves. Usually it is far smaller, but
after a clock was set, the first sample alone says how large, and by so much later may an order still be accepted."""


def capabilities(
    *,
    hedge: bool,
    rules: TradingRules | None = None,
    orders_per_s: float = float(endpoints.PLACE.per_s),
    lookup_lag_ns: int = LOOKUP_LAG_NS,
    clock_error_ns: int = CLOCK_ERROR_NS,
    rtt_ns: int = 150 * MS,
    recv_window_ms: int = wire.RECV_WINDOW_MS,
    order_wait_ns: int = 0,
    reduce_only_flag: bool = True,
) -> Capabilities:
    """What a session can do.

    hedge           the account's position mode (`account.read_position_mode`): it decides how a position is reduced.
    rules           of the contract that is traded; of several, those with the loosest `market_ratio`, as it must hold
                    for each. None: no bound is known, and a taking order is an IOC at its collar.
    orders_per_s    5 is the smallest figure documented (2025-10), 10 the newest (2026-04).
    rtt_ns          to be measured; the origin is in Singapore.
    order_wait_ns   how long an order may wait here before it leaves with a timestamp of its own: by so much later may
                    it still arrive.
    reduce_only_flag    False: orders that close do not say so (B4).
    """
    return Capabilities(
        client_ids=CLIENT_IDS,
        tif=frozenset({Tif.GTC, Tif.IOC, Tif.FOK}),  # timeInForce of POST trade/order; there is no GTD
        post_only=True,  # timeInForce=PostOnly
        post_only_failure_async=True,  # 101215 in the answer, or a cancel afterwards: unverified, both are handled
        reduce_only=_reduce_only(hedge=hedge, flag=reduce_only_flag),
        amend=AmendModel.CANCEL_REPLACE,  # trade/amend changes the quantity only, cancelReplace is two steps
        amend_keeps_priority_on_size_down=False,  # nowhere said
        ack_model=AckModel.GATEWAY_ONLY,  # an ACK may show a fill and may show nothing
        query_by_client_id=True,
        lookup_lag_ns=lookup_lag_ns,
        receive_window_ns=recv_window_ms * MS + order_wait_ns,
        clock_error_ns=clock_error_ns,
        fills_lookup=True,  # fillHistory: seven days, 1000 rows
        dead_man=DeadMan.ACCOUNT,  # cancelAllAfter, 10 to 120 s; whether it spans all symbols is unverified
        self_trade=SelfTrade.ALLOWED,  # no parameter is documented
        position_modes=frozenset({PositionSide.LONG, PositionSide.SHORT} if hedge else {PositionSide.BOTH}),
        market_bound_bps=market_bound_bps(rules),
        marks=True,
        asks_while_down=True,  # the link is that of the account socket, requests go over HTTP
        venue_may_reprice=False,
        venue_may_resize=True,  # whether a reduce-only order that is too large is cut or refused is unverified
        orders_per_s=orders_per_s,
        cancels_per_s=float(endpoints.CANCEL.per_s),
        states_positions=True,  # a flat one is a row that is absent
        submit_rtt_ns=rtt_ns,
        cancel_rtt_ns=rtt_ns,
    )


def _reduce_only(*, hedge: bool, flag: bool) -> ReduceOnly:
    """In hedge mode the side of the position says it, and the flag is refused."""
    if hedge:
        return ReduceOnly.IMPLIED_BY_MODE
    return ReduceOnly.FLAG if flag else ReduceOnly.NONE


def market_bound_bps(rules: TradingRules | None) -> float | None:
    """How far from the mark BingX lets a MARKET order trade, None where it does not say.

    `marketRatio` is a fraction on every page that shows one. A ratio of 1 or more would be no bound at all and is read
    as none.
    """
    if rules is None or rules.market_ratio is None or not 0 < rules.market_ratio < 1:
        return None
    return float(rules.market_ratio * 10_000)
