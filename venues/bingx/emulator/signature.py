"""Who is asking, and may they: API keys, the signature over the parameters as received, and the window of time.

BingX verifies over the decoded parameters in the order in which they came, whatever that is; hex in either case. A
timestamp is good for `recvWindow` after its moment. How far ahead of the venue it may be is not documented: here as
far ahead as behind, so that a wrong clock is noticed in both directions.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from sor.units import MS
from venues.bingx.emulator.parameters import SIGNATURE, Parameters, refused

KEY_HEADER = "x-bx-apikey"
WINDOW_MS = 5_000
"""The default window, and the largest: a wider `recvWindow` counts as this."""

WRONG_SIGNATURE = 100001
NO_PERMISSION = 100004
NO_SIGNATURE = 100412
WRONG_KEY = 100413
WRONG_ADDRESS = 100419
WRONG_TIME = 100421


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key of one account.

    account    whose it is, by name.
    trades     it may change something; a key is read-only by default at BingX.
    hosts      the only addresses it may be used from; empty: all.
    """

    key: str
    secret: str
    account: str
    trades: bool = True
    hosts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ApiKey({self.account}, trades={self.trades})"


class Gate:
    """The keys that there are. Holds nothing else, so that a check is a function of the request and the time."""

    __slots__ = ("_keys",)

    def __init__(self, keys: tuple[ApiKey, ...]) -> None:
        self._keys = {key.key: key for key in keys}

    def owner(self, name: str) -> str:
        """Whose key it says it is, by name; "" for nobody's."""
        found = self._keys.get(name)
        return found.account if found is not None else ""

    def key(self, name: str) -> ApiKey:
        """The key that a header names. Raises `Refused` (100413) for one that there is not."""
        found = self._keys.get(name)
        if found is None:
            raise refused(WRONG_KEY, "Incorrect apiKey" if name else "Null apiKey")
        return found

    def admit(self, parameters: Parameters, *, key_name: str, host: str, now_ns: int, changes: bool) -> ApiKey:
        """Whose request this is.

        changes    the request changes something, which a read-only key may not.
        Raises     `Refused`: 100413 key, 100412 no signature, 100421 time, 100001 signature, 100419 address, 100004
                   permission; judged in this order.
        """
        key = self.key(key_name)
        signature = parameters.text(SIGNATURE)
        if not signature:
            raise refused(NO_SIGNATURE, "Null signature")
        stamp = parameters.text("timestamp")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 18):
            raise refused(WRONG_TIME, "Null timestamp or timestamp mismatch")
        window_ms = min(max(parameters.whole("recvWindow", default=WINDOW_MS), 1), WINDOW_MS)
        if abs(now_ns // MS - int(stamp)) > window_ms:
            raise refused(
                WRONG_TIME,
                f"Null timestamp or timestamp mismatch: timestamp {stamp}, serverTime {now_ns // MS}, "
                f"recvWindow {window_ms}",
            )
        if not any(_signs(key.secret, text, signature) for text in parameters.signed):
            raise refused(WRONG_SIGNATURE, "Signature verification failed due to signature mismatch")
        if key.hosts and host not in key.hosts:
            raise refused(WRONG_ADDRESS, f"your current request IP {host} does not match the IP whitelist")
        if changes and not key.trades:
            raise refused(
                NO_PERMISSION,
                "Permission denied as the API key was created without the permission: Perpetual Futures Trading",
            )
        return key


def _signs(secret: str, text: str, signature: str) -> bool:
    expected = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.lower().encode())
