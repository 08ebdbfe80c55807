"""Keys and signatures. Nothing here shows a secret: not in a repr, not in an error, not in a pickle."""

from __future__ import annotations

from hashlib import sha256
from typing import NoReturn

from sor.errors import CallerError

KEY_HEADER = "X-BX-APIKEY"
_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class Signer:
    """HMAC-SHA256 with one secret as lower-case hex; both halves of the key are hashed once, beforehand.

    api_key    goes into the header `KEY_HEADER` of every signed call. Not to be printed either.
    Raises     `CallerError` for an empty key or secret, or one that is not printable ASCII (a header would carry it).
    """

    __slots__ = ("_inner", "_outer", "api_key")

    def __init__(self, *, api_key: str, secret: str) -> None:
        for what, value in (("API key", api_key), ("API secret", secret)):
            if not value or not value.isascii() or not value.isprintable() or " " in value:
                raise CallerError(f"the BingX {what} is empty or holds characters that no key has; nothing was sent")
        self.api_key = api_key
        key = secret.encode()
        key = (sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(key.translate(_INNER))
        self._outer = sha256(key.translate(_OUTER))

    def sign(self, text: str) -> str:
        """The signature of `text`, 64 characters."""
        inner = self._inner.copy()
        inner.update(text.encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def __repr__(self) -> str:
        """Without key and secret."""
        return "Signer(<hidden>)"

    def __reduce__(self) -> NoReturn:
        """Refuse: what is pickled ends up in files."""
        raise TypeError("a Signer does not leave the process")
