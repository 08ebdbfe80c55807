"""The way out of one connection: where bytes are cut into pieces, held back, swallowed, or end in a FIN or a RST."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import assert_never

from sor.adapter import Scheduler
from sor.units import MS
from venues.emulation.faults import ByteFault, CutOff, Ending, HalfOpen, Pieces, Reset
from venues.plumbing.bytestream import ByteStream


class Valve:
    """Writes units (a reply, a frame) with their faults, and under those of the whole connection.

    cut       told why, once, when a fault has ended the connection; not of a half-open one, which nobody notices.
    sealed    nothing is written any more, and what comes in does not matter.
    silent    half-open.
    """

    __slots__ = (
        "_cut",
        "_end",
        "_end_bytes",
        "_held",
        "_held_bytes",
        "_held_bytes_max",
        "_pieces",
        "_scheduler",
        "_stream",
        "_waiting",
        "sealed",
        "silent",
    )

    def __init__(
        self, stream: ByteStream, *, scheduler: Scheduler, held_bytes_max: int, cut: Callable[[str], None]
    ) -> None:
        self.sealed = False
        self.silent = False
        self._stream = stream
        self._scheduler = scheduler
        self._held_bytes_max = held_bytes_max
        self._cut = cut
        self._pieces: Pieces | None = None
        self._end: Ending | None = None
        self._end_bytes = 0
        self._held: deque[tuple[bytes | Ending | None, int]] = deque()
        """What waits for the gap after a piece: bytes with the gap after them, an end, or None for a plain close."""
        self._held_bytes = 0
        self._waiting = False

    def strike(self, fault: Pieces | Ending) -> None:
        """A fault of the whole connection, from now on. The first that ends it stays."""
        if isinstance(fault, Pieces):
            self._pieces = fault
        elif self._end is None:
            self._end, self._end_bytes = fault, fault.after_bytes
            if not self._end_bytes:
                self.finish(fault)

    def send(self, unit: bytes, faults: Sequence[ByteFault] = ()) -> None:
        """Write one unit."""
        if self.sealed:
            return
        pieces, end = self._pieces, None
        for fault in faults:
            if isinstance(fault, Pieces):
                pieces = fault
            elif isinstance(fault, CutOff | Reset | HalfOpen) and end is None:
                end = fault
        if end is not None:
            unit = unit[: end.after_bytes]
        if self._end is not None:
            if len(unit) >= self._end_bytes:
                unit, end = unit[: self._end_bytes], self._end
            self._end_bytes -= len(unit)
        if pieces is None:
            self._put(unit, 0)
        else:
            gap_ns = int(pieces.gap_ms * MS)
            for start in range(0, len(unit), pieces.bytes_each):
                self._put(unit[start : start + pieces.bytes_each], gap_ns)
        if end is not None:
            self.finish(end)

    def finish(self, end: Ending) -> None:
        """End like this, after what was sent."""
        self._seal(end)

    def close(self) -> None:
        """FIN after what was sent; nobody is told."""
        self._seal(None)

    def abort(self) -> None:
        """RST now; nobody is told. Of a half-open connection it does not arrive."""
        self.sealed = True
        self._held.clear()
        if not self.silent:
            self._stream.abort()

    def _seal(self, end: Ending | None) -> None:
        if not self.sealed:
            self.sealed = True
            self._held.append((end, 0))
            self._run()

    def _put(self, piece: bytes, gap_ns: int) -> None:
        if not piece or self.sealed:
            return
        if not self._waiting and not gap_ns:
            self._stream.write(piece)
            return
        self._held.append((piece, gap_ns))
        self._held_bytes += len(piece)
        if self._held_bytes > self._held_bytes_max:
            self._held.clear()
            self._seal(Reset())
        self._run()

    def _run(self) -> None:
        while self._held and not self._waiting:
            item, gap_ns = self._held.popleft()
            if isinstance(item, bytes):
                self._held_bytes -= len(item)
                self._stream.write(item)
                if gap_ns:
                    self._waiting = True
                    self._scheduler.call_at(self._scheduler.now_ns() + gap_ns, self._resume)
            elif item is None:
                self._stream.close()
            else:
                self._over(item)

    def _resume(self) -> None:
        self._waiting = False
        self._run()

    def _over(self, end: Ending) -> None:
        match end:
            case CutOff():
                self._stream.close()
                self._cut("cut off by a fault")
            case Reset():
                self._stream.abort()
                self._cut("reset by a fault")
            case HalfOpen():
                self.silent = True
            case _:
                assert_never(end)
