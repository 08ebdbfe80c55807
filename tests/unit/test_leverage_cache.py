"""The leverage cache: what is known, who waits for whom, and what a file may do."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sor.errors import CallerError, InDoubt, NotSent, SorError
from sor.ids import Symbol
from sor.orders import PositionSide
from sor.units import NS
from tests.fakes.clock import VirtualClock
from venues.plumbing.keys import Secret
from venues.plumbing.leverage import SETTLED_NS, WAITING_MAX, LeverageCache, LeverageFile, OnChanged, leverage_file

BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")
BOTH, LONG, SHORT = PositionSide.BOTH, PositionSide.LONG, PositionSide.SHORT


class Bench:
    """A cache, and posts that are answered by hand."""

    def __init__(self, path: Path, *, boot: str = "boot-1") -> None:
        self.time = VirtualClock(1_000 * NS)
        self.path = path
        self.cache = LeverageCache(LeverageFile(path, boot=boot), now_ns=self.time.now_ns)
        self.posts: list[tuple[Symbol, PositionSide, int, OnChanged]] = []
        self.done: list[bool | SorError] = []

    def wish(self, leverage: int, symbol: Symbol = BTC, side: PositionSide = BOTH) -> None:
        def post(on_changed: OnChanged) -> None:
            self.posts.append((symbol, side, leverage, on_changed))

        self.cache.wish(symbol, side, leverage, post=post, on_done=self.done.append)

    def answer(self, outcome: int | SorError | None = None) -> int:
        """Answer the oldest post, with what it asked for unless told otherwise; returns what it asked for."""
        _, _, leverage, on_changed = self.posts.pop(0)
        on_changed(leverage if outcome is None else outcome)
        return leverage

    def known(self, symbol: Symbol = BTC, side: PositionSide = BOTH) -> int | None:
        return self.cache.known(symbol, side)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "cache.json")


def test_b1_what_is_in_force_is_not_sent_again(bench: Bench) -> None:
    bench.wish(3)
    assert bench.done == []
    bench.answer()
    bench.wish(3)
    assert (bench.done, bench.posts) == ([True, False], [])


@pytest.mark.parametrize("error", [CallerError("refused"), NotSent("away")])
def test_b1_a_post_that_failed_leaves_the_entry_and_the_next_one_tries_again(bench: Bench, error: SorError) -> None:
    bench.wish(2)
    bench.answer()
    bench.wish(3)
    bench.answer(error)
    assert bench.done[-1] is error
    assert bench.known() == 2
    bench.wish(3)
    assert len(bench.posts) == 1


def test_b1_after_a_post_that_may_have_arrived_nothing_is_known(bench: Bench) -> None:
    bench.wish(2)
    bench.answer()
    bench.wish(3)
    bench.answer(InDoubt("silence"))
    assert bench.known() is None
    bench.wish(2)  # the old value may not be in force any more
    assert len(bench.posts) == 1


def test_b1_two_wishes_for_a_symbol_never_interleave_and_others_do_not_wait(bench: Bench) -> None:
    bench.wish(2)
    bench.wish(3)
    bench.wish(3)
    bench.wish(5, ETH)
    assert [(symbol, leverage) for symbol, _, leverage, _ in bench.posts] == [(BTC, 2), (ETH, 5)]
    bench.answer()
    assert bench.known() == 2
    assert [leverage for _, _, leverage, _ in bench.posts] == [5, 3]
    bench.answer()
    bench.answer()
    assert (bench.known(), bench.known(ETH)) == (3, 5)
    assert bench.done == [True, True, True, False]  # the third found it done


def test_b1_in_hedge_mode_each_side_has_its_own_and_the_symbol_one_lock(bench: Bench) -> None:
    bench.wish(2, side=LONG)
    bench.wish(3, side=SHORT)
    assert len(bench.posts) == 1
    bench.answer()
    bench.answer()
    assert (bench.known(side=LONG), bench.known(side=SHORT), bench.known()) == (2, 3, None)


def test_b1_a_push_updates_what_is_known(bench: Bench) -> None:
    bench.wish(2)
    bench.answer()
    bench.time.run_until(bench.time.now_ns() + SETTLED_NS)
    assert bench.cache.pushed(BTC, BOTH, 2) is None
    assert bench.cache.pushed(BTC, BOTH, 7) == 2
    assert bench.known() == 7


def test_b1_a_push_that_may_be_older_than_our_change_leaves_nothing_known(bench: Bench) -> None:
    bench.wish(2)
    bench.answer()
    bench.time.run_until(bench.time.now_ns() + SETTLED_NS)
    bench.wish(3)
    bench.cache.pushed(BTC, BOTH, 2)  # under way: what is known is still true
    assert bench.known() == 2
    bench.answer()
    bench.cache.pushed(BTC, BOTH, 2)
    assert bench.known() is None
    bench.cache.pushed(BTC, BOTH, 3)
    assert bench.known() is None  # still too young to be believed


def test_waiting_is_bounded(bench: Bench) -> None:
    for leverage in range(2, WAITING_MAX + 3):
        bench.wish(leverage)
    assert isinstance(bench.done[0], NotSent)
    assert "nothing was sent" in str(bench.done[0])


def test_a_venue_that_confirms_another_leverage_is_doubt(bench: Bench) -> None:
    bench.wish(5)
    bench.answer(4)
    assert isinstance(bench.done[0], InDoubt)
    assert bench.known() == 4


def test_b1_it_survives_a_restart_and_not_a_reboot(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "new" / "cache.json")
    bench.wish(3)
    bench.answer()
    bench.wish(4, side=LONG)
    bench.answer()
    again = Bench(bench.path)
    assert again.cache.entries() == ((BTC, BOTH), (BTC, LONG))
    again.wish(3)
    assert (again.done, again.posts) == ([False], [])
    assert Bench(bench.path, boot="boot-2").cache.entries() == ()
    assert bench.path.parent.stat().st_mode & 0o077 == 0


def test_b2_what_the_venue_says_counts_and_a_difference_is_told(bench: Bench) -> None:
    bench.wish(3)
    bench.answer()
    assert bench.cache.found(BTC, BOTH, 3) is None
    assert bench.cache.found(BTC, BOTH, 10) == 3
    assert bench.known() == 10
    assert bench.cache.found(ETH, BOTH, 4) is None  # nothing was known of it
    bench.cache.forget(BTC, BOTH)
    assert Bench(bench.path).cache.entries() == ((ETH, BOTH),)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _nonsense(path: Path) -> None:
    path.write_text('{"boot": "boot-1", "leverages": {"BTCUSDT": 3, "/both": 3, "X/both": 0, "Y/up": 1}}')


def _open_to_others(path: Path) -> None:
    path.chmod(0o666)


@pytest.mark.parametrize("damage", [_cut, _nonsense, _open_to_others, Path.unlink])
def test_b1_a_damaged_or_missing_file_is_an_empty_cache(bench: Bench, damage: Callable[[Path], None]) -> None:
    bench.wish(3)
    bench.answer()
    damage(bench.path)
    assert Bench(bench.path).cache.entries() == ()


def test_a_file_that_cannot_be_written_is_in_nobodys_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "here").write_text("a file where a folder should be")
    bench = Bench(tmp_path / "here" / "cache.json")
    bench.wish(3)
    bench.answer()
    assert bench.known() == 3
    assert "are not kept in" in caplog.text


def test_a_directory_that_others_may_write_to_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "sor-1000"
    bench = Bench(folder / "cache.json")
    bench.wish(3)
    bench.answer()
    folder.chmod(0o777)  # whose it is then, is no longer certain: /tmp has room for anybody's links
    assert LeverageFile(bench.path, boot="boot-1").load() == {}
    bench.path.unlink()
    bench.wish(2)
    bench.answer()
    assert list(folder.iterdir()) == []
    assert "others may write to that directory" in caplog.text


def test_without_a_boot_to_belong_to_nothing_is_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "cache.json", boot="")
    bench.wish(3)
    bench.answer()
    assert not bench.path.exists()


def test_one_file_per_environment_and_account_that_shows_no_key(tmp_path: Path) -> None:
    paths: list[Path] = []
    for environment, key in (("vst", "key-one"), ("live", "key-one"), ("vst", "key-two")):
        file = leverage_file(venue="bingx", environment=environment, key=Secret(key), folder=tmp_path)
        LeverageCache(file, now_ns=lambda: 0).found(BTC, BOTH, 2)
        paths = sorted(tmp_path.iterdir())
    assert len(paths) == (3 if Path("/proc/sys/kernel/random/boot_id").exists() else 0)
    assert not any("key-" in path.name or b"key-" in path.read_bytes() for path in paths)
    assert all(path.stat().st_mode & 0o077 == 0 and path.stat().st_uid == os.getuid() for path in paths)


def test_by_default_the_file_is_this_users_own() -> None:
    file = leverage_file(venue="bingx", environment="vst", key=Secret("no-such-key"))
    assert file.load() == {}
