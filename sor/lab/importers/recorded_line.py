"""A line of a recorder of raw sockets (cryptofeed's): a message in an envelope.

A JSON object: `t` says what it is, `ts` is the receive time in seconds, `conn` the connection, and the text as it went
over it is in `data`: `recv` a pushed message, `http` an answer (to `url`), `connect` a socket that was opened (to
`addr`).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from sor.lab.importers.recording import TIME_NS_MAX
from sor.units import NS


class RecordedLine(msgspec.Struct):
    """One line; `ts` is exact as it is written."""

    t: str
    ts: Decimal = Decimal(0)
    conn: str = ""
    addr: str = ""
    url: str = ""
    data: str = ""
    exchange: str = ""


decode_line = msgspec.json.Decoder(RecordedLine).decode


def exchange_of(line: RecordedLine) -> str:
    """How the recorder names the venue, "" where the line does not say."""
    return line.exchange or line.conn.partition(".")[0]


def recv_ns(line: RecordedLine) -> int:
    """The receive time. Raises `ValueError` for what is none."""
    at = int(line.ts * NS)
    if not 0 < at < TIME_NS_MAX:
        raise ValueError(line.ts)
    return at
