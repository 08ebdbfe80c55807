"""The adapter against its emulator in virtual time: connecting, the account socket, and leaving."""

import json
import logging
from decimal import Decimal
from pathlib import Path

import anyio
import msgspec
import pytest

from sor.adapter import CheckState, RequestFailed, Sink
from sor.errors import CallerError, JournalFault, NotSent, RateLimited, SorError
from sor.orders import ExecutionReport
from sor.units import MS, NS
from tests.fakes.bingx import contract
from tests.fakes.bingx_rig import BTC, CODEC, PLACE, Ear, Meddler, Rig, brief
from venues.bingx.adapter import open_venue
from venues.bingx.emulator.settings import ONE_WAY

pytestmark = pytest.mark.anyio
KEY = "POST /openApi/user/auth/userDataStream"
EXTEND = "PUT /openApi/user/auth/userDataStream"


@pytest.fixture
async def rig(tmp_path: Path) -> Rig:
    return await Rig(tmp_path).connect()


# --- connecting -------------------------------------------------------------------------------------------------------


async def test_connecting_learns_the_account_before_the_link_is_up(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    await rig.wait(rig.venue.connect(rig.ear, rig.time))
    assert rig.ear.links == [(True, "")]
    assert list(rig.ear.instruments) == [BTC]  # and no other: one was asked for
    assert rig.ear.instruments[BTC].taker_fee_e8 == 50_000
    assert sorted(set(rig.requests())) == [
        "GET /openApi/swap/v1/positionSide/dual",
        "GET /openApi/swap/v2/user/commissionRate",
        "GET /openApi/swap/v3/user/balance",
        KEY,
    ]
    capabilities = rig.venue.capabilities
    assert capabilities.market_bound_bps == 500.0  # marketRatio of its only contract
    assert capabilities.receive_window_ns == 5_400_000_000  # and what an order may wait before it is stamped
    assert capabilities.submit_rtt_ns == 10_000_000
    with pytest.raises(CallerError, match="connected already"):
        await rig.venue.connect(rig.ear, rig.time)


async def test_f1_the_accounts_own_fees_are_in_the_instruments(tmp_path: Path) -> None:
    vip = msgspec.structs.replace(ONE_WAY, maker_fee=Decimal("0.0001"), taker_fee=Decimal("0.0004"))
    rig = await Rig(tmp_path, account=vip).connect()
    assert (rig.ear.instruments[BTC].maker_fee_e8, rig.ear.instruments[BTC].taker_fee_e8) == (10_000, 40_000)


async def test_all_contracts_are_known_unless_some_are_named(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, settings={"symbols": ""}).connect()
    assert set(rig.ear.instruments) > {BTC, "ETHUSDT"}
    assert rig.venue.capabilities.market_bound_bps is None  # the rules of hundreds are not read


async def test_a_contract_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"symbols": "BTC-USDT,PAUSED-USDT"})
    with pytest.raises(CallerError, match="PAUSEDUSDT on BingX: PAUSED-USDT is not online"):
        await rig.connect()
    assert rig.ear.links == []


