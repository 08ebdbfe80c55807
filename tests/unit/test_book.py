"""The book: what is applied, what is trusted, and each feature against numbers worked by hand."""

import doctest
import re
from math import sqrt
from pathlib import Path

import pytest

from sor.book import Book
from sor.features import FEATURE_NAMES, Features
from sor.ids import Symbol, VenueName
from sor.market import BookReset, BookUpdate, Level, MarketView, MarkUpdate, TradePrint, Trust
from sor.orders import Side
from sor.units import MS, NS

VENUE = VenueName("acme")
SYMBOL = Symbol("BTCUSDT")
T0 = 1_000 * NS + 250 * MS


def book() -> Book:
    return Book(venue=VENUE, symbol=SYMBOL)


def update(
    now_ns: int,
    *,
    bids: tuple[Level, ...] = (),
    asks: tuple[Level, ...] = (),
    snapshot: bool = False,
    seq: int = -1,
    prev_seq: int = -1,
) -> BookUpdate:
    return BookUpdate(
        symbol=SYMBOL,
        bids=bids,
        asks=asks,
        venue_ns=now_ns - 7,
        recv_ns=now_ns,
        snapshot=snapshot,
        seq=seq,
        prev_seq=prev_seq,
    )


def whole(now_ns: int = T0, *, seq: int = -1) -> BookUpdate:
    """Bids 100 x 5, 99 x 7; asks 102 x 3, 103 x 4."""
    return update(now_ns, bids=((100, 5), (99, 7)), asks=((102, 3), (103, 4)), snapshot=True, seq=seq)


def trade(now_ns: int, side: Side, lots: int) -> TradePrint:
    return TradePrint(symbol=SYMBOL, side=side, price_ticks=100, qty_lots=lots, venue_ns=now_ns, recv_ns=now_ns)


def features(of: Book, now_ns: int) -> Features:
    found = of.view(now_ns).features
    assert found is not None
    return found


# --- levels ---------------------------------------------------------------------------------------------------------


def test_a_view_of_a_fresh_book_is_empty() -> None:
    assert book().view(T0) == MarketView(VENUE, SYMBOL, Trust.EMPTY, 0, 0, (), (), None, None)


def test_updates_before_the_first_snapshot_are_nothing() -> None:
    it = book()
    it.apply(update(T0, bids=((100, 5),), asks=((102, 3),)))
    it.trade(trade(T0, Side.BUY, 1))
    assert it.view(T0) == MarketView(VENUE, SYMBOL, Trust.EMPTY, 0, 0, (), (), None, None)


def test_levels_are_set_replaced_and_removed() -> None:
    it = book()
    it.apply(whole())
    it.apply(update(T0 + 1, bids=((101, 2), (99, 8), (98, 0)), asks=((102, 0), (104, 6))))
    view = it.view(T0 + 1)
    assert view.bids == ((101, 2), (100, 5), (99, 8))
    assert view.asks == ((103, 4), (104, 6))
    assert (view.trust, view.venue_ns, view.recv_ns) == (Trust.OK, T0 - 6, T0 + 1)


def test_the_last_word_on_a_level_counts() -> None:
    it = book()
    it.apply(whole())
    it.apply(update(T0 + 1, bids=((100, 9), (100, 0), (100, 6))))
    assert it.view(T0 + 1).bids == ((100, 6), (99, 7))


def test_a_snapshot_may_come_worst_first_and_replaces_everything() -> None:
    it = book()
    it.apply(whole())
    it.view(T0)
    it.apply(update(T0 + 1, bids=((90, 1), (91, 2)), asks=((95, 4), (94, 3), (93, 0)), snapshot=True))
    view = it.view(T0 + 1)
    assert (view.bids, view.asks) == (((91, 2), (90, 1)), ((94, 3), (95, 4)))


