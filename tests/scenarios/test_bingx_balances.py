"""Money on an emulated BingX beside what the router knows of it: nothing unexplained, nothing counted twice."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from sor.adapter import MoneyCause
from sor.events import WalletKnown, WalletMoved
from sor.fills import fills_of
from sor.ids import AccountId
from sor.orders import ParentStatus, Side
from sor.wallets import Wallet
from tests.scenarios.test_bingx_reconciles import Shared
from venues.bingx.emulator.money import money
from venues.bingx.emulator.rig import CONTRACT

CENT = Decimal("0.01")
START = Decimal(100_000)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    """A router whose wallet is known: it was stated twice alike."""
    shared = Shared(tmp_path / "rig")
    shared.wait(22)
    yield shared
    shared.life.kill()
    assert shared.crashes == []
    assert shared.rig.books().broken == ()


def wallet(shared: Shared) -> Wallet:
    """What the router knows; always its baseline and the flows since."""
    found = shared.core.wallets.of(shared.life.venue.name, AccountId("default"))
    assert found is not None
    assert found.expected == found.base + sum(found.flows.values(), Decimal(0))
    return found


def held(shared: Shared) -> Decimal:
    """What the exchange has."""
    return money(shared.rig.account.wallet_atoms)


def texts(shared: Shared) -> list[str]:
    """Every alarm, of the dead and of the living."""
    return [alarm.text for alarm in (*shared.alarms, *shared.life.alarms())]


def flows(shared: Shared) -> list[tuple[MoneyCause, Decimal]]:
    """What the journal has, but for what trading brings: that is checked as a sum."""
    trading = (MoneyCause.FEE, MoneyCause.REALISED)
    return [(one.cause, one.amount) for one in shared.facts(WalletMoved) if one.cause not in trading]


def transfer(shared: Shared, amount: int) -> None:
    shared.rig.app.exchange.desk.top_up(shared.rig.account, Decimal(amount))


def test_trading_and_funding_are_explained_and_nobody_is_called(shared: Shared) -> None:
    (base,) = shared.facts(WalletKnown)
    assert (base.amount, base.asset) == (START, "USDT")
    first = shared.submit("in", Side.BUY, 900)
    shared.wait(30)
    shared.rig.app.exchange.settle_funding(CONTRACT.symbol)
    shared.wait(30)
    out = shared.submit("out", Side.SELL, 900, reduce_only=True)
    shared.wait(90)
    assert (first.status, out.status) == (ParentStatus.FILLED, ParentStatus.FILLED)
    books = shared.rig.account
    told = wallet(shared).flows
    assert abs(told[MoneyCause.FUNDING] - money(books.funding_atoms)) < CENT
    assert told[MoneyCause.FUNDING] < -CENT
    assert abs(told[MoneyCause.REALISED] - money(books.realised_atoms)) < CENT
    ours = sum(
        child_fill.fee_atoms or 0
        for parent in (first, out)
        for child in parent.children
        for child_fill in fills_of(child, parent_id=parent.id, instrument=parent.instrument)
    )
    assert abs(told[MoneyCause.FEE] + first.instrument.money(ours)) < CENT
    assert abs(wallet(shared).expected - held(shared)) < CENT
    assert MoneyCause.UNEXPLAINED not in told
    assert texts(shared) == []


def test_what_is_in_the_baseline_already_is_not_counted_on_top_of_it_by_a_clock_that_is_off(tmp_path: Path) -> None:
    shared = Shared(tmp_path / "rig")
    assert shared.core.wallets.of(shared.life.venue.name, AccountId("default")) is None
    shared.life.kill()
    shared.rig.app.switch("read-late=ms=4000,on=server/time")  # so that the venue's clock is taken to be 2 s behind
    shared.restart()
    shared.wait(9)
    transfer(shared, 70)  # a second before the wallet is read
    shared.wait(50)
    assert wallet(shared).base == START + 70
    transfer(shared, -1)  # so that the list is read, which has both
    shared.wait(90)
    assert flows(shared) == [(MoneyCause.TRANSFER, Decimal(-1))]
    assert wallet(shared).expected == held(shared) == START + 69
    shared.life.kill()
    assert shared.crashes == []


def test_a_transfer_is_named_once_through_reconnects_and_a_restart(shared: Shared) -> None:
    transfer(shared, 250)
    shared.wait(15)
    assert flows(shared) == [(MoneyCause.TRANSFER, Decimal(250))]
    assert texts(shared) == ["+250 USDT on bingx by TRANSFER; the wallet should have 100250 now"]
    for _ in range(3):
        shared.rig.app.switch("drop-sockets=which=all")
        transfer(shared, -10)  # so that the list is read again, which has the first one too
        shared.wait(15)
    shared.restart()
    transfer(shared, -20)
    shared.wait(40)
    once = [(MoneyCause.TRANSFER, Decimal(amount)) for amount in (250, -10, -10, -10, -20)]
    assert flows(shared) == once
    assert wallet(shared).expected == held(shared) == START + 200
    assert wallet(shared).flows == {MoneyCause.TRANSFER: Decimal(200)}


def test_what_came_while_no_router_ran_is_found(shared: Shared) -> None:
    shared.life.kill()
    transfer(shared, -400)
    shared.wait(200)
    shared.restart()
    shared.wait(20)
    assert flows(shared) == [(MoneyCause.TRANSFER, Decimal(-400))]
    assert wallet(shared).expected == held(shared)


def test_what_the_venue_does_not_list_is_unexplained_and_said_and_nothing_is_done(shared: Shared) -> None:
    shared.rig.app.switch("history-lag=ms=300000,on=income")
    transfer(shared, -7)
    shared.wait(60)
    assert flows(shared) == []  # the list may lag behind the wallet
    shared.wait(30)
    assert flows(shared) == [(MoneyCause.UNEXPLAINED, Decimal(-7))]
    said = (
        "the wallet on bingx has 99993 USDT, where all changes that it lists make 100000: -7 cannot be explained, and "
        "its word counts from now on"
    )
    assert texts(shared) == [said]
    parent = shared.submit("in", Side.BUY, 900)  # nothing trades by it
    shared.wait(400)
    assert parent.status is ParentStatus.FILLED
    shared.rig.app.switch("-history-lag")
    transfer(shared, 30)
    shared.wait(30)
    assert abs(wallet(shared).flows[MoneyCause.UNEXPLAINED]) < CENT  # it has come to light, and is not counted on top
    assert wallet(shared).flows[MoneyCause.TRANSFER] == 23
    assert abs(wallet(shared).expected - held(shared)) < CENT
    said = "-7 USDT on bingx that nothing explained came by TRANSFER"
    assert texts(shared).count(said) == 1


def test_money_that_cannot_be_read_is_asked_for_again_and_said_once(shared: Shared) -> None:
    shared.rig.app.switch("read-busy=on=income")
    transfer(shared, 5)
    shared.wait(50)
    assert flows(shared) == []
    (said,) = texts(shared)
    assert "the changes of it could not be read" in said
    shared.rig.app.switch("-read-busy")
    shared.wait(20)
    assert flows(shared) == [(MoneyCause.TRANSFER, Decimal(5))]
