"""Which venue a command talks to, in which environment, and whether it may (B7).

Everything that is refused here is refused before anything is opened. What a venue understands of its options is the
venue's own business: `env`, `secrets` and `allow_live` are only handed to it when they were given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from sor.adapter import Check, CheckState, VenueAdapter
from sor.cli.terms import BadValue
from sor.errors import CallerError, NotSent
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.journal import Environment
from sor.plugins import EMULATORS, Plugins

Command = TypeVar("Command", bound=Callable[..., object])

EMULATOR, LIVE = "emulator", "live"
ENVS = (EMULATOR, "vst", "testnet", "demo", LIVE)
"""All there are, so that real money cannot hide behind another word for it."""
PAPER = "paper"
ALLOW_LIVE = "SOR_ALLOW_LIVE"
"""The environment variable that has to say `yes` before orders may cost real money."""
JOURNALS = Path(".sor") / "journals"
"""One journal for each venue and environment: demo and live never mix."""
_OWN = {"env": "--env", "secrets": "--secrets", "allow_live": "--allow-live"}
"""Options that have a switch of their own, which also checks them."""
_NOBODY = ("connection refused", "unreachable", "connection attempts failed")
"""How it is said that nobody listens there."""
_SECRET_WORDS = ("secret", "password", "passphrase", "api_key", "apikey", "token")


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One venue as a command means it.

    env      "" leaves it to the venue, which then is its demo, if it has environments at all. paper: its market, and
             simulated fills.
    """

    venue: str
    env: str
    paper: bool
    options: dict[str, str]

    @property
    def label(self) -> str:
        """What people call it."""
        where = f" ({self.env})" if self.env else ""
        return f"paper on the market of {self.venue}{where}" if self.paper else f"{self.venue}{where}"

    @property
    def environment(self) -> Environment:
        """What its orders are, for the journal."""
        if self.paper or self.env == EMULATOR or (not self.env and not _is_real(self.venue)):
            return Environment.SIMULATED
        return Environment.LIVE if self.env == LIVE else Environment.DEMO

    @property
    def journal(self) -> Path:
        """Where its journal is unless another one is named."""
        if self.paper:
            return JOURNALS / f"{PAPER}-{self.venue}"
        kind = EMULATOR if self.env == EMULATOR else self.environment.value
        return JOURNALS / (f"{self.venue}-{kind}" if _is_real(self.venue) else self.venue)

    @property
    def outside(self) -> bool:
        """Whether orders rest somewhere outside of the router's own process."""
        return not self.paper and _is_real(self.venue)

    def opened(self, plugins: Plugins) -> VenueAdapter:
        """The unconnected adapter. Raises `CallerError` for an unknown venue and for bad options."""
        if not self.paper:
            return plugins.venue(self.venue)(dict(self.options))
        plugins.market(self.venue)  # whose name is wrong is said better here than by the paper venue
        return plugins.venue(PAPER)({"market": self.venue, **self.options})

    def unreachable(self, error: NotSent) -> NotSent:
        """`error`, with what to do about an emulator that does not answer."""
        start = self._start(str(error))
        return NotSent(f"{str(error).rstrip('.')}. {start}") if start else error

    def advised(self, check: Check) -> Check:
        """`check`, with the same advice where it is the first that failed for want of an emulator."""
        start = self._start(check.text) if check.state is CheckState.FAILED else ""
        return msgspec.structs.replace(check, advice=start) if start else check

    def _start(self, text: str) -> str:
        """How its emulator is started, where it is one and `text` says that nobody answered."""
        if self.env != EMULATOR or not _is_real(self.venue) or not any(word in text for word in _NOBODY):
            return ""
        return f"Is its emulator running? Start it with: sor emulate {self.venue}"


def venue_options(command: Command) -> Command:
    """The switches that every command about a venue has."""
    for option in (
        click.option(
            "--option", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the venue; repeatable."
        ),
        click.option("--secrets", type=click.Path(path_type=Path), help="File with the venue's keys."),
        click.option(
            "--env",
            type=click.Choice(ENVS, case_sensitive=False),
            help="Which of the environments that the venue has; without it its own choice, never live.",
        ),
    ):
        command = option(command)
    return command


def access_of(
    venue: str,
    *,
    env: str | None,
    secrets: Path | None,
    pairs: Iterable[str],
    paper: bool = False,
    allow_live: bool = False,
    orders: bool = False,
    symbol: str = "",
) -> Access:
    """Check what was typed about a venue.

    symbol    what it is about: a venue out there lists a thousand contracts, and says more of one that is named.
    orders    orders may be sent. With env `live` that takes `allow_live` and the environment variable `SOR_ALLOW_LIVE`;
              only looking takes neither, and then nothing here orders anything.
    Raises    `CallerError`, `BadValue` for what cannot be read; nothing was opened.
    """
    options: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:  # not repeated here: it may be anything, a key too
            raise BadValue("--option: write each like KEY=VALUE; nothing was opened")
        if name in options:
            raise BadValue(f"--option {name}: give each once; nothing was opened")
        if name in _OWN:
            raise BadValue(f"--option {name}: use {_OWN[name]}, which is checked; nothing was opened")
        if any(word in name.lower() for word in _SECRET_WORDS):
            raise BadValue(
                f"--option {name}: keys do not belong on a command line, where every process can read them; nothing "
                "was opened. Put them into a file and name it with --secrets, or into the environment"
            )
        options[name] = value
    if env:
        _check_env(venue, env)
        options["env"] = env
    if secrets is not None:
        options["secrets"] = str(secrets)
    if symbol and _is_real(venue):
        options.setdefault("symbols", symbol)
    if env == LIVE:
        if orders and not paper and not (allow_live and os.environ.get(ALLOW_LIVE, "") == "yes"):
            raise CallerError(
                f"{venue} (live) trades real money: give --allow-live and set {ALLOW_LIVE}=yes in the environment to "
                "permit it; nothing was opened and nothing was sent"
            )
        options["allow_live"] = "yes"
    return Access(venue=venue, env=env or "", paper=paper, options=options)


def _check_env(venue: str, env: str) -> None:
    """Raises `BadValue` for an environment that the venue says it has not; one that says nothing decides later."""
    known = Plugins.installed().environments(venue)
    if known and env not in known:
        raise BadValue(f"{venue} has no environment {env!r}; nothing was opened. It has: {', '.join(known)}")


def _is_real(venue: str) -> bool:
    """Whether a venue has environments: who needs an emulator is somewhere out there."""
    return venue in Plugins.installed().names(EMULATORS)


def listed_on(instruments: dict[tuple[VenueName, Symbol], Instrument], venue: VenueName, spelling: str) -> Instrument:
    """The instrument of that symbol, in any spelling. Raises `CallerError` naming the nearest where there is none."""
    symbol = canonical_symbol(spelling)
    found = instruments.get((venue, symbol))
    if found is not None:
        return found
    names = [name for where, name in instruments if where == venue]
    near = get_close_matches(symbol, names, n=3, cutoff=0.5) or names[:3]
    raise CallerError(
        f"{venue} does not list {spelling!r}; nothing was sent. It lists {len(names)}, such as {', '.join(near)}"
        if names
        else f"{venue} lists nothing that can be traded; nothing was sent. Run `sor doctor {venue}`"
    )
