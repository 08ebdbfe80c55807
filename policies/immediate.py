"""`immediate`: everything is due now, by the deadline."""

from __future__ import annotations

from sor.errors import CallerError
from sor.policy import Due


class Immediate:
    """Schedule: one slice, the whole parent."""

    name = "immediate"

    def check(self, args: dict[str, float]) -> None:
        """Raise `CallerError` for any argument: there are none."""
        if args:
            raise CallerError(f"schedule immediate takes no arguments, got {', '.join(sorted(args))}; nothing was sent")

    def due(
        self, *, qty_lots: int, start_ns: int, deadline_ns: int, now_ns: int, min_lots: int, args: dict[str, float]
    ) -> Due:
        """All of it, whatever the time."""
        return Due(qty_lots, deadline_ns, None)