def test_a_view_holds_ten_levels_and_the_eleventh_moves_up() -> None:
    it = book()
    bids = tuple((100 - i, i + 1) for i in range(12))
    asks = tuple((102 + i, i + 1) for i in range(12))
    it.apply(update(T0, bids=bids, asks=asks, snapshot=True))
    assert (it.view(T0).bids, it.view(T0).asks) == (bids[:10], asks[:10])
    it.apply(update(T0, bids=((95, 0),), asks=((91, 0), (102, 0), (113, 99))))
    assert it.view(T0).bids == (*bids[:5], *bids[6:11])
    assert it.view(T0).asks == asks[1:11]
    it.apply(update(T0, bids=((89, 50),)))  # the twelfth is out of sight
    assert it.view(T0).bids == (*bids[:5], *bids[6:11])


def test_a_view_is_made_once_while_nothing_happens() -> None:
    it = book()
    it.apply(whole())
    view = it.view(T0 + 5)
    assert it.view(T0 + 5) is view
    it.mark(MarkUpdate(symbol=SYMBOL, mark_ticks=101.25, venue_ns=T0, recv_ns=T0 + 5))
    assert it.view(T0 + 5).mark_ticks == 101.25


# --- trust ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bid", [102, 103, 110])
def test_crossed_or_locked_until_sound_again(bid: int) -> None:
    it = book()
    it.apply(whole())
    it.apply(update(T0 + 1, bids=((bid, 1),)))
    view = it.view(T0 + 1)
    assert (view.trust, view.features, view.bids[0], it.mid_hticks()) == (Trust.CROSSED, None, (bid, 1), 0)
    it.apply(update(T0 + 2, bids=((bid, 0),)))
    assert it.view(T0 + 2).trust is Trust.OK
    assert it.mid_hticks() == 202


def test_a_book_without_a_side_is_empty() -> None:
    it = book()
    it.apply(whole())
    it.apply(update(T0 + 1, asks=((102, 0), (103, 0))))
    view = it.view(T0 + 1)
    assert (view.trust, view.bids, view.asks, view.features) == (Trust.EMPTY, ((100, 5), (99, 7)), (), None)
    assert (it.bid_ticks, it.ask_ticks, it.mid_hticks()) == (100, 0, 0)


@pytest.mark.parametrize(
    ("ids", "trust", "bid_lots"),
    [
        # (prev_seq, seq) after a snapshot with id 50; every update sets the bid at 100 to its number.
        ([(50, 55), (55, 60)], Trust.OK, 2),
        ([(48, 52), (52, 53)], Trust.OK, 2),  # the first begins before the snapshot and ends after it
        ([(40, 45), (45, 50), (50, 55)], Trust.OK, 3),  # older than the snapshot: dropped
        ([(50, 55), (50, 55), (55, 60)], Trust.OK, 3),  # told twice
        ([(50, 3), (3, 9)], Trust.OK, 2),  # the venue's ids begin anew, the chain holds
        ([(51, 55)], Trust.GAP, 5),
        ([(50, 55), (54, 60)], Trust.GAP, 1),  # only the first after a snapshot may overlap
        ([(50, 55), (56, 60), (60, 61)], Trust.GAP, 1),
        ([(-1, 51), (-1, 58), (-1, 59)], Trust.OK, 3),  # no chain: ids may skip
        ([(-1, 49), (-1, 50), (-1, 52)], Trust.OK, 3),
        ([(-1, 52), (-1, 52)], Trust.GAP, 1),  # no chain, and an id came again
        ([(-1, -1), (-1, -1)], Trust.OK, 2),
    ],
)
def test_the_chain(ids: list[tuple[int, int]], trust: Trust, bid_lots: int) -> None:
    it = book()
    it.apply(whole(seq=50))
    for number, (prev_seq, seq) in enumerate(ids, start=1):
        it.apply(update(T0 + number, bids=((100, number),), seq=seq, prev_seq=prev_seq))
    view = it.view(T0 + 9)
    assert (view.trust, view.bids[0]) == (trust, (100, bid_lots))
    it.apply(whole(T0 + 10, seq=200))
    assert it.view(T0 + 10).trust is Trust.OK


