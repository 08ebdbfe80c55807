"""Leverage cache: what an account's leverages are known to be, so that setting one that is in force costs nothing (B1).

Rules
- Leverage belongs to the account and the symbol, not to a strategy; where positions have two sides, to each side.
- Per symbol one change at a time, from the request to the entry; other symbols never wait for it.
- An entry changes only on success. A refused request leaves it; after a request that may have arrived nothing is known
  of that symbol, and its entry goes.
- What the venue pushes counts, but a push that contradicts a change of ours which is under way or young may be older
  than that: then nothing is known.
- Kept in one small file per environment and account, so that a restart begins warm. It does not outlive a reboot: who
  was away for that long asks. A missing, damaged or foreign file is an empty cache, and no file is ever in the way.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from sor.errors import InDoubt, NotSent, SorError
from sor.files import read_small
from sor.ids import Symbol
from sor.orders import PositionSide
from sor.units import NS
from venues.plumbing.keys import Secret, digest_of

SETTLED_NS = 5 * NS
"""A push that is younger than this after a change of ours may have been written before it."""
WAITING_MAX = 64
"""Changes of one symbol that may wait for each other."""
_FILE_BYTES_MAX = 1024 * 1024
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SIDES = frozenset(side.value for side in PositionSide)
_log = logging.getLogger(__name__)

Key = tuple[Symbol, PositionSide]
OnChanged = Callable[[int | SorError], None]
"""Told what is in force now, or why that is not what was wished."""
OnWished = Callable[[bool | SorError], None]
"""Told whether the venue had to be told (True), or why the leverage is not in force."""


class _Kept(msgspec.Struct, frozen=True):
    """The file: the boot it belongs to, and leverages by symbol and side."""

    boot: str
    leverages: dict[str, int]


class LeverageFile:
    """One small file. Reading and writing never raise: what cannot be kept is asked for again.

    boot    this boot of this machine; "" where it has no name, and nothing is kept then.
    """

    def __init__(self, path: Path, *, boot: str) -> None:
        self._path = path
        self._boot = boot

    def load(self) -> dict[Key, int]:
        """What was kept since this boot."""
        try:
            about = self._path.stat()
            if not self._boot or about.st_uid != os.getuid() or about.st_mode & 0o022 or not self._folder_is_ours():
                return {}
            kept = msgspec.json.decode(read_small(self._path, bytes_max=_FILE_BYTES_MAX), type=_Kept)
        except (OSError, ValueError, RecursionError):
            return {}
        if kept.boot != self._boot:
            return {}
        found: dict[Key, int] = {}
        for name, leverage in kept.leverages.items():
            symbol, _, side = name.partition("/")
            if symbol and side in _SIDES and leverage >= 1:
                found[Symbol(symbol), PositionSide(side)] = leverage
        return found

    def save(self, leverages: Mapping[Key, int]) -> None:
        """Keep these instead."""
        if not self._boot:
            return
        kept = _Kept(self._boot, {f"{symbol}/{side.value}": leverage for (symbol, side), leverage in leverages.items()})
        beside = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._folder_is_ours():
                _log.warning("leverages are not kept in %s: others may write to that directory", self._path.parent)
                return
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
                file.write(msgspec.json.encode(kept))
            beside.replace(self._path)
        except OSError as error:
            _log.warning("leverages are not kept in %s: %s", self._path, error.strerror)
            with contextlib.suppress(OSError):
                beside.unlink()

    def _folder_is_ours(self) -> bool:
        """Whether nobody else can put files, or links to files of ours, in its place: the default may be in /tmp."""
        about = self._path.parent.stat()
        return about.st_uid == os.getuid() and not about.st_mode & 0o002


def leverage_file(*, venue: str, environment: str, key: Secret, folder: Path | None = None) -> LeverageFile:
    """The file of one account in one environment; the account is named by a digest of its key.

    folder    None: this user's own, in memory where the system has one.
    """
    account = digest_of(key.reveal())
    try:
        boot = _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    if folder is None:
        runtime = Path(f"/run/user/{os.getuid()}")
        folder = runtime / "sor" if runtime.is_dir() else Path(tempfile.gettempdir()) / f"sor-{os.getuid()}"
    return LeverageFile(folder / f"leverage-{venue}-{environment}-{account}.json", boot=boot)


class _Wish:
    """A leverage somebody wants."""

    __slots__ = ("leverage", "on_done", "post", "side")

    def __init__(self, side: PositionSide, leverage: int, post: Callable[[OnChanged], None], on_done: OnWished) -> None:
        self.side = side
        self.leverage = leverage
        self.post = post
        self.on_done = on_done


class LeverageCache:
    """The leverages of one account. Plain calls; the file is read when it is made."""

    __slots__ = ("_changed_ns", "_file", "_known", "_now_ns", "_wishes")

    def __init__(self, file: LeverageFile, *, now_ns: Callable[[], int]) -> None:
        self._file = file
        self._now_ns = now_ns
        self._known = file.load()
        self._changed_ns: dict[Key, int] = {}
        self._wishes: dict[Symbol, deque[_Wish]] = {}  # the first of each is under way

    def known(self, symbol: Symbol, side: PositionSide) -> int | None:
        """What is in force as far as is known."""
        return self._known.get((symbol, side))

    def follows(self, symbol: Symbol, side: PositionSide) -> bool:
        """Whether anything is known of it, or under way: what is pushed of others is nobody's business."""
        return (symbol, side) in self._known or any(wish.side is side for wish in self._wishes.get(symbol, ()))

    def entries(self) -> tuple[Key, ...]:
        """Everything of which something is known."""
        return tuple(self._known)

    def wish(
        self,
        symbol: Symbol,
        side: PositionSide,
        leverage: int,
        *,
        post: Callable[[OnChanged], None],
        on_done: OnWished,
    ) -> None:
        """See to it that `leverage` is in force; `post` asks the venue for it, if it has to be asked."""
        waiting = self._wishes.get(symbol)
        if waiting is None:
            if self.known(symbol, side) == leverage:
                on_done(False)
                return
            waiting = self._wishes[symbol] = deque()
        elif len(waiting) >= WAITING_MAX:
            on_done(NotSent(f"{len(waiting)} changes of the leverage of {symbol} wait already; nothing was sent"))
            return
        waiting.append(_Wish(side, leverage, post, on_done))
        if len(waiting) == 1:
            self._next(symbol)

    def pushed(self, symbol: Symbol, side: PositionSide, leverage: int) -> int | None:
        """The venue says of its own accord that this is in force; returns what was known instead, if it was another."""
        key = (symbol, side)
        before = self._known.get(key)
        if before == leverage:
            return None
        changed_ns = self._changed_ns.get(key)
        young = changed_ns is not None and self._now_ns() - changed_ns < SETTLED_NS
        if young or any(wish.side is side for wish in self._wishes.get(symbol, ())):
            self.forget(symbol, side)
            return None
        self._enter(key, leverage)
        return before

    def found(self, symbol: Symbol, side: PositionSide, leverage: int) -> int | None:
        """What the venue answered when it was asked; returns what was known instead, where that was different (B2)."""
        key = (symbol, side)
        before = self._known.get(key)
        self._enter(key, leverage)
        return before if before is not None and before != leverage else None

    def forget(self, symbol: Symbol, side: PositionSide) -> None:
        """Nothing is known of it any more."""
        if self._known.pop((symbol, side), None) is not None:
            self._file.save(self._known)

    def _enter(self, key: Key, leverage: int) -> None:
        if self._known.get(key) != leverage:
            self._known[key] = leverage
            self._file.save(self._known)

    def _next(self, symbol: Symbol) -> None:
        """Carry out the first wish that waits, and those after it that have come true meanwhile."""
        waiting = self._wishes[symbol]
        while waiting:
            wish = waiting[0]
            if self.known(symbol, wish.side) != wish.leverage:
                wish.post(lambda outcome: self._answered(symbol, outcome))
                return
            waiting.popleft()
            wish.on_done(False)
        del self._wishes[symbol]

    def _answered(self, symbol: Symbol, outcome: int | SorError) -> None:
        wish = self._wishes[symbol][0]
        key = (symbol, wish.side)
        answer: bool | SorError
        self._changed_ns[key] = self._now_ns()
        if isinstance(outcome, SorError):
            answer = outcome
            if isinstance(outcome, InDoubt):
                self.forget(symbol, wish.side)
        elif outcome == wish.leverage:
            answer = True
            self._enter(key, outcome)
        else:
            answer = InDoubt(f"leverage {wish.leverage} was asked for {symbol}, and {outcome} confirmed; look at it")
            self._enter(key, outcome)
        self._wishes[symbol].popleft()
        wish.on_done(answer)
        self._next(symbol)
