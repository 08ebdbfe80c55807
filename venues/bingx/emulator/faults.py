"""Switching faults on and off, and the question whether one strikes now. The faults themselves: `fault_table`.

A fault is written `NAME` or `NAME=key=value,key=value`; `-NAME` switches it off. Beside its own keys each takes

    count    strike so often, then be off by itself (0: no end)
    after    let so many occasions pass first
    p        strike with this probability, drawn from a generator of the fault's own, begun at `seed`
    on       only where this text occurs: in `METHOD /path` of a request, in the event of a push, in a topic
    account  only for this account
    symbol   only for this symbol
    for_ms   be off by itself after this time

Occasions that a filter passes over are neither counted nor drawn for, so one seed names one course of events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from sor.emulation import FaultHelp
from sor.errors import CallerError
from sor.units import MS
from venues.bingx.emulator.fault_table import COMMON, FAULTS, Arg, Fault, Kind
from venues.emulation.faults import ByteFaults, Hits

_MASK = (1 << 64) - 1


class Strike(msgspec.Struct, frozen=True, gc=False):
    """A fault that strikes now, with the values of its keys."""

    fault: Fault
    values: Mapping[str, str]

    def text(self, key: str) -> str:
        """One key's value."""
        return self.values[key]

    def whole(self, key: str) -> int:
        """One key's value as a whole number."""
        return int(self.values[key])

    def ns(self, key: str = "ms") -> int:
        """A duration in ms as ns."""
        return int(self.values[key]) * MS