def test_a_chain_cannot_begin_at_a_snapshot_without_an_id() -> None:
    it = book()
    it.apply(whole())
    it.apply(update(T0 + 1, bids=((101, 1),), seq=8, prev_seq=7))
    assert it.view(T0 + 1).trust is Trust.GAP


def test_in_a_gap_nothing_is_applied_and_the_age_grows() -> None:
    it = book()
    it.apply(whole(seq=50))
    it.apply(update(T0 + 1, bids=((101, 1),), seq=60, prev_seq=59))
    it.apply(update(T0 + 2, bids=((101, 2),), seq=61, prev_seq=60))
    view = it.view(T0 + 2)
    assert (view.trust, view.bids, view.recv_ns, view.features) == (Trust.GAP, ((100, 5), (99, 7)), T0, None)


def test_a_reset_is_a_gap_and_forgets_the_mark() -> None:
    it = book()
    it.mark(MarkUpdate(symbol=SYMBOL, mark_ticks=101.25, venue_ns=T0, recv_ns=T0))
    it.reset(BookReset(symbol=SYMBOL, recv_ns=T0))
    assert (it.view(T0).trust, it.view(T0).mark_ticks) == (Trust.EMPTY, None)
    it.apply(whole())
    it.mark(MarkUpdate(symbol=SYMBOL, mark_ticks=101.25, venue_ns=T0, recv_ns=T0))
    it.reset(BookReset(symbol=SYMBOL, recv_ns=T0 + 1))
    assert (it.view(T0 + 1).trust, it.view(T0 + 1).mark_ticks) == (Trust.GAP, None)


def test_funding_is_what_was_last_said_of_it() -> None:
    it = book()
    it.apply(whole())
    assert (it.view(T0).funding_ns, it.view(T0).funding_rate) == (0, None)
    said = MarkUpdate(
        symbol=SYMBOL, mark_ticks=101.0, venue_ns=T0, recv_ns=T0, funding_ns=T0 + 3_600 * NS, funding_rate=-0.0002
    )
    it.mark(said)
    it.mark(MarkUpdate(symbol=SYMBOL, mark_ticks=101.5, venue_ns=T0, recv_ns=T0))  # a push that knows of no funding
    seen = it.view(T0)
    assert (seen.mark_ticks, seen.funding_ns, seen.funding_rate) == (101.5, T0 + 3_600 * NS, -0.0002)


# --- features -------------------------------------------------------------------------------------------------------


def test_every_feature_by_hand() -> None:
    it = book()
    it.apply(whole())  # mid 101
    it.trade(trade(T0 + 1 * NS, Side.BUY, 6))
    it.trade(trade(T0 + 2 * NS, Side.SELL, 3))
    it.apply(update(T0 + 3 * NS, bids=((101, 4),)))  # bid up: +4; mid 101.5
    it.apply(update(T0 + 3 * NS, asks=((102, 9),)))  # ask grows by 6: -6
    assert features(it, T0 + 4 * NS) == Features(
        mid_hticks=203,
        spread_ticks=1,
        spread_bps=1e4 / 101.5,
        bid_touch_lots=4,
        ask_touch_lots=9,
        bid_near_lots=0,  # 5 bps of 101.5 ticks is a twentieth of one
        ask_near_lots=0,
        imbalance=4 / 13,
        micro_ticks=101 + 4 / 13,
        buy_flow=6 / 4.0,
        sell_flow=3 / 4.0,
        ofi_lots=-2,
        best_moves_per_s=1 / 4.0,
        # At 1001, 1002 and 1003 s the mid was 202 half-ticks, at 1004 s it was 203: changes 0, 0, 1.
        volatility=1e4 * sqrt(1 / 3) / 203,
        window_s=4.0,
        ofi_1s_lots=0,  # what came at 1003 s is a second old, and no longer in
        buy_flow_1s=0.0,
        sell_flow_1s=0.0,
        buy_trades_per_s=1 / 4.0,
        sell_trades_per_s=1 / 4.0,
    )


