"""The recordings as tapes: imported once in a session, two at a time, however many processes share its tests."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from sor.lab.importers import import_recording
from sor.lab.workers import Tell, in_processes
from sor.tape import Manifest, Tape, open_tape

FILES = {
    "bitstamp": ("bitstamp-l3-20150501/bitstamp_btcusd_l3_h00-12.log.xz",),
    "coinm_aug": (
        "binance-20240808-btc/coinm_btcusd_perp_20240809.gz",  # the later one first: they are put in order
        "binance-20240808-btc/coinm_btcusd_perp_20240808.gz",
    ),
    "spot_aug": (
        "binance-20240808-btc/spot_btcusdt_20240808.gz",
        "binance-20240808-btc/spot_btcusdt_20240809.gz",
    ),
    "usdm_aug": ("binance-20240808-btc/usdm_btcusdt_20240808.gz",),
    "usdm_jul": (
        "binance-20240718-btc/usdm_btcusdt_20240718.gz",
        "binance-20240718-btc/usdm_btcusdt_20240719.gz",
    ),
}


class Touch(NamedTuple):
    """What the best bid and ask did over a tape; time is the venue's."""

    mean_spread_ticks: float
    one_tick_share: float
    mid_least_hticks: int
    mid_most_hticks: int
    moves: int


class Recorded(NamedTuple):
    """A recording that was imported."""

    path: Path
    manifest: Manifest
    touch: Touch


def bests(tape: Tape) -> Iterator[tuple[int, int]]:
    """Best bid and ask after each group: a dict a side, and a heap of prices that may be gone."""
    sides, snapshots = tape.level_side.tolist(), tape.group_snapshot.tolist()
    keys = (-tape.level_side * tape.level_ticks).tolist()  # the best is the least on both sides
    lots = tape.level_lots.tolist()
    held: dict[int, dict[int, int]] = {1: {}, -1: {}}
    heaps: dict[int, list[int]] = {1: [], -1: []}
    for (begin, end), snapshot in zip(pairwise(tape.group_first.tolist()), snapshots, strict=True):
        if snapshot:
            held, heaps = {1: {}, -1: {}}, {1: [], -1: []}
        for side, key, size in zip(sides[begin:end], keys[begin:end], lots[begin:end], strict=True):
            if not size:
                held[side].pop(key, None)
            else:
                if key not in held[side]:
                    heappush(heaps[side], key)
                held[side][key] = size
        for side, heap in heaps.items():
            while heap and heap[0] not in held[side]:
                heappop(heap)
        yield -heaps[1][0], heaps[-1][0]


def beginning_of(tape: Tape, *, groups: int) -> Tape:
    """The first groups of a tape, and the trades up to then."""
    levels = int(tape.group_first[groups])
    trades = int(tape.trade_recv_ns.searchsorted(tape.group_recv_ns[groups - 1], "right"))
    return msgspec.structs.replace(
        tape,
        group_venue_ns=tape.group_venue_ns[:groups],
        group_recv_ns=tape.group_recv_ns[:groups],
        group_first=tape.group_first[: groups + 1],
        group_snapshot=tape.group_snapshot[:groups],
        level_side=tape.level_side[:levels],
        level_ticks=tape.level_ticks[:levels],
        level_lots=tape.level_lots[:levels],
        trade_venue_ns=tape.trade_venue_ns[:trades],
        trade_recv_ns=tape.trade_recv_ns[:trades],
        trade_side=tape.trade_side[:trades],
        trade_ticks=tape.trade_ticks[:trades],
        trade_lots=tape.trade_lots[:trades],
    )


def _touch(tape: Tape) -> Touch:
    found = list(bests(tape))
    assert all(bid < ask for bid, ask in found)
    lasts_ns = [after - before for before, after in pairwise(tape.group_venue_ns.tolist())]
    spreads = [ask - bid for bid, ask in found]
    whole_ns = sum(lasts_ns)
    return Touch(
        sum(spread * lasted for spread, lasted in zip(spreads, lasts_ns, strict=False)) / whole_ns,
        sum(lasted for spread, lasted in zip(spreads, lasts_ns, strict=False) if spread == 1) / whole_ns,
        min(bid + ask for bid, ask in found),
        max(bid + ask for bid, ask in found),
        sum(before != after for before, after in pairwise(found)),
    )


class Importing(NamedTuple):
    """Files of one recording, and where its tape goes."""

    paths: list[Path]
    out: Path


def _import(task: Importing, tell: Tell) -> Recorded:
    del tell  # it is one step
    manifest = import_recording(task.paths, task.out)
    return Recorded(task.out, manifest, _touch(open_tape(task.out)))


def _path(kind: type, text: str) -> object:
    return kind(text)


def _import_all(recordings: Path, folder: Path) -> Mapping[str, Recorded]:
    tasks = [Importing([recordings / file for file in files], folder / name) for name, files in FILES.items()]
    imported = in_processes(_import, tasks, jobs=2, progress=lambda no, done: None)
    return dict(zip(FILES, imported, strict=True))


@pytest.fixture(scope="session")
def recorded(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Recorded]:
    """Every recording by name. Who comes first imports them, the others wait for it."""
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each has a folder of its own in that of all
        home = home.parent
    with (home / "tapes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = home / "tapes.json"
        if not done.exists():
            done.write_bytes(msgspec.json.encode(_import_all(recordings, home / "tapes"), enc_hook=str))
        return msgspec.json.decode(done.read_bytes(), type=dict[str, Recorded], dec_hook=_path)
