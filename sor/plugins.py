"""Plug-ins: policies, schedules, venues, markets, emulators, rigs; found through the entry points installed (S8).

An outside package is on a par with ours: it names its class in one of the groups and needs no change here. A
plug-in is imported when it is first asked for, so a broken one harms nobody who does not use it. A name that two
packages give is refused to both: which one would trade must not depend on the order of installation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from sor.adapter import HasEnvironments, OpenMarket, OpenVenue
from sor.emulation import OpenEmulator
from sor.errors import CallerError
from sor.explore import PREFIX, Explore
from sor.policy import Forceable, Policy, Schedule
from sor.rig import OpenRig

POLICIES = "sor.policies"
SCHEDULES = "sor.schedules"
VENUES = "sor.venues"
MARKETS = "sor.markets"
EMULATORS = "sor.emulators"
RIGS = "sor.rigs"
GROUPS = (POLICIES, SCHEDULES, VENUES, MARKETS, EMULATORS, RIGS)


Plugin = TypeVar("Plugin")
Opened = TypeVar("Opened")


class _Lazy(Mapping[str, Plugin]):
    """Plug-ins of one group by name; each is imported when it is first looked up, iterating only names them."""

    def __init__(self, names: tuple[str, ...], load: Callable[[str], Plugin], *, prefix: str = "") -> None:
        self._names = names
        self._load = load
        self._prefix = prefix  # what may stand before a name, and is known to `load`

    def __getitem__(self, name: str) -> Plugin:
        """The plug-in. Raises `KeyError` when there is none, `CallerError` when it is broken."""
        if name.removeprefix(self._prefix) not in self._names:
            raise KeyError(name)
        return self._load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Plugins:
    """The plug-ins of some entry points, loaded when asked for and kept: a policy holds no state, one is enough."""

    def __init__(self, entries: Iterable[EntryPoint]) -> None:
        found: dict[tuple[str, str], list[EntryPoint]] = {}
        for entry in entries:
            same = found.setdefault((entry.group, entry.name), [])
            if entry not in same:
                same.append(entry)
        # Who describes an entry reads the metadata of its package, which takes a hundred times as long as all the rest.
        self._entries = {
            key: tuple(sorted(same, key=_described) if len(same) > 1 else same) for key, same in sorted(found.items())
        }
        self._policies: dict[str, Policy] = {}
        self._schedules: dict[str, Schedule] = {}
        self.policies: Mapping[str, Policy] = _Lazy(self.names(POLICIES), self.policy, prefix=PREFIX)
        self.schedules: Mapping[str, Schedule] = _Lazy(self.names(SCHEDULES), self.schedule)

    @classmethod
    def installed(cls) -> Plugins:
        """Everything that the installed distributions declare."""
        declared = entry_points()  # once: each call reads what every package declares
        return cls(entry for group in GROUPS for entry in declared.select(group=group))

    def names(self, group: str) -> tuple[str, ...]:
        """Names in one of `GROUPS`, in order, loaded or not."""
        return tuple(name for own, name in self._entries if own == group)

    def policy(self, name: str) -> Policy:
        """The placement policy `name`, or the exploring form of it. Raises `CallerError` when there is none."""
        policy = self._policies.get(name)
        if policy is None and name.startswith(PREFIX):
            inner = self.policy(name.removeprefix(PREFIX))
            if not isinstance(inner, Forceable):
                raise CallerError(
                    f"policy {inner.name!r} cannot be made to explore, as it cannot be told which way to go; "
                    "nothing was sent"
                )
            policy = self._policies[name] = Explore(inner)
        if policy is None:
            entry = self._entry(POLICIES, name)
            made = _made(entry)
            if not isinstance(made, Policy):
                raise _lacks(entry, made, "policy", ("name", "needs", "decide"))
            needs: object = made.needs
            if not isinstance(needs, tuple) or not all(isinstance(need, str) for need in needs):
                raise CallerError(f"{_described(entry)}: `needs` must be a tuple of parameter ids; nothing was sent")
            policy = self._policies[name] = made
        return policy

    def schedule(self, name: str) -> Schedule:
        """The schedule `name`. Raises `CallerError` when there is none, or it is none."""
        schedule = self._schedules.get(name)
        if schedule is None:
            entry = self._entry(SCHEDULES, name)
            made = _made(entry)
            if not isinstance(made, Schedule):
                raise _lacks(entry, made, "schedule", ("name", "check", "due"))
            schedule = self._schedules[name] = made
        return schedule

    def venue(self, name: str) -> OpenVenue:
        """What opens the venue `name`. Raises `CallerError` when there is none, or it cannot be called."""
        opens: OpenVenue = self._opener(VENUES, name, "a venue")
        return opens

    def environments(self, name: str) -> tuple[str, ...]:
        """The environments that the venue `name` states, () where it states none. Raises `CallerError` as `venue`."""
        opens: object = self.venue(name)
        return opens.environments if isinstance(opens, HasEnvironments) else ()

    def market(self, name: str) -> OpenMarket:
        """What opens the public side of the venue `name`. Raises `CallerError` as `venue`."""
        opens: OpenMarket = self._opener(MARKETS, name, "a market")
        return opens

    def emulator(self, name: str) -> OpenEmulator:
        """What makes an emulator of the venue `name`. Raises `CallerError` as `venue`."""
        opens: OpenEmulator = self._opener(EMULATORS, name, "an emulator")
        return opens

    def rig(self, name: str) -> OpenRig:
        """What puts the venue `name` under simulation. Raises `CallerError` as `venue`."""
        entry = self._entry(RIGS, name)
        opens = _loaded(entry)
        if not isinstance(opens, OpenRig):
            raise _lacks(entry, opens, "rig", ("faults", "__call__"))
        return opens

    def _opener(self, group: str, name: str, what: str) -> Callable[..., Opened]:
        """The function that an entry point names."""
        entry = self._entry(group, name)
        opens: Callable[..., Opened] | object = _loaded(entry)
        if not callable(opens):
            raise CallerError(f"{_described(entry)} is not a function that opens {what}; nothing was sent")
        return opens

    def _entry(self, group: str, name: str) -> EntryPoint:
        """The one entry point of that name."""
        same = self._entries.get((group, name), ())
        if not same:
            known = ", ".join(self.names(group)) or "none"
            raise CallerError(f"there is no {name!r} among {group}; nothing was sent. Installed: {known}")
        if len(same) > 1:
            both = " and ".join(_described(entry) for entry in same)
            raise CallerError(
                f"{name!r} is claimed twice among {group}, by {both}; nothing was sent. Uninstall one of them"
            )
        return same[0]


def _made(entry: EntryPoint) -> object:
    """What the entry point names, or an instance of it where that is a class; it goes by the name of its entry."""
    made = _loaded(entry)
    if isinstance(made, type):
        try:
            made = made()
        except Exception as error:
            raise CallerError(
                f"{_described(entry)} cannot be made without arguments: {error}; nothing was sent"
            ) from error
    name = getattr(made, "name", entry.name)
    if name != entry.name:
        raise CallerError(
            f"{_described(entry)} calls itself {name!r} and not {entry.name!r}; nothing was sent. "
            f"Give both one name: it goes into every decision record"
        )
    return made


def _lacks(entry: EntryPoint, made: object, what: str, members: tuple[str, ...]) -> CallerError:
    """The refusal of an object that lacks members of its protocol."""
    missing = ", ".join(member for member in members if not hasattr(made, member))
    return CallerError(f"{_described(entry)} is no {what}: it has no {missing}; nothing was sent")


def _loaded(entry: EntryPoint) -> object:
    """The object that an entry point names."""
    try:
        return entry.load()
    except (Exception, SystemExit) as error:  # a module that exits when it is imported must not end the router
        raise CallerError(
            f"{_described(entry)} cannot be imported: {type(error).__name__}: {error}; nothing was sent"
        ) from error


def _described(entry: EntryPoint) -> str:
    """Package, group, name and target of an entry point, for errors."""
    package = f"package {entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unnamed package"
    return f"{entry.group} {entry.name!r} = {entry.value!r} of {package}"
