"""Keys are planted, a router trades with them and fails with them, and everything it leaves is searched for them.

Looked through: every object that can be reached from router, adapter and handles; every text that logging was given, at
DEBUG; tracebacks with the locals of all frames; journal, index, leverage file; what each command prints.
"""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType

import anyio
import pytest

from sor.cli.main import run
from sor.engine import Router, Settings
from sor.errors import SorError
from sor.ids import ParentId
from sor.orders import ParentOrder, Side
from tests.fakes.bingx_live import HEDGE_KEY, HEDGE_SECRET, KEY, SECRET, LiveVenue, live_venue
from tests.fakes.patience import PATIENCE_S
from venues.bingx.adapter import BingxVenue, open_venue
from venues.plumbing.keys import Secret

PLANTED = (KEY, SECRET, HEDGE_KEY, HEDGE_SECRET)
OURS = ("sor.", "venues.", "policies.")
REPRS_OF_A_TYPE = 20
"""Of how many objects of one type the text is looked at: a book has thousands of levels."""


def hushed(live: LiveVenue) -> list[str]:
    """What must not be seen: keys, and the listen keys that the venue gave."""
    return [*PLANTED, *live.heard]


def unsaid(live: LiveVenue, *texts: str) -> None:
    for text in texts:
        assert not [hush for hush in hushed(live) if hush in text], text


def unwritten(live: LiveVenue, folder: Path) -> int:
    """Nothing of it in any file or file name but the one with the keys; how many files were searched."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "keys"]
    for path in files:
        content = path.read_bytes()
        assert not [hush for hush in hushed(live) if hush.encode() in content or hush in str(path)], path
    return len(files)


def reachable(*roots: object) -> Iterator[object]:
    """Every object that these lead to; not into modules and classes, which lead to everything there is."""
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, ModuleType | type | CodeType):
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, FunctionType):  # its globals are those of a module
            waiting += [cell.cell_contents for cell in found.__closure__ or ()]
            waiting += found.__defaults__ or ()
        elif not isinstance(found, Secret):
            waiting += [each for each in gc.get_referents(found) if each is not logging.root]


def search(live: LiveVenue, *roots: object) -> tuple[int, int]:
    """No object shows a secret, and what signs stands in none but a `Secret`. Returns how many objects and secrets."""
    shown: dict[type, int] = {}
    objects = secrets = 0
    for found in reachable(*roots):
        objects += 1
        secrets += isinstance(found, Secret)
        if isinstance(found, str):
            assert SECRET not in found
        elif isinstance(found, bytes | bytearray):
            assert SECRET.encode() not in found
        elif isinstance(found, MethodType | FunctionType) or not type(found).__module__.startswith(OURS):
            continue
        elif shown.setdefault(type(found), 0) < REPRS_OF_A_TYPE:
            shown[type(found)] += 1
            unsaid(live, repr(found), str(found))
    return objects, secrets


def traced(error: BaseException) -> str:
    """A traceback with the locals of every frame of ours, as a crash reporter would send it."""
    said = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(said.format()) + repr(error)


def keys_in(folder: Path, *, wrong: bool = False) -> str:
    path = folder / "keys"
    secret = HEDGE_SECRET if wrong else SECRET
    path.touch(mode=0o600)
    path.write_text(f"BINGX_EMULATOR_API_KEY={KEY}\nBINGX_EMULATOR_API_SECRET={secret}\n", "utf-8")
    return str(path)


def venue_of(live: LiveVenue, folder: Path, *, wrong: bool = False) -> BingxVenue:
    """An adapter that was given planted keys by a file."""
    keys = keys_in(folder, wrong=wrong)
    return open_venue({"env": "emulator", "url": live.url, "leverage_cache": str(folder), "secrets": keys})


def order(parent_id: str, quantity: str = "0.0100", symbol: str = "BTC-USDT") -> ParentOrder:
    return ParentOrder(
        parent_id=ParentId(parent_id),
        symbol=symbol,
        side=Side.BUY,
        quantity=Decimal(quantity),
        policy="cross",
        deadline_s=5.0,
    )


@pytest.fixture
def live() -> Iterator[LiveVenue]:
    with live_venue() as venue:
        yield venue


@pytest.mark.anyio
async def test_nothing_that_a_run_leaves_or_holds_shows_a_key(
    live: LiveVenue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One order that fills, one that the venue refuses, one that is refused here, and a link that is lost."""
    caplog.set_level("DEBUG")
    venue = venue_of(live, tmp_path)
    said: list[str] = []
    with anyio.fail_after(PATIENCE_S):
        async with Router(Settings(journal=tmp_path / "j", positions_s=0.2), venues=[venue]) as router:
            handle = await router.submit(order("filled"))
            await handle.result()
            live.switch("refuse=code=101204,on=order,count=1", "answer-garbled=on=listenKey,count=1")
            refused = await router.submit(order("refused"))
            await refused.result()
            try:
                await router.submit(order("wrong", symbol="NONE-USDT"))
            except SorError as error:
                said.append(traced(error))
            live.switch("expire-listen-keys")
            await anyio.sleep(0.3)
            said += [alarm.text for alarm in router.alarms()]
            objects, secrets = search(live, router, venue, handle, refused, *said)
            assert (objects > 10_000, secrets >= 2) == (True, True), (objects, secrets)
    assert live.heard, "a listen key was given and used"
    unsaid(live, *said, caplog.text, *(repr(record.__dict__) for record in caplog.records))
    assert unwritten(live, tmp_path) >= 3  # description, segment, lock


@pytest.mark.anyio
async def test_no_error_of_a_start_shows_a_key_even_with_its_locals(
    live: LiveVenue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys that the venue refuses, and a venue that is not there."""
    caplog.set_level("DEBUG")
    said: list[str] = []
    for gone in (False, True):
        folder = tmp_path / f"{gone}"
        folder.mkdir()
        venue = venue_of(live, folder, wrong=not gone)
        if gone:
            live.leave()
        with anyio.fail_after(PATIENCE_S), pytest.raises(SorError) as caught:
            async with Router(Settings(journal=folder / "j"), venues=[venue]):
                pytest.fail("it came up")
        said.append(traced(caught.value))
        search(live, venue)
    unsaid(live, *said, caplog.text)
    unwritten(live, tmp_path)


def test_no_command_shows_or_writes_a_key(
    live: LiveVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands that are given keys, and all that read what those have left."""
    monkeypatch.chdir(tmp_path)
    venue = ("--venue", "bingx", "--env", "emulator", "--option", f"url={live.url}", "--secrets", keys_in(tmp_path))
    terms = ("--symbol", "BTC-USDT", "--side", "buy", "--qty", "0.0100", "--deadline", "5s", "--policy", "cross")
    route = ("route", *venue, "--option", "leverage_cache=cache", "--journal", "j", *terms)
    files = 0
    for words in (
        ("doctor", "bingx", "--env", "emulator", "--option", f"url={live.url}", "--secrets", "keys"),
        (*route, "--id", "p"),
        (*route, "--id", "q", "--option", "recv_window_ms=nonsense"),
        ("journal", "verify", "j"),
        ("journal", "show", "j"),
        ("--json", "journal", "show", "j"),
        ("explain", "p", "--journal", "j"),
        ("params", "show", "baseline"),
    ):
        code = run([*words])
        told = capsys.readouterr()
        unsaid(live, told.out, told.err, f"{code}")
        assert "Traceback" not in told.err
        files = unwritten(live, tmp_path)
    assert files >= 4
