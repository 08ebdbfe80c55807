"""Importers: recordings as venues' own messages into tapes. The format is told from the first line, never from names.

One import makes one tape of one instrument; several files are one recording. What an importer found is kept in the
manifest. Nothing is written before all was read and understood.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sor.errors import CallerError
from sor.lab.importers import binance, binance_sockets, bitstamp, ccapi, hft_events, market_log, sockets, tardis
from sor.lab.importers.recording import Imported, Progress, RecordingFile
from sor.lab.importers.recording import Terms as Terms
from sor.tape import Manifest, refuse_occupied, save_tape

_OWN_RULES = ("binance", "binance sockets", "bitstamp")
"""Formats whose importers have rules of their own for a crossed book, and repair nothing."""

Importer = Callable[[Sequence[RecordingFile], Terms, Progress | None], Imported]

_FORMATS: Mapping[str, tuple[Callable[[bytes], bool], Importer]] = {
    "binance": (binance.looks_like, binance.import_binance),
    "bitstamp": (bitstamp.looks_like, bitstamp.import_bitstamp),
    "tardis": (tardis.looks_like, tardis.import_tardis),
    "binance sockets": (binance_sockets.looks_like, binance_sockets.import_binance_sockets),
    "sockets": (sockets.looks_like, sockets.import_sockets),
    "record": (market_log.looks_like, market_log.import_market_log),
    "ccapi": (ccapi.looks_like, ccapi.import_ccapi),
    "hftbacktest": (hft_events.looks_like, hft_events.import_hftbacktest),
    "bybit history": (sockets.looks_like_history, sockets.import_history),
}


def import_recording(
    paths: Sequence[Path],
    out: Path,
    *,
    terms: Terms | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Make the tape `out` from the files `paths` of one recording, in any order.

    progress    told now and then how many packed bytes have been read since it was last told.

    Raises `CallerError` when `out` is taken, when a file cannot be read or is no recording, when the files are of
    different formats or instruments, and when the instrument is neither known nor stated. Then there is no tape.
    """
    refuse_occupied(out, overwrite=overwrite)
    files = [RecordingFile(path) for path in paths]
    imported = _importer_of(files, terms or Terms())(files, terms or Terms(), progress)
    return save_tape(
        imported.tape,
        out,
        findings=imported.findings,
        source=tuple(sorted((file.source() for file in files), key=lambda source: source.name)),
        importer=imported.importer,
        clock_offset_ns=imported.clock_offset_ns,
        overwrite=overwrite,
    )


def _importer_of(files: Sequence[RecordingFile], terms: Terms) -> Importer:
    if not files:
        raise CallerError("no recording was named; nothing was written. Name its files")
    if len({file.path.resolve() for file in files}) < len(files):
        raise CallerError("a file was named twice; nothing was written. Name each once")
    formats = [_format_of(file) for file in files]
    for file, name in zip(files, formats, strict=True):
        if name != formats[0]:
            raise CallerError(
                f"{files[0].path.name} is a {formats[0]} recording, {file.path.name} a {name} one; nothing was "
                f"written. Import each on its own"
            )
    if terms.repair and formats[0] in _OWN_RULES:
        raise CallerError(
            f"a {formats[0]} recording has rules of its own for a crossed book; nothing was written. Leave --repair out"
        )
    return _FORMATS[formats[0]][1]


def _format_of(file: RecordingFile) -> str:
    first = file.first_line()
    for name, (looks_like, _) in _FORMATS.items():
        if looks_like(first):
            return name
    raise CallerError(
        f"{file.path} is no recording that can be imported ({', '.join(_FORMATS)}); nothing was written. Name the raw "
        f"files as they were recorded"
    )