def test_features_one_by_one_are_those_of_the_view() -> None:
    it = book()
    it.apply(update(T0, bids=((20_000, 5), (19_999, 2)), asks=((20_001, 3), (20_009, 4)), snapshot=True))
    it.trade(trade(T0 + 1 * NS, Side.BUY, 6))
    it.trade(trade(T0 + 2 * NS, Side.SELL, 5))
    it.apply(update(T0 + 3 * NS, bids=((20_000, 0),)))
    for now_ns in (T0 + 3 * NS, T0 + 12 * NS):
        one_by_one = [it.feature(name, now_ns) for name in FEATURE_NAMES]
        assert Features(*one_by_one) == features(it, now_ns)  # type: ignore[arg-type]
    it.reset(BookReset(symbol=SYMBOL, recv_ns=T0 + 12 * NS))
    assert [it.feature(name, T0 + 12 * NS) for name in FEATURE_NAMES] == [None] * len(FEATURE_NAMES)


@pytest.mark.parametrize(
    ("bids", "asks", "near"),
    [
        # Mid 20 000 ticks: 5 bps are exactly 10 ticks, and a level on the edge is in.
        (((19_999, 1), (19_990, 2), (19_989, 4)), ((20_001, 1), (20_010, 2), (20_011, 4)), (3, 3)),
        # Mid 20 000.5: from 19 990.49975 to 20 010.50025.
        (((20_000, 1), (19_991, 2), (19_990, 4)), ((20_001, 1), (20_010, 2), (20_011, 4)), (3, 3)),
        # A spread of more than 10 bps has nothing near.
        (((19_980, 1),), ((20_020, 1),), (0, 0)),
    ],
)
def test_depth_near_the_mid(bids: tuple[Level, ...], asks: tuple[Level, ...], near: tuple[int, int]) -> None:
    it = book()
    it.apply(update(T0, bids=bids, asks=asks, snapshot=True))
    found = features(it, T0)
    assert (found.bid_near_lots, found.ask_near_lots) == near


def test_depth_near_the_mid_follows_changes_and_moves() -> None:
    it = book()
    bids = tuple((20_000 - i, 1 << i) for i in range(16))
    it.apply(update(T0, bids=bids, asks=((20_002, 1), (20_030, 8)), snapshot=True))
    assert features(it, T0).bid_near_lots == (1 << 10) - 1  # mid 20 001, from 19 990.9995: 20 000 .. 19 991
    it.apply(update(T0, bids=((19_995, 1_000), (19_991, 0), (19_985, 7))))
    assert features(it, T0).bid_near_lots == (1 << 9) - 1 - 32 + 1_000
    it.apply(update(T0, bids=((20_000, 0), (19_999, 0)), asks=((19_999, 5),)))  # mid 19 998.5, from 19 988.50
    assert features(it, T0).bid_near_lots == sum(1 << i for i in (2, 3, 4, 6, 7, 8, 10, 11)) + 1_000
    assert features(it, T0).ask_near_lots == 6
    it.apply(update(T0, asks=((20_002, 0), (19_999, 0))))  # mid (19 998 + 20 030) / 2: 16 ticks away
    assert (features(it, T0).bid_near_lots, features(it, T0).ask_near_lots) == (0, 0)


@pytest.mark.parametrize(
    ("change", "ofi_lots", "moves"),
    [
        (update(T0 + 1, bids=((100, 9),)), 4, 0),  # bid grows by 4
        (update(T0 + 1, bids=((100, 2),)), -3, 0),
        (update(T0 + 1, bids=((101, 6),)), 6, 1),  # bid up: all of the new one
        (update(T0 + 1, bids=((100, 0),)), -5, 1),  # bid down: all of the old one
        (update(T0 + 1, asks=((102, 5),)), -2, 0),
        (update(T0 + 1, asks=((102, 1),)), 2, 0),
        (update(T0 + 1, asks=((101, 6),)), -6, 1),
        (update(T0 + 1, asks=((102, 0),)), 3, 1),
        (update(T0 + 1, bids=((101, 6),), asks=((102, 0),)), 9, 2),
        (update(T0 + 1, bids=((99, 1),), asks=((103, 1),)), 0, 0),  # behind the touch
        (update(T0 + 1, bids=((101, 1), (100, 1)), asks=((102, 3),), snapshot=True), 1, 1),
    ],
)
def test_order_flow_imbalance_and_moves(change: BookUpdate, ofi_lots: int, moves: int) -> None:
    it = book()
    it.apply(whole())
    it.apply(change)
    assert features(it, T0 + 1 * NS).ofi_lots == ofi_lots
    assert features(it, T0 + 1 * NS).best_moves_per_s == moves


