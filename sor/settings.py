"""How a router runs: what whoever starts one may choose."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import msgspec

from sor.ids import AccountId, ParentId
from sor.journal import Durability, Environment


class Neighbours(StrEnum):
    """What orders with another journal's mark are on the accounts of this router."""

    REFUSE = "refuse"
    """Nobody has said: with such orders there, a start is refused."""
    LEAVE = "leave"
    """Those of a router that runs beside this one: they stay, and what they fill is a foreign flow."""
    ADOPT = "adopt"
    """Left behind by a router that is no more: ours to close, as strays are."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a router runs.

    journal           directory of the journal; made when it is not there.
    environment       what the venues are; a journal belongs to one and is refused by another.
    durability        KERNEL: every turn is handed to the kernel (survives `kill -9`); SYNCED: to the disk (power loss),
                      what has come together as one turn.
    default_set       param-set of parents that name none.
    param_dirs        further directories of param-sets, searched after the packaged ones.
    watch             symbols, in any spelling, whose books are followed from the start, so that features rest on data
                      when a parent comes. Others are followed from their first parent on.
    intent_policy     policy of intents whose metadata names none.
    intent_leverage   leverage of intents that enter and name none (B4); None leaves the account's setting alone.
    resume            which parents of the journal go on where an earlier process left them; others that were still at
                      work are withdrawn before anything else. None: all go on.
    dead_man_s        while anything of ours rests the venues have a switch that cancels it all when they have not
                      heard of us for this long; 0 for no such switch. Starting is refused where a venue has none, or
                      where its scope is an account or a symbol that is not declared `exclusive`: it would cancel what
                      others placed there.
    exclusive         nobody but this router trades on the accounts of these venues.
    same_accounts     somebody vouches that the venues are connected with the accounts whose orders the journal has,
                      although they identify as others; else such a start is refused while a parent is at work there.
    neighbours        what orders with another journal's mark are: `Neighbours`.
    account           what the account of these venues is called; parents that name another one are refused.
    positions_s       how often the venues' positions are set beside ours: what their trades do not explain in two
                      readings is a flow of its own, and an alarm. 0 for at the start only.
    reconcile_s       how often the venues' open orders and fills are set beside ours: strays of our own mark are
                      withdrawn, orders that are not as told are looked up, each with an alarm. 0 for at the start, and
                      when a venue comes back, only.
    retire_s          parents that are over leave working memory, packed, once nothing was heard of them for this long;
                      what is late meets them all the same. 0 for never.
    forget_s          what is left of them goes after this: the same id is refused from then on, and what turns up of
                      them is foreign. No sooner than venues forget their orders; 0 for never.
    start_patience_s  a venue that turns us away at the start, for having been asked too much, is asked again once its
                      time is over, if that is within this; else the start is refused. A process that ends instead is
                      started again by whoever looks after it, and what was a limit becomes a ban.
    shutdown_s        how long leaving waits until everything is withdrawn.
    checkpoint_bytes  once so much was recorded since the last one, and no less than that one has, the state is written
                      down beside the journal, which a start then goes on from instead of all turns before; 0 for never.
    switch_poll_s     how often a router looks whether somebody has asked to move the kill switch of its journal
                      (`sor kill`). kill_signal: SIGUSR1 halts it too; for one router of a process, in its main thread.
    params_poll_s     how often param-set files are looked at for changes; 0 for never.
    """

    journal: Path
    environment: Environment = Environment.SIMULATED
    durability: Durability = Durability.KERNEL
    default_set: str = "baseline"
    param_dirs: tuple[Path, ...] = ()
    watch: tuple[str, ...] = ()
    intent_policy: str = "cross"
    intent_leverage: Decimal | None = Decimal(1)
    resume: tuple[ParentId, ...] | None = None
    dead_man_s: float = 0.0
    exclusive: bool = False
    same_accounts: bool = False
    neighbours: Neighbours = Neighbours.REFUSE
    account: AccountId = AccountId("default")
    positions_s: float = 30.0
    reconcile_s: float = 60.0
    retire_s: float = 900.0
    forget_s: float = 8 * 86_400.0
    start_patience_s: float = 600.0
    shutdown_s: float = 30.0
    checkpoint_bytes: int = 1 << 30
    switch_poll_s: float = 0.25
    kill_signal: bool = False
    params_poll_s: float = 2.0
