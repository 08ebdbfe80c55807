"""Inflating one gzip member, bounded: with isal where it is installed (extra `fast`), else with zlib.

Both say the same of every input, which tests/unit/test_plumbing_inflate.py holds them to; isal takes three quarters
of the time.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final, Protocol

from sor.errors import VenueFault

_GZIP: Final = 31
"""Window bits that mean: a gzip header and trailer, and nothing else."""


class _Member(Protocol):
    """What zlib and isal call a decompression object."""

    @property
    def eof(self) -> bool:
        """Whether the member is whole, and its length and checksum are right."""

    @property
    def unused_data(self) -> bytes:
        """What came behind it."""

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """At most `max_length` bytes."""


Inflate = Callable[[bytes, int], bytes]


def inflater(member: Callable[[int], _Member], fault: type[Exception]) -> Inflate:
    """A function of a gzip member and a number of bytes that gives what was packed, if it is no more than that.

    member    makes a decompression object from window bits; `fault`: what that raises.
    Raises    `VenueFault` for what is no gzip member, is cut off, damaged or too large, and for one with anything
              behind it, as that may be a message too.
    """

    def inflate(data: bytes, bytes_max: int) -> bytes:
        stream = member(_GZIP)
        try:
            message = stream.decompress(data, bytes_max)
        except fault as error:
            raise VenueFault("a message does not inflate: it is damaged, or no gzip member") from error
        if not stream.eof:
            raise VenueFault(f"a message does not inflate: it is cut off, or has more than {bytes_max} bytes")
        if stream.unused_data:
            raise VenueFault("a message has something behind its end")
        return message

    return inflate


by_zlib: Final = inflater(zlib.decompressobj, zlib.error)
try:
    from isal import isal_zlib
except ImportError:
    inflate_gzip = by_zlib
else:
    inflate_gzip = inflater(isal_zlib.decompressobj, isal_zlib.error)  # type: ignore[arg-type]  # its stub calls the class an instance