async def test_a_venue_that_cannot_be_reached_is_not_sent(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.net.refusing = True
    with pytest.raises(NotSent, match="nothing was sent"):
        await rig.connect()
    rig.net.refusing = False
    await rig.connect()  # the same adapter again


async def test_keys_that_are_refused_say_so(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    (tmp_path / "keys").write_text(
        "BINGX_EMULATOR_API_KEY=some-other-key\nBINGX_EMULATOR_API_SECRET=some-other-secret\n", encoding="utf-8"
    )
    with pytest.raises(CallerError, match="100413") as caught:
        await rig.connect()
    assert "some-other" not in str(caught.value)


async def test_keys_that_are_missing_say_what_to_set(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    (tmp_path / "keys").write_text("BINGX_EMULATOR_API_KEY=x\n", encoding="utf-8")
    with pytest.raises(CallerError, match="BINGX_EMULATOR_API_SECRET is not in"):
        await rig.connect()


async def test_without_an_account_socket_there_is_no_session(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.switch("refuse-socket")
    with pytest.raises(NotSent, match="no account socket came about"):
        await rig.connect()
    rig.run(60_000)
    assert (True, "") not in rig.ear.links
    assert rig.net.standing == 0


@pytest.mark.parametrize("fault", ["rate-limited=on=positionSide/dual", "banned"])
async def test_who_is_turned_away_at_the_start_is_told_until_when_and_may_come_again(
    tmp_path: Path, fault: str
) -> None:
    rig = Rig(tmp_path)
    rig.switch(fault)
    with pytest.raises(RateLimited, match="nothing was ordered") as refused:
        await rig.connect()
    away_ns = refused.value.until_ns - rig.time.now_ns()
    assert 295 * NS < away_ns <= 300 * NS
    rig.switch(f"-{fault.partition('=')[0]}")
    rig.run(away_ns // MS + 1)
    await rig.connect()
    rig.venue.submit(rig.order())
    rig.run(50)
    assert rig.told()[0] == "ack trade 20@600001"


async def test_b7_live_is_refused_without_permission() -> None:
    with pytest.raises(CallerError, match="allow_live=yes"):
        open_venue({"env": "live"})
    assert open_venue({"env": "live", "allow_live": "yes"}).name == "bingx"


async def test_leaving_tells_nothing_more_and_leaves_nothing_open(rig: Rig) -> None:
    rig.venue.subscribe(BTC)
    rig.run(1_000)
    rig.venue.submit(rig.order())
    with anyio.CancelScope(shield=True):  # as the router does
        await rig.wait(rig.venue.disconnect())
    told = len(rig.ear.reports), len(rig.ear.markets), len(rig.ear.links)
    rig.run(60_000)
    assert (len(rig.ear.reports), len(rig.ear.markets), len(rig.ear.links)) == told
    assert rig.net.standing == 0
    await rig.wait(rig.venue.disconnect())
    await rig.connect()
    rig.venue.submit(rig.order())
    rig.run(50)
    assert rig.told()[0] == "ack trade 20@600001"


# --- the account socket -----------------------------------------------------------------------------------------------


async def test_a_clock_that_is_set_while_its_time_is_asked_for_is_asked_again(rig: Rig) -> None:
    rig.switch("clock-skew=ms=10000")
    rig.switch("read-late=ms=200,on=GET /openApi/swap/v2/server/time,count=1")
    rig.venue.submit(rig.order())
    rig.run(30)  # refused, and the time asked for: 10 s, to be told in 200 ms
    rig.switch("clock-skew=ms=20000")
    rig.venue.submit(rig.order())
    rig.run(600)
    assert rig.told() == ["ack rejected other 100421"] * 2
    rig.venue.submit(rig.order())
    rig.run(50)
    assert rig.told()[0] == "ack trade 20@600001"


async def test_a_lost_account_socket_takes_the_link_down_until_it_is_back(rig: Rig) -> None:
    rig.switch("drop-sockets=which=account")
    rig.run(50)
    (down,) = rig.ear.links[1:]
    assert down[0] is False
    assert down[1].startswith("account socket: ")
    rig.run(1_000)
    assert rig.ear.links[2:] == [(True, "")]
    rig.venue.submit(rig.order())
    rig.run(50)
    assert rig.told() == ["ack trade 20@600001", "ack trade 20@600001 WS_SETTLED"]
    assert KEY not in rig.requests()  # the key is still good


async def test_a_socket_that_is_silent_is_dead(rig: Rig) -> None:
    rig.switch("half-open=hits=standing")
    rig.run(21_000)
    assert [up for up, _ in rig.ear.links] == [True, False, True]
    assert "nothing came for" in rig.ear.links[1][1]


async def test_an_expired_listen_key_is_made_anew(rig: Rig) -> None:
    rig.switch("expire-listen-keys")
    rig.run(2_000)
    assert rig.ear.links[1:] == [(False, "account socket: the listen key has expired"), (True, "")]
    assert rig.requests() == [KEY]


async def test_a_listen_key_is_extended_every_half_hour(rig: Rig) -> None:
    rig.run(1_799_000)
    assert rig.requests() == []
    rig.run(2_000)
    assert rig.requests() == [EXTEND]
    rig.run(3_600_000)
    assert rig.requests() == [EXTEND] * 2
    assert rig.ear.links == [(True, "")]


async def test_a_listen_key_that_ended_unheard_is_found_out_by_extending(rig: Rig) -> None:
    rig.switch("key-dies-silently")
    rig.switch("expire-listen-keys")
    rig.run(1_000_000)
    assert rig.ear.links == [(True, "")]
    rig.run(900_000)
    assert rig.ear.links[1][0] is False
    assert "the listen key was not extended" in rig.ear.links[1][1]
    assert rig.ear.links[-1] == (True, "")
    assert sorted(rig.requests()) == [KEY, EXTEND]


async def test_a_listen_key_that_cannot_be_had_is_asked_for_until_it_can(rig: Rig) -> None:
    rig.switch("read-busy=on=userDataStream,for_ms=20000")
    rig.switch("expire-listen-keys")
    rig.run(19_000)
    assert rig.ear.links[-1][0] is False
    assert 3 <= rig.requests().count(KEY) <= 20  # three attempts, two seconds, and again
    rig.run(15_000)
    assert rig.ear.links[-1] == (True, "")


async def test_pushes_of_others_are_nobodys_business(tmp_path: Path) -> None:
    meddler = Meddler()
    rig = await Rig(tmp_path, wrap=meddler).connect()
    meddler.push(order_event("web-17", 99, z="20", ap="60000.1", status="FILLED"))
    meddler.push(order_event("", 98, z="20", ap="60000.1", status="FILLED"))
    meddler.push({"e": "SNAPSHOT", "ac": {"s": "BTC-USDT", "l": 1, "S": 1, "mt": "cross"}})
    meddler.push({"e": "ACCOUNT_UPDATE", "E": 1, "a": {"m": "DEPOSIT", "B": [], "P": []}})
    rig.run(5_000)
    assert (rig.told(), rig.ear.links, rig.requests()) == ([], [(True, "")], [])


def order_event(client_id: str, order_id: object, *, z: str, ap: str, status: str) -> dict[str, object]:
    """An order event as BingX pushes it."""
    return {
        "e": "ORDER_TRADE_UPDATE",
        "E": 1_760_000_000_000,
        "o": {
            "s": "BTC-USDT",
            "c": client_id,
            "i": order_id,
            "S": "BUY",
            "o": "LIMIT",
            "q": "0.0020",
            "p": "59999.0",
            "ap": ap,
            "x": "TRADE",
            "X": status,
            "z": z,
            "n": "0",
        },
    }


async def test_a_push_that_cannot_be_read_has_its_order_looked_up(tmp_path: Path) -> None:
    meddler = Meddler()
    rig = await Rig(tmp_path, wrap=meddler).connect()
    order = rig.resting()
    rig.venue.submit(order)
    rig.run(50)
    rig.requests()
    meddler.push(order_event(order.cl_ord_id, 0, z="not a number", ap="1", status="NEW"))
    rig.run(100)
    assert rig.told() == ["ack new", "query status new 0"]
    assert rig.ear.links == [(True, "")]
    assert rig.requests() == [f"GET {PLACE}"]


@pytest.mark.parametrize("client_id", ["", CODEC.encode(7, 9, 9, closing=False)])
async def test_a_push_that_cannot_be_read_nor_named_is_a_gap(tmp_path: Path, client_id: str) -> None:
    meddler = Meddler()
    rig = await Rig(tmp_path, wrap=meddler).connect()
    meddler.push(order_event(client_id, 12, z="not a number", ap="1", status="NEW"))
    rig.run(100)
    assert [up for up, _ in rig.ear.links] == [True, False, True]
    assert "could not be read" in rig.ear.links[1][1]


async def test_a_push_of_somebody_else_that_cannot_be_read_is_no_gap(tmp_path: Path) -> None:
    meddler = Meddler()
    rig = await Rig(tmp_path, wrap=meddler).connect()
    meddler.push(order_event("web-17", 12, z="not a number", ap="1", status="NEW"))
    rig.run(100)
    assert rig.ear.links == [(True, "")]


async def test_settings_that_cannot_be_read_are_no_gap_however_many(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    meddler = Meddler()
    rig = await Rig(tmp_path, wrap=meddler).connect()
    for _ in range(300):
        meddler.push({"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "ac": "of another shape"})
    rig.run(1_000)
    assert rig.ear.links == [(True, "")]
    assert caplog.text.count("is passed over") == 1


async def test_many_gaps_are_one_a_second(tmp_path: Path) -> None:
    meddler = Meddler()
    rig = await Rig(tmp_path, wrap=meddler).connect()
    for number in range(50):
        meddler.push(order_event("", number + 1, z="not a number", ap="1", status="NEW"))
    rig.run(900)
    assert [up for up, _ in rig.ear.links] == [True, False, True]
    rig.run(5_000)
    assert [up for up, _ in rig.ear.links] == [True, False, True, False, True]


async def test_an_order_in_a_contract_that_is_no_longer_listed_can_still_be_cancelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = await Rig(tmp_path).connect()
    order = rig.resting()
    rig.venue.submit(order)
    rig.venue.subscribe(BTC)
    rig.run(61_000)
    rig.told()
    body = json.dumps({"code": 0, "msg": "", "data": [contract("ETH-USDT")]}).encode()
    on = rig.venue._on
    assert on is not None
    on.session.adopt(body)
    assert "BTC-USDT can no longer be traded: gone" in caplog.text
    rig.venue.cancel(rig.ref(order))
    rig.run(50)
    assert rig.told() == ["push canceled 0"]


async def test_a_frame_that_does_not_even_inflate_is_a_gap(tmp_path: Path) -> None:
    meddler = Meddler()
    rig = await Rig(tmp_path, wrap=meddler).connect()
    meddler.raw(b"\x1f\x8bnonsense")
    rig.run(100)
    assert [up for up, _ in rig.ear.links] == [True, False, True]


# --- the router fails, the links do not -------------------------------------------------------------------------------


class Broken(Ear):
    """A router whose journal cannot be written."""

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        super().execution(event)
        raise JournalFault("the disk is full")


async def test_a_router_that_fails_hears_of_it_in_its_own_time_and_its_cancels_still_go(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    sink: Sink = Broken()
    rig.ear = sink  # type: ignore[assignment]
    await rig.connect()
    resting = rig.resting()
    rig.venue.submit(resting)
    with pytest.raises(JournalFault, match="disk is full"):  # out of its own scheduler
        rig.run(50)
    rig.venue.cancel(rig.ref(resting))
    with pytest.raises(JournalFault):
        rig.run(50)
    assert [brief(one) for one in rig.ear.reports] == ["ack new", "push canceled 0"]
    assert await rig.wait(rig.venue.open_orders()) == ()


async def test_links_that_end_of_themselves_take_the_link_down(rig: Rig) -> None:
    lost = rig.links[0].lost
    assert lost is not None
    lost("the links ended of themselves: AssertionError")
    assert rig.ear.links[1:] == [(False, "the links ended of themselves: AssertionError")]


# --- history ----------------------------------------------------------------------------------------------------------


async def test_fills_since_then_are_those_of_the_contracts_that_concern_us(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, settings={"symbols": ""}).connect()
    assert await rig.wait(rig.venue.fills_since(0)) == ()
    assert rig.requests() == []  # nothing was traded or followed
    rig.venue.submit(rig.order())
    rig.venue.submit(rig.order(symbol="ETHUSDT"))
    rig.run(5_000)
    rig.requests()
    since_ns = rig.time.now_ns()
    rig.venue.submit(rig.order(qty_lots=3))
    rig.run(5_000)
    fills = await rig.wait(rig.venue.fills_since(0))
    assert [(one.symbol, one.last_lots) for one in fills] == [(BTC, 20), ("ETHUSDT", 20), (BTC, 3)]
    assert [one.last_lots for one in await rig.wait(rig.venue.fills_since(since_ns - NS))] == [3]


# --- checks -----------------------------------------------------------------------------------------------------------


async def checked(rig: Rig, symbol: str = "btc/usdt") -> dict[str, tuple[CheckState, str]]:
    """Every check by name."""
    found: dict[str, tuple[CheckState, str]] = {}
    checks = rig.new_venue().checks(symbol, rig.time)
    while True:
        try:
            check = await rig.wait(anext(checks))
        except StopAsyncIteration:
            return found
        assert check.state is CheckState.OK or check.text
        found[check.name] = check.state, check.text


async def test_checks_look_at_everything_and_trade_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rig = Rig(tmp_path)
    found = await checked(rig)
    assert {name: state for name, (state, _) in found.items()} == {
        "keys": CheckState.OK,
        "clock": CheckState.OK,
        "instrument": CheckState.OK,
        "position mode": CheckState.OK,
        "balance": CheckState.OK,
        "fees": CheckState.OK,
        "leverage": CheckState.NOTE,  # 10 is in force, and the cap is 3
        "open orders": CheckState.OK,
        "market socket": CheckState.OK,
        "permission": CheckState.OK,
        "account socket": CheckState.OK,
    }
    assert found["fees"][1] == "maker 0.02 %, taker 0.05 %"
    assert f"POST {PLACE}" not in rig.requests()
    rig.run(1_000)
    assert rig.net.standing == 0
    assert ONE_WAY.secret not in repr(found) + caplog.text


async def test_checks_name_the_journal_whose_orders_rest(tmp_path: Path) -> None:
    rig = await Rig(tmp_path).connect()
    rig.venue.submit(rig.resting())
    rig.run(1_000)
    await rig.wait(rig.venue.disconnect())
    found = await checked(rig)
    state, text = found["open orders"]
    assert (state, text) == (
        CheckState.NOTE,
        "1 open, 1 of them with a router's mark, of the journal with epoch 7",
    )


async def test_checks_without_keys_look_at_what_is_public(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    (tmp_path / "keys").write_text("", encoding="utf-8")
    found = await checked(rig)
    states = {name: state for name, (state, _) in found.items()}
    assert states["keys"] is CheckState.FAILED
    assert [name for name, state in states.items() if state is CheckState.OK] == [
        "clock",
        "instrument",
        "market socket",
    ]
    assert states["permission"] is CheckState.SKIPPED


async def test_checks_say_once_that_keys_are_not_accepted(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    (tmp_path / "keys").write_text("BINGX_EMULATOR_API_KEY=other\nBINGX_EMULATOR_API_SECRET=other\n", encoding="utf-8")
    found = await checked(rig)
    assert [name for name, (state, _) in found.items() if state is CheckState.FAILED] == ["position mode"]
    assert "100413" in found["position mode"][1]
    assert found["balance"] == (CheckState.SKIPPED, "needs keys that BingX accepts")
    assert found["account socket"] == (CheckState.SKIPPED, "needs keys that BingX accepts")
    assert found["market socket"][0] is CheckState.OK


async def test_checks_of_a_venue_that_is_away_fail_at_the_clock(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.net.refusing = True
    found = await checked(rig)
    assert {name: state for name, (state, _) in found.items() if state is not CheckState.SKIPPED} == {
        "keys": CheckState.OK,
        "clock": CheckState.FAILED,
    }


async def test_checks_tell_a_key_that_may_not_trade(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.switch("refuse=code=100004,on=order/test")
    found = await checked(rig)
    assert found["permission"][0] is CheckState.FAILED
    assert "100004" in found["permission"][1]


async def test_checks_that_are_left_early_leave_nothing_open(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    checks = rig.new_venue().checks("BTCUSDT", rig.time)
    for _ in range(3):
        await rig.wait(anext(checks))
    await rig.wait(checks.aclose())  # type: ignore[attr-defined]
    rig.run(1_000)
    assert rig.net.standing == 0


def test_errors_are_ours(tmp_path: Path) -> None:
    with pytest.raises(SorError):
        Rig(tmp_path, settings={"nonsense": "1"})
