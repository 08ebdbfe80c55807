"""The two sides of a socket session that a test of its pipe does not care about."""

from __future__ import annotations

from collections.abc import Sequence

from venues.plumbing.socket import Data, Heard


class Raw:
    """Every message is data of the topic that nobody asks for."""

    def read(self, payload: bytes, recv_ns: int) -> Heard:
        return Data("", payload)

    def subscribe(self, topics: Sequence[str], no: int) -> bytes:
        return b"sub " + ",".join(topics).encode()

    def unsubscribe(self, topics: Sequence[str], no: int) -> bytes:
        return b"unsub " + ",".join(topics).encode()


class Ear:
    """Listener that notes."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.messages: list[object] = []

    def up(self) -> None:
        self.told.append("up")

    def down(self, why: str, again_ns: int) -> None:
        self.told.append(why)

    def gap(self, topic: str, why: str) -> None:
        self.told.append(f"gap {topic}")

    def data(self, topic: str, message: object, recv_ns: int) -> None:
        self.messages.append(message)

    def denied(self, topic: str, code: str, text: str) -> None:
        raise AssertionError("nothing is denied here")