def test_a_crossed_moment_is_stepped_over() -> None:
    it = book()
    it.apply(whole())
    it.apply(update(T0 + 1, bids=((102, 50),)))
    it.apply(update(T0 + 2, bids=((102, 0), (101, 6))))
    assert (features(it, T0 + 1 * NS).ofi_lots, features(it, T0 + 1 * NS).best_moves_per_s) == (6, 1.0)


def test_windows_are_half_open() -> None:
    it = book()
    it.apply(whole())
    it.trade(trade(T0 + 1 * NS, Side.BUY, 30))
    it.apply(update(T0 + 1 * NS, bids=((101, 8),)))
    last = features(it, T0 + 11 * NS - 1)
    assert (last.buy_flow, last.ofi_lots, last.best_moves_per_s, last.window_s) == (3.0, 8, 0.1, 10.0)
    gone = features(it, T0 + 11 * NS)
    assert (gone.buy_flow, gone.ofi_lots, gone.best_moves_per_s, gone.window_s) == (0.0, 0, 0.0, 10.0)
    assert (last.buy_trades_per_s, gone.buy_trades_per_s) == (0.1, 0.0)


def test_the_short_window_is_half_open_too() -> None:
    it = book()
    it.apply(whole())
    it.trade(trade(T0 + 1 * NS, Side.SELL, 30))
    it.trade(trade(T0 + 1_500 * MS, Side.SELL, 2))
    it.trade(trade(T0 + 1_500 * MS, Side.BUY, 7))
    it.apply(update(T0 + 1_500 * MS, bids=((101, 8),)))
    it.apply(update(T0 + 1_600 * MS, bids=((101, 5),)))

    def short(now_ns: int) -> tuple[int, float, float]:
        found = features(it, now_ns)
        return found.ofi_1s_lots, found.buy_flow_1s, found.sell_flow_1s

    assert short(T0 + 1_600 * MS) == (5, 7.0, 32.0)
    assert short(T0 + 2 * NS - 1) == (5, 7.0, 32.0)
    assert short(T0 + 2 * NS) == (5, 7.0, 2.0)
    assert short(T0 + 2_500 * MS) == (-3, 0.0, 0.0)
    assert short(T0 + 2_600 * MS) == (0, 0.0, 0.0)
    assert (features(it, T0 + 4 * NS).ofi_lots, features(it, T0 + 4 * NS).sell_trades_per_s) == (5, 0.5)
    it.apply(update(T0 + 20 * NS, bids=((101, 6),)))  # and after the long window has emptied
    assert short(T0 + 20 * NS) == (1, 0.0, 0.0)


def test_windows_are_left_as_events_come() -> None:
    it = book()
    it.apply(whole())
    for number in range(100):
        it.trade(trade(T0 + number * NS, Side.SELL, 1))
        it.apply(update(T0 + number * NS, bids=((100, 6 + number),)))
    found = features(it, T0 + 99 * NS)
    assert (found.sell_flow, found.ofi_lots) == (1.0, 10)


def test_rates_divide_by_a_second_at_least() -> None:
    it = book()
    it.apply(whole())
    it.trade(trade(T0 + 1 * MS, Side.BUY, 5))
    assert (features(it, T0 + 2 * MS).buy_flow, features(it, T0 + 2 * MS).window_s) == (5.0, 0.002)
    assert features(it, T0 + 2 * NS).buy_flow == 2.5


