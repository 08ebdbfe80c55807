"""How a view becomes a decision: the policy is asked, then the invariants have the last word.

The recorded form hands back what a journal holds instead, so that a restart folds what was decided and not what a
newer policy would decide; the checking form recomputes and compares (S7).
"""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np

from sor.commands import Decided
from sor.errors import CallerError, ReplayDiverged
from sor.features import FEATURE_NAMES
from sor.invariants import apply as apply_invariants
from sor.limits import Limits
from sor.params import Params
from sor.parent import Parent
from sor.policy import POLICY_FAULT, Decision, Due, Policy, Schedule
from sor.regime import Regime
from sor.revisit import Revisit
from sor.snapshot import View
from sor.units import MS, NS

_SLICE_PRICE_PERCENT = 90


class PluginFault(Exception):
    """A schedule failed, or answered with what is no answer."""


class Uninstalled:
    """Stands in for a policy of the journal that is not installed any more: asked for a decision, it has none."""

    needs: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def decide(self, view: View, params: Params) -> Decision:
        """Raises `CallerError`."""
        del view, params
        raise CallerError(f"policy {self.name!r} is not installed any more")


def _plain(value: object) -> object:
    """A numpy scalar as the number it stands for."""
    if isinstance(value, np.generic):
        plain: object = value.item()
        return plain
    raise TypeError(f"a decision cannot hold a {type(value).__name__}")


_encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_decode = msgspec.msgpack.Decoder(Decision).decode


def decide(parent: Parent, policy: Policy, view: View, params: Params) -> tuple[Decision, tuple[str, ...]]:
    """Ask the policy and apply the invariants, both under the parameters of the regime that the view shows.

    The decision says which regime that was.
    """
    del parent
    return ruled(policy, view, params, params.regime_of(view.market.features))


def ruled(policy: Policy, view: View, params: Params, regime: Regime | None) -> tuple[Decision, tuple[str, ...]]:
    """As `decide`, in a given regime; a policy that raises or talks nonsense gets its parent ended safely.

    The answer is taken through the journal's encoding first: what is acted on is then what will be read back, of the
    types that the contract names, whatever the policy handed over.
    """
    params = params.within(regime)
    try:
        decision = _decode(_encode(policy.decide(view, params)))
        _check_revisit(decision)
        ruling = apply_invariants(decision, view, params, regime="" if regime is None else regime.value)
    except Exception as error:  # noqa: BLE001 - a plug-in's bug must not stop the other parents or leave orders resting
        note = f"policy {policy.name!r} raised {type(error).__name__}: {error}"
        return Decision(placements=(), revisit=Revisit(), reason=POLICY_FAULT, note=note), ()
    return ruling.decision, ruling.vetoes


def _check_revisit(decision: Decision) -> None:
    moved = decision.revisit.best_moved_ticks
    if moved is not None and moved < 0:
        raise CallerError(f"a best price that has moved {moved} ticks would ask again at once, for ever")
    ahead = decision.revisit.queue_ahead_below_lots
    if ahead is not None and ahead < 1:
        raise CallerError(f"there are never less than {ahead} lots ahead of an order")
    for trigger in decision.revisit.triggers:
        if trigger.feature not in FEATURE_NAMES:
            raise CallerError(f"there is no market feature {trigger.feature!r}")


def _slice_min_lots(parent: Parent) -> int:
    """The smallest slice worth planning: one that the venue's least quantity and least value let through.

    By the price at arrival, a tenth lower: a slice that a falling market makes worthless would be left at the end.
    """
    instrument = parent.instrument
    if parent.order.reduce_only or parent.arrival_hticks is None:
        return instrument.min_qty_lots
    return instrument.min_lots_at(max(1, parent.arrival_hticks * _SLICE_PRICE_PERCENT // 200))


def due_of(parent: Parent, schedule: Schedule | None, limits: Limits, *, now_ns: int) -> Due:
    """What a parent's schedule wants done by now. Raises `PluginFault` when it cannot say."""
    name = parent.order.schedule
    if schedule is None:
        raise PluginFault(f"schedule {name!r} is not installed any more")
    try:
        due = schedule.due(
            qty_lots=parent.ledger.order_lots,
            start_ns=parent.start_ns,
            deadline_ns=parent.deadline_ns - limits.cross_margin_ns,
            now_ns=now_ns,
            min_lots=_slice_min_lots(parent),
            args=parent.order.schedule_args,
        )
        next_ns = None if due.next_ns is None else max(int(due.next_ns), now_ns + MS)  # "now" would be asked for ever
        return Due(int(due.target_lots), int(due.by_ns), next_ns)
    except Exception as error:
        raise PluginFault(f"schedule {name!r} raised {type(error).__name__}: {error}") from error


class Recorded:
    """Decisions read from a journal, handed back in their order."""

    def __init__(self) -> None:
        self._waiting: deque[Decided] = deque()

    def expect(self, decided: Decided) -> None:
        """The next decision of the turn that is being folded."""
        self._waiting.append(decided)

    def __call__(self, parent: Parent, policy: Policy, view: View, params: Params) -> tuple[Decision, tuple[str, ...]]:
        """The decision that was made then. Raises `ReplayDiverged` when the journal holds none for this parent."""
        decided = self._next(parent)
        del policy, view, params
        return decided.decision, decided.vetoes

    def _next(self, parent: Parent) -> Decided:
        while self._waiting and self._waiting[0].by == "deadline":
            self._waiting.popleft()  # made by the machine, which makes it anew
        if not self._waiting or self._waiting[0].parent_no != parent.no:
            raise ReplayDiverged(
                f"the journal holds no decision of parent {parent.id!r} where the fold makes one; it was written by "
                "another version, or it was changed. Nothing was sent"
            )
        return self._waiting.popleft()


class Checked(Recorded):
    """Recomputes every decision and compares it with the recorded one, bit for bit; `count` of them were the same."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __call__(self, parent: Parent, policy: Policy, view: View, params: Params) -> tuple[Decision, tuple[str, ...]]:
        """The recorded decision. Raises `ReplayDiverged` when the policy now decides otherwise."""
        decided = self._next(parent)
        made, vetoes = decide(parent, policy, view, params)
        if (made, vetoes) != (decided.decision, decided.vetoes):
            raise ReplayDiverged(
                f"decision {self.count + 1} of this journal, of parent {parent.id!r} "
                f"{(view.now_ns - parent.accepted_ns) / NS:.3f} s after its start: policy {policy.name!r} decided "
                f"{decided.decision.reason!r} then and decides {made.reason!r} now on the same view and parameters; "
                f"the first difference is in {_difference(decided, made, vetoes)}. Nothing was sent"
            )
        self.count += 1
        return decided.decision, decided.vetoes


def _difference(was: Decided, made: Decision, vetoes: tuple[str, ...]) -> str:
    """The first field that differs, with both values."""
    for field in Decision.__struct_fields__:
        before, after = getattr(was.decision, field), getattr(made, field)
        if before != after:
            return f"{field}: {before!r}, now {after!r}"
    return f"vetoes: {was.vetoes!r}, now {vetoes!r}"
