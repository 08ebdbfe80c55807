"""Connections in plain calls whose other end is the test."""

from __future__ import annotations

from venues.plumbing.bytestream import ByteListener


class FakeStream:
    """One connection. `written`: everything that was sent; `over`: how our side ended it, "" while it has not."""

    def __init__(self, listener: ByteListener) -> None:
        self._listener: ByteListener | None = listener
        self.written: list[bytes] = []
        self.over = ""

    # --- what the code under test calls

    def write(self, data: bytes) -> None:
        if not self.over and self._listener is not None:
            self.written.append(data)

    def close(self) -> None:
        self.over = self.over or "closed"
        self._listener = None

    def abort(self) -> None:
        self.over = self.over or "aborted"
        self._listener = None

    # --- what the test makes the other end do

    def says(self, data: bytes) -> None:
        if self._listener is not None:
            self._listener.received(data)

    def ends(self, why: str = "closed") -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.ended(why, never_connected=False)


class FakeDialer:
    """Connects when the test says so. `waiting`: dials not answered yet; `streams`: every connection there ever was."""

    def __init__(self) -> None:
        self.waiting: list[ByteListener] = []
        self.streams: list[FakeStream] = []

    def dial(self, listener: ByteListener) -> None:
        self.waiting.append(listener)

    def connect(self) -> FakeStream:
        """The oldest dial succeeds."""
        listener = self.waiting.pop(0)
        stream = FakeStream(listener)
        self.streams.append(stream)
        listener.connected(stream)
        return stream

    def refuse(self) -> None:
        """The oldest dial fails."""
        self.waiting.pop(0).ended("refused", never_connected=True)