def test_windows_start_afresh_after_a_gap() -> None:
    it = book()
    it.apply(whole())
    it.trade(trade(T0 + 1 * NS, Side.BUY, 5))
    it.apply(update(T0 + 1 * NS, bids=((101, 8),)))
    it.reset(BookReset(symbol=SYMBOL, recv_ns=T0 + 2 * NS))
    it.trade(trade(T0 + 3 * NS, Side.BUY, 7))  # nobody knows what else was traded
    it.apply(whole(T0 + 4 * NS))
    it.trade(trade(T0 + 4 * NS, Side.BUY, 2))
    found = features(it, T0 + 6 * NS)
    assert (found.buy_flow, found.ofi_lots, found.best_moves_per_s, found.window_s) == (1.0, 0, 0.0, 2.0)
    assert found.volatility == 0.0


def test_a_snapshot_of_nothing_starts_the_windows_afresh_at_the_next_sound_state() -> None:
    it = book()
    it.apply(whole())
    it.apply(update(T0 + 1 * NS, bids=((101, 8),)))
    it.apply(update(T0 + 2 * NS, snapshot=True))
    assert (it.view(T0 + 2 * NS).trust, it.view(T0 + 2 * NS).bids) == (Trust.EMPTY, ())
    it.apply(update(T0 + 3 * NS, bids=((100, 5),)))
    it.trade(trade(T0 + 3 * NS, Side.BUY, 7))
    it.apply(update(T0 + 4 * NS, asks=((102, 5),)))
    found = features(it, T0 + 6 * NS)
    assert (found.buy_flow, found.ofi_lots, found.window_s, found.volatility) == (0.0, 0, 2.0, 0.0)


def test_a_mid_is_sampled_strictly_before_the_second() -> None:
    it = book()
    it.apply(whole(1_000 * NS))
    it.apply(update(1_001 * NS, bids=((101, 1),)))  # too late for the sample at 1001 s: that one is 202
    assert features(it, 1_001 * NS).volatility == 0.0  # one sample
    assert features(it, 1_002 * NS).volatility == 1e4 * 1.0 / 203  # 202, 203
    it.apply(update(1_002 * NS + 1, bids=((101, 0),), asks=((102, 0),)))  # 203 again, from both sides
    it.apply(update(1_002 * NS + 2, asks=((103, 0), (106, 1))))  # 206
    assert features(it, 1_003 * NS).volatility == 1e4 * sqrt((1 + 9) / 2) / 206
    assert features(it, 1_005 * NS).volatility == 1e4 * sqrt((1 + 9) / 4) / 206


def test_volatility_forgets_after_sixty_returns() -> None:
    it = book()
    it.apply(whole(1_000 * NS))
    it.apply(update(1_001 * NS, bids=((101, 1),)))
    assert features(it, 1_061 * NS).volatility == 1e4 * sqrt(1 / 60) / 203
    assert features(it, 1_062 * NS).volatility == 0.0
    it.apply(update(9_000 * NS, bids=((101, 0),)))
    assert features(it, 9_001 * NS).volatility == 1e4 * sqrt(1 / 60) / 202


def test_an_event_stamped_before_a_look_counts_from_the_look() -> None:
    it = book()
    it.apply(whole())
    it.view(T0 + 5 * NS)
    it.trade(trade(T0 + 4 * NS, Side.BUY, 10))
    assert features(it, T0 + 3 * NS).buy_flow == 2.0
    assert features(it, T0 + 15 * NS - 1).buy_flow == 1.0
    assert features(it, T0 + 15 * NS).buy_flow == 0.0


GUIDE = Path(__file__).resolve().parents[2] / "docs" / "features.md"


def test_the_guide_s_examples_are_true() -> None:
    result = doctest.testfile(str(GUIDE), module_relative=False)
    assert (result.failed, result.attempted > 10) == (0, True)


def test_the_guide_defines_every_feature_in_its_order() -> None:
    rows = [line.split("|")[1] for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert [name for name in named if name in FEATURE_NAMES] == list(FEATURE_NAMES)
