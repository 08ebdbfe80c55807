"""Rate limits as BingX counts them: per user and endpoint within a second, per address and group within ten.

Windows are fixed and begin with the first call in them. Whoever exceeds one is refused for a while (five minutes), and
whoever goes on calling then is banned from all of it with HTTP 418. Replies of public endpoints say what is left of
the endpoint's window; whether signed ones do is unverified, and here they do not.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec

from sor.units import MS, NS

REMAIN_HEADER = "X-RateLimit-Requests-Remain"
EXPIRE_HEADER = "X-RateLimit-Requests-Expire"
IP_WINDOW_NS = 10 * NS
UID_WINDOW_NS = NS
COUNTERS_MAX = 4_096
"""Windows kept at a time; the oldest goes."""


class Group(IntEnum):
    """The budgets of an address. The number is the group's, not a rate."""

    MARKET = 1
    ACCOUNT = 2
    TRADE = 3


GROUP_CALLS = {Group.MARKET: 500, Group.ACCOUNT: 2_000, Group.TRADE: 2_000}
ENDPOINT_CALLS = {Group.MARKET: 500, Group.ACCOUNT: 300, Group.TRADE: 300}


class Excess(StrEnum):
    """How a call too many is answered."""

    OLD_CODE = "100410"
    NEW_CODE = "109429"
    HTTP = "429"


class LimitRules(msgspec.Struct, frozen=True, kw_only=True):
    """What is enforced, and how.

    users, addresses    whether the two dimensions count at all.
    oldest              the figures of October 2025 instead of those of April 2026.
    pause_ns            for how long a limit that was exceeded refuses.
    ban_after           refused calls in that time, after which the address is banned.
    ban_ns              for how long.
    """

    users: bool = True
    addresses: bool = True
    oldest: bool = False
    excess: Excess = Excess.OLD_CODE
    pause_ns: int = 300 * NS
    ban_after: int = 50
    ban_ns: int = 300 * NS


class Pass(msgspec.Struct, frozen=True, gc=False):
    """A call may go on; what is left of its window, in calls and ms (public endpoints show it)."""

    remain: int
    expire_ms: int


class Stop(msgspec.Struct, frozen=True, gc=False):
    """A call too many. `banned`: the whole address is shut out. `until_ns`: until when this will be so."""

    until_ns: int
    banned: bool


class _Window:
    __slots__ = ("began_ns", "calls", "refused", "until_ns")

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self.calls = 0
        self.until_ns = 0
        self.refused = 0


class Limits:
    """Every window that is open.

    lifted      set it, and nothing is enforced for as long; what is left is shown all the same.
    exceeded    calls that were too many, since the start.
    """

    __slots__ = ("_banned_until_ns", "_windows", "exceeded", "lifted", "rules")

    def __init__(self, rules: LimitRules) -> None:
        self.rules = rules
        self.lifted = False
        self.exceeded = 0
        self._windows: dict[str, _Window] = {}
        self._banned_until_ns: dict[str, int] = {}

    def ask(
        self, *, host: str, account: str, endpoint: str, group: Group, per_s: int, now_ns: int, shown: bool
    ) -> Pass | Stop:
        """Count one call.

        account    "" for a public endpoint, which no user's budget counts.
        endpoint   method and path.
        per_s      calls a second and user, 0: only the address counts.
        shown      whether the reply says what is left, which has to be reckoned even if nothing is enforced.
        """
        banned_ns = self._banned_until_ns.get(host, 0)
        if now_ns < banned_ns and not self.lifted:
            return Stop(until_ns=banned_ns, banned=True)
        users, addresses = (False, False) if self.lifted else (self.rules.users, self.rules.addresses)
        left = Pass(remain=0, expire_ms=0)
        if addresses or shown:
            budgets = ((f"{host} {group}", GROUP_CALLS[group]), (f"{host} {group} {endpoint}", ENDPOINT_CALLS[group]))
            for key, calls_max in budgets:
                verdict = self._count(key, calls_max, IP_WINDOW_NS, now_ns, host, enforced=addresses)
                if isinstance(verdict, Stop):
                    return verdict
                left = verdict
        if users and per_s and account:
            verdict = self._count(f"{account} {endpoint}", per_s, UID_WINDOW_NS, now_ns, host, enforced=True)
            if isinstance(verdict, Stop):
                return verdict
        return left

    def ban(self, host: str, *, until_ns: int) -> None:
        """Shut an address out."""
        self._banned_until_ns[host] = until_ns

    def forgive(self) -> None:
        """Open every window anew and lift every ban."""
        self._windows.clear()
        self._banned_until_ns.clear()

    def _count(
        self, key: str, calls_max: int, window_ns: int, now_ns: int, host: str, *, enforced: bool
    ) -> Pass | Stop:
        window = self._windows.get(key)
        if window is not None and window.until_ns and enforced:
            if now_ns < window.until_ns:
                return self._refuse(window, now_ns, host)
            window = None
        if window is None or now_ns - window.began_ns >= window_ns:
            self._windows.pop(key, None)
            while len(self._windows) >= COUNTERS_MAX:
                del self._windows[next(iter(self._windows))]
            window = self._windows[key] = _Window(now_ns)
        if window.calls >= calls_max and enforced:
            window.until_ns = now_ns + self.rules.pause_ns
            return self._refuse(window, now_ns, host)
        window.calls += 1
        return Pass(remain=max(0, calls_max - window.calls), expire_ms=(window.began_ns + window_ns - now_ns) // MS)

    def _refuse(self, window: _Window, now_ns: int, host: str) -> Stop:
        self.exceeded += 1
        window.refused += 1
        if window.refused > self.rules.ban_after:
            self.ban(host, until_ns=now_ns + self.rules.ban_ns)
            return Stop(until_ns=now_ns + self.rules.ban_ns, banned=True)
        return Stop(until_ns=window.until_ns, banned=False)