class Armed:
    """One fault that is on."""

    __slots__ = ("_draw", "_left", "_probability", "_skip", "_until_ns", "strike", "struck")

    def __init__(self, strike: Strike, *, now_ns: int) -> None:
        self.strike = strike
        self.struck = 0
        self._left = strike.whole("count")
        self._skip = strike.whole("after")
        self._probability = float(strike.text("p"))
        self._draw = strike.whole("seed") & _MASK
        lasts_ns = strike.ns("for_ms")
        self._until_ns = now_ns + lasts_ns if lasts_ns else 0

    def over(self, now_ns: int) -> bool:
        """It has ended by itself."""
        return 0 < self._until_ns <= now_ns or (self.struck > 0 and self.struck == self._left)

    def fits(self, *, on: str, account: str, symbol: str) -> bool:
        """Whether its filters pass this occasion."""
        values = self.strike.values
        return (
            values["on"] in on
            and (not values["account"] or values["account"] == account)
            and (not values["symbol"] or values["symbol"] == symbol)
        )

    def occasion(self) -> bool:
        """Whether it strikes at this occasion, which its filters passed."""
        if self._skip:
            self._skip -= 1
            return False
        if self._probability < 1.0 and self._uniform() >= self._probability:
            return False
        self.struck += 1
        return True

    def _uniform(self) -> float:
        """The next of a SplitMix64 sequence, in [0, 1): a dozen lines of arithmetic, the same on every machine."""
        self._draw = (self._draw + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._draw
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return float(((mixed ^ (mixed >> 31)) >> 11) / (1 << 53))


class Faults:
    """Which faults are on. `now_ns` is the emulator's own clock."""

    __slots__ = ("_actions", "_armed", "_now_ns", "_struck")

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._armed: dict[str, Armed] = {}
        self._actions: dict[str, Callable[[Strike], None]] = {}
        self._struck: dict[str, int] = {}

    def on_switch(self, name: str, action: Callable[[Strike], None]) -> None:
        """What a fault that happens at once does."""
        assert FAULTS[name].kind is Kind.AT_ONCE, name
        self._actions[name] = action

    def switch(self, text: str) -> None:
        """`NAME`, `NAME=ARGS` or `-NAME`. Raises `CallerError` for what is not known; nothing has changed then."""
        if text.startswith("-"):
            name = text[1:]
            if name not in FAULTS:
                raise CallerError(_unknown(name))
            self._armed.pop(name, None)
            return
        strike = read_fault(text)
        name = strike.fault.name
        if strike.fault.kind is Kind.AT_ONCE:
            self._struck[name] = self._struck.get(name, 0) + 1
            self._actions[name](strike)
        else:
            self._armed[name] = Armed(strike, now_ns=self._now_ns())

    def strikes(self, name: str, *, on: str = "", account: str = "", symbol: str = "") -> Strike | None:
        """The fault if it strikes at this occasion."""
        armed = self._armed.get(name)
        if armed is None:
            return None
        if armed.over(self._now_ns()):
            del self._armed[name]
            return None
        if not armed.fits(on=on, account=account, symbol=symbol) or not armed.occasion():
            return None
        self._struck[name] = self._struck.get(name, 0) + 1
        return armed.strike

    def is_on(self, name: str, *, on: str = "", account: str = "", symbol: str = "") -> Strike | None:
        """The fault if it is on and its filters pass: for what lasts instead of striking."""
        armed = self._armed.get(name)
        if armed is None or armed.over(self._now_ns()) or not armed.fits(on=on, account=account, symbol=symbol):
            return None
        return armed.strike

    def active(self) -> dict[str, Mapping[str, str]]:
        """The keys of every fault that is on, in the order in which they were switched on."""
        now_ns = self._now_ns()
        return {name: armed.strike.values for name, armed in self._armed.items() if not armed.over(now_ns)}

    def struck(self) -> dict[str, int]:
        """How often each fault struck since the start."""
        return dict(self._struck)

    def clear(self) -> None:
        """Switch all off."""
        self._armed.clear()


def read_fault(text: str) -> Strike:
    """A fault as it is written. Raises `CallerError` for a name, key or value that it has not."""
    name, _, rest = text.partition("=")
    fault = FAULTS.get(name)
    if fault is None:
        raise CallerError(_unknown(name))
    args = {arg.name: arg for arg in (*COMMON, *fault.args)}
    values = {key: arg.default for key, arg in args.items()}
    for part in rest.split(",") if rest else ():
        key, equals, value = part.partition("=")
        if key not in args or not equals:
            raise CallerError(f"fault {name} takes {', '.join(args)} as key=value, not {part!r}; nothing was switched")
        values[key] = _checked(name, args[key], value)
    missing = [key for key, arg in args.items() if arg.required and not values[key]]
    if missing:
        raise CallerError(f"fault {name} needs {', '.join(missing)}; nothing was switched")
    return Strike(fault, values)


def _checked(name: str, arg: Arg, value: str) -> str:
    if arg.words:
        fine = value in arg.words
        wanted = f"one of {', '.join(arg.words)}"
    elif arg.whole:
        digits = value.removeprefix("-") if arg.signed else value
        fine = digits.isascii() and digits.isdigit() and len(digits) <= 12
        wanted = "a whole number"
    elif arg is PROBABILITY:
        fine = value.replace(".", "", 1).isdigit() and 0 <= float(value) <= 1
        wanted = "from 0 to 1"
    else:
        return value
    if not fine:
        raise CallerError(f"{arg.name} of fault {name} must be {wanted}, not {value!r}; nothing was switched")
    return value


PROBABILITY = next(arg for arg in COMMON if arg.name == "p")


def _unknown(name: str) -> str:
    return f"there is no fault {name!r}; there are: {', '.join(FAULTS)}; nothing was switched"


def fault_help() -> tuple[FaultHelp, ...]:
    """Every fault, as the command line lists them; those of bytes last."""
    own = tuple(FaultHelp(name=fault.name, args=usage(fault), text=fault.text) for fault in FAULTS.values())
    return own + ByteFaults().help


def usage(fault: Fault) -> str:
    """A fault's own keys with their defaults, as they are written; of several words the first is the default."""
    return ",".join([f"{arg.name}={'|'.join(arg.words) or arg.default or arg.name.upper()}" for arg in fault.args])


def manual() -> str:
    """The page `faults.md`."""
    lines = [_PREFACE]
    for kind in Kind:
        lines += ["", f"## {kind.value}", "", "| fault | keys and defaults | what happens |", "|---|---|---|"]
        lines += [
            f"| `{fault.name}` | {f'`{_cell(usage(fault))}`' if fault.args else ''} | {fault.text} |"
            for fault in FAULTS.values()
            if fault.kind is kind
        ]
    lines += ["", "## Bytes of a connection", "", _BYTES, "", "| fault | keys | what happens |", "|---|---|---|"]
    lines += [f"| `{one.name}` | `{_cell(one.args)}` | {one.text} |" for one in ByteFaults().help]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_BYTES = (
    "These belong to the shared core of all emulators and have keys of their own instead of those above: `hits` is one "
    "of " + ", ".join([f"`{one.value}`" for one in Hits]) + "."
)
_PREFACE = """# Faults of the BingX emulator

All are off by default. They are switched on with `--fault` at the start or through the control endpoint while it runs,
as `NAME` or `NAME=key=value,key=value`, and off as `-NAME`. What happens at once cannot be switched off. Of several
words for a key the first is the default.

Keys that every fault takes:

| key | default | meaning |
|---|---|---|
""" + "\n".join([f"| `{arg.name}` | {arg.default} | {arg.text} |" for arg in COMMON])
