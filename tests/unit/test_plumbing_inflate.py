"""Inflating by zlib and by isal: the same result, or the same fault, of every input."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.errors import VenueFault
from venues.plumbing.inflate import Inflate, by_zlib, inflate_gzip

MESSAGE = b'{"dataType":"BTC-USDT@incrDepth"}' * 20
MEMBER = gzip.compress(MESSAGE, mtime=0)
NOTHING = gzip.compress(b"", mtime=0)
DAMAGED = "a message does not inflate: it is damaged, or no gzip member"
SHORT = "a message does not inflate: it is cut off, or has more than 660 bytes"
MORE = "a message has something behind its end"

BOTH = pytest.mark.parametrize("inflate", [by_zlib, inflate_gzip], ids=["zlib", "fast"])


def test_the_fast_one_is_another() -> None:
    pytest.importorskip("isal")
    assert inflate_gzip is not by_zlib


@BOTH
@pytest.mark.parametrize(
    ("data", "bytes_max", "message"),
    [
        (MEMBER, 1 << 24, MESSAGE),
        (MEMBER, len(MESSAGE), MESSAGE),
        (NOTHING, 1, b""),
        (gzip.compress(MESSAGE, 0, mtime=0), 660, MESSAGE),
        (gzip.compress(MESSAGE, 9, mtime=0), 660, MESSAGE),
    ],
)
def test_one_whole_member(inflate: Inflate, data: bytes, bytes_max: int, message: bytes) -> None:
    assert inflate(data, bytes_max) == message


@BOTH
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", SHORT),
        (MEMBER[:1], SHORT),
        (MEMBER[:10], SHORT),
        (MEMBER[:-9], SHORT),
        (MEMBER[:-1], SHORT),
        (gzip.compress(MESSAGE + b"x", mtime=0), SHORT),
        (gzip.compress(bytes(1 << 24), mtime=0), SHORT),
        (MEMBER[:-8] + b"\0" * 4 + MEMBER[-4:], DAMAGED),  # the checksum
        (MEMBER[:-1] + b"\1", DAMAGED),  # the length
        (MEMBER[:12] + b"\xff\xff" + MEMBER[14:], DAMAGED),
        (b"\x1f\x8b\x09" + MEMBER[3:], DAMAGED),  # another method
        (zlib.compress(MESSAGE), DAMAGED),
        (MEMBER + MEMBER, MORE),
        (MEMBER + b"\0", MORE),
        (NOTHING + MEMBER, MORE),
    ],
)
def test_everything_else_is_a_fault(inflate: Inflate, data: bytes, says: str) -> None:
    with pytest.raises(VenueFault) as caught:
        inflate(data, 660)
    assert str(caught.value) == says


def outcome(inflate: Inflate, data: bytes, bytes_max: int) -> bytes | None:
    try:
        return inflate(data, bytes_max)
    except VenueFault:
        return None


@given(st.binary(max_size=60), st.integers(1, 200), st.data())
def test_both_say_the_same(message: bytes, bytes_max: int, data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(message * 3, data.draw(st.integers(0, 9)), mtime=0))
    for _ in range(data.draw(st.integers(0, 2))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(packed[: data.draw(st.integers(0, len(packed)))])
    assert outcome(inflate_gzip, cut, bytes_max) == outcome(by_zlib, cut, bytes_max)
    assert outcome(inflate_gzip, bytes(packed), bytes_max) == outcome(by_zlib, bytes(packed), bytes_max)
