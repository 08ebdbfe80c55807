"""Ids that were used a moment ago: BingX takes none twice within a second."""

from __future__ import annotations


class Recent:
    """Remembers each id for `within_ms`, 0 for never."""

    __slots__ = ("_seen_ms", "_within_ms")

    def __init__(self, *, within_ms: int) -> None:
        self._within_ms = within_ms
        self._seen_ms: dict[str, int] = {}

    def again(self, name: str, *, now_ms: int) -> bool:
        """Whether it was used within the time; if not, it is now. An id that is refused for it is not used anew."""
        seen_ms = self._seen_ms
        while seen_ms:
            oldest = next(iter(seen_ms))
            if now_ms - seen_ms[oldest] < self._within_ms:
                break
            del seen_ms[oldest]
        if name in seen_ms:
            return True
        if self._within_ms:
            seen_ms[name] = now_ms
        return False
