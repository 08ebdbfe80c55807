"""Secrets: keys that sign, and texts that must not be seen. Nothing here shows one unless it is asked to `reveal`."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import deque

from sor.errors import CallerError

_BLOCK = 64
"""Bytes of a SHA-256 block."""
_SHORTEST = 6
"""A shorter text is not scrubbed: it would blot out half of every message."""


class Secret:
    """One secret text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text or text != text.strip() or not text.isascii() or not text.isprintable():
            raise CallerError("a key is empty, or holds spaces, line breaks or other characters; nothing was sent")
        self._text = text

    def reveal(self) -> str:
        """The text itself, for signing and sending only."""
        return self._text

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> str:
        raise CallerError("a secret is not copied or written anywhere")


def digest_of(*parts: str) -> str:
    """16 hexadecimal digits that stand for a text, so that it can be told from others where it may be seen."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class HmacSha256:
    """Signs with one secret. The two hash states that the key alone decides are prepared once (0.7 us a signature).

    Source: RFC 2104.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, secret: Secret) -> None:
        key = secret.reveal().encode()
        if len(key) > _BLOCK:
            key = hashlib.sha256(key).digest()
        key = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(each ^ 0x36 for each in key))
        self._outer = hashlib.sha256(bytes(each ^ 0x5C for each in key))

    def hex(self, payload: bytes) -> str:
        """64 lower-case hexadecimal digits."""
        inner = self._inner.copy()
        inner.update(payload)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def base64(self, payload: bytes) -> str:
        """44 characters of standard base64."""
        return b64encode(bytes.fromhex(self.hex(payload))).decode()


class Secrets:
    """What a session must keep out of every text: its keys, and the newest of the tokens that the venue gave it."""

    __slots__ = ("_kept", "_tokens")

    def __init__(self, *kept: Secret, tokens_max: int = 16) -> None:
        self._kept = kept
        self._tokens: deque[Secret] = deque(maxlen=tokens_max)

    def add(self, token: Secret) -> None:
        """One more, such as a listen key; the oldest token is forgotten."""
        self._tokens.append(token)

    def scrub(self, text: str) -> str:
        """`text` without any of them: venues echo parameters and keys in their error messages."""
        for each in (*self._kept, *self._tokens):
            secret = each.reveal()
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, "<secret>")
        return text

    def __repr__(self) -> str:
        return f"<{len(self._kept) + len(self._tokens)} secrets>"
