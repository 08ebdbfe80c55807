"""Binance's raw sockets with other recorders' envelopes: the same messages, so the same importer (`binance`).

Each line is taken out of its envelope (`sor.lab.importers.recorded_line`): the messages of one symbol, and the REST
depth of it. Everything else becomes an empty message, so that a bad line is named by its place in the file as it lies
there. The steps are those of the recorded `exchangeInfo`, where they are not stated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

from sor.errors import CallerError
from sor.instruments import canonical_symbol
from sor.lab.importers.binance import import_binance
from sor.lab.importers.recorded_line import RecordedLine, decode_line, exchange_of, recv_ns
from sor.lab.importers.recording import Imported, Progress, RecordingFile, Terms

_EXCHANGES = ("BINANCE", "BINANCE_FUTURES", "BINANCE_DELIVERY")


class _Stream(msgspec.Struct):
    stream: str = ""


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str = ""
    tick_size: Decimal | None = None
    step_size: Decimal | None = None


class _Listed(msgspec.Struct, rename="camel"):
    symbol: str
    filters: list[_Filter] = []
    contract_size: Decimal | None = None


class _Listing(msgspec.Struct):
    symbols: list[_Listed] = []


_decode_stream = msgspec.json.Decoder(_Stream).decode


class _Unwrapped(RecordingFile):
    """A file whose lines are those of one symbol, as `binance` reads them."""

    def __init__(self, path: Path, symbol: str) -> None:
        super().__init__(path)
        self._symbol = symbol

    def lines(self, progress: Progress | None = None) -> Iterator[bytes]:
        """Every line; one that cannot be read as it is."""
        for text in super().lines(progress):
            try:
                line = decode_line(text)
                at = recv_ns(line) if line.t in ("recv", "http") else 0
                ours = at and self._ours(line)
            except (ValueError, msgspec.DecodeError):
                yield text
                continue
            yield b"%d %s\n" % (at or 1, line.data.encode() if ours else b"{}")

    def _ours(self, line: RecordedLine) -> bool:
        if line.t == "recv":
            return _symbol_of(line) == self._symbol
        url = urlsplit(line.url)
        return url.path.endswith("/depth") and parse_qs(url.query).get("symbol") == [self._symbol]


def looks_like(first_line: bytes) -> bool:
    """Whether a file that begins with this line is such a recording of Binance."""
    try:
        return exchange_of(decode_line(first_line)) in _EXCHANGES
    except msgspec.DecodeError:
        return False


def import_binance_sockets(files: Sequence[RecordingFile], terms: Terms, progress: Progress | None = None) -> Imported:
    """One instrument of a recording.

    Raises as `import_binance`, and `CallerError` where none or several could be meant.
    """
    symbols: dict[str, None] = {}
    listed: dict[str, _Listed] = {}
    for file in files:
        for text in file.lines():
            try:
                line = decode_line(text)
                if line.t == "recv":
                    symbols[_symbol_of(line)] = None
                elif line.t == "http" and "exchangeInfo" in line.url:
                    listing = msgspec.json.decode(line.data, type=_Listing)
                    listed |= {one.symbol: one for one in listing.symbols}
            except (ValueError, msgspec.DecodeError):
                continue  # counted when the file is read in earnest
    there = [name for name in symbols if name]
    meant = [one for one in there if terms.symbol is None or canonical_symbol(one) == canonical_symbol(terms.symbol)]
    if len(meant) != 1:
        raise CallerError(
            f"the recording holds {', '.join(sorted(there)) or 'no market'}; nothing was written. A tape is of one "
            "instrument: name it with --symbol"
        )
    stated = _stated(terms, listed.get(meant[0]))
    return import_binance([_Unwrapped(file.path, meant[0]) for file in files], stated, progress)


def _symbol_of(line: RecordedLine) -> str:
    """The symbol of a stream's message, as Binance writes it outside of stream names; "" for none."""
    return _decode_stream(line.data).stream.partition("@")[0].upper()


def _stated(terms: Terms, listed: _Listed | None) -> Terms:
    """`terms` with the listed steps where it states none."""
    if listed is None:
        return terms
    ticks = [one.tick_size for one in listed.filters if one.filter_type == "PRICE_FILTER"]
    lots = [one.step_size for one in listed.filters if one.filter_type == "LOT_SIZE"]
    return msgspec.structs.replace(
        terms,
        tick=terms.tick or next(iter(ticks), None),
        lot=terms.lot or next(iter(lots), None),
        contract=terms.contract or listed.contract_size,
    )
