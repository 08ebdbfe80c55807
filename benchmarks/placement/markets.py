"""The markets: made up, or recorded; kept in a scratch directory between runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from sor.errors import CallerError
from sor.lab.importers import Terms, import_recording
from sor.lab.recorder import record_market
from sor.plugins import Plugins
from sor.tape import Tape, open_whole, save_tape

HOUR_S = 3_600.0
MADE_UP: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "busy": {},
        "slow": {"zi.mu": "0.4", "zi.alpha": "0.02", "zi.delta": "0.03"},
        "wide": {"zi.mu": "1", "zi.alpha": "0.002", "zi.delta": "0.05", "zi.window": "4000"},
    }
)
"""Made-up markets: the venue's own, one with a tenth of its takers, and one with a spread of about 200 ticks, 3 bps."""
BITSTAMP = "bitstamp-l3-20150501/bitstamp_btcusd_l3_h00-12.log.xz"
PERPETUAL: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "2024-07-18": (
            "binance-20240718-btc/usdm_btcusdt_20240718.gz",
            "binance-20240718-btc/usdm_btcusdt_20240719.gz",
        ),
        "2024-08-08": ("binance-20240808-btc/usdm_btcusdt_20240808.gz",),
    }
)
"""Files of each date."""


def made_up(
    where: Path, name: str, *, seed: int, seconds: float = HOUR_S, options: Mapping[str, str]
) -> tuple[Tape, Path]:
    """A tape of the zero-intelligence market."""
    path = where / f"{name}-{seed}-{seconds:g}"
    if not path.exists():
        venue = Plugins.installed().venue("simulated")
        made = record_market(venue, {"book_ms": "0", "feed": "0", "seed": str(seed), **options}, seconds=seconds)
        save_tape(made.tape, path, source=(), importer=made.importer, findings=made.findings)
    return open_whole(path), path


def recorded(where: Path, name: str, files: Sequence[str], *, data: Path) -> tuple[Tape, Path]:
    """A recording as a tape. Raises `CallerError` where the folder `data` lacks a file."""
    path = where / name
    if not path.exists():
        missing = [file for file in files if not (data / file).exists()]
        if missing:
            raise CallerError(f"{data} lacks {', '.join(missing)}; nothing was scored. Name the folder by --data")
        import_recording([data / file for file in files], path, terms=Terms(), progress=lambda read: None)
    return open_whole(path), path
