"""Keys of an account, from the environment or from a file that nobody else can read (D14, R7).

A file is JSON, an object of texts, or lines of `NAME=value`; `#` begins a comment line, `export` and quotes are allowed
as shells have them. It must be a plain file of this user's that group and others may not read. No error quotes what is
in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from sor.errors import CallerError
from sor.files import at_once
from venues.plumbing.keys import Secret

_FILE_BYTES_MAX = 64 * 1024


class Keys(msgspec.Struct, frozen=True):
    """What one account signs with."""

    key: Secret
    secret: Secret


def read_keys(
    *,
    key_name: str,
    secret_name: str,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    public: Keys | None = None,
) -> Keys:
    """The keys of these names: out of `file` when there is one, else out of the environment (None: the process's).

    public     keys that are no secret, for where there is no file and the environment has neither name.
    Raises `CallerError`, saying which names to set where, when one is missing or `file` may not be used.
    """
    if file is None:
        found: Mapping[str, str] = os.environ if environment is None else environment
        where = "the environment"
        if public is not None and not (found.get(key_name) or found.get(secret_name)):
            return public
    else:
        found = _read(file)
        where = str(file)
    missing = [name for name in (key_name, secret_name) if not found.get(name)]
    if missing:
        raise CallerError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in {where}; nothing was sent. Set "
            f"{key_name} and {secret_name} in the environment, or name a file with both by the option `secrets`"
        )
    try:
        return Keys(Secret(found[key_name]), Secret(found[secret_name]))
    except CallerError as error:
        raise CallerError(f"{key_name} or {secret_name} in {where}: {error}") from error


def _read(file: Path) -> dict[str, str]:
    """Names and values of a file. Raises `CallerError`."""
    try:
        with open(file, "rb", opener=at_once) as opened:
            about = os.fstat(opened.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise CallerError(f"{file} is not a file; nothing was sent")
            if about.st_mode & 0o077:
                raise CallerError(f"{file} can be read by others, so its keys are not used; run: chmod 600 {file}")
            if about.st_uid not in {os.getuid(), 0}:
                raise CallerError(f"{file} belongs to another user, so its keys are not used")
            content = opened.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise CallerError(f"{file} cannot be read ({error.strerror}); nothing was sent") from None
    if len(content) > _FILE_BYTES_MAX:
        raise CallerError(f"{file} is larger than {_FILE_BYTES_MAX} bytes: it holds more than keys; nothing was sent")
    try:
        if content.lstrip().startswith(b"{"):
            return msgspec.json.decode(content, type=dict[str, str])
        lines = content.decode().splitlines()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Without the cause: it quotes what it could not read.
        raise CallerError(f"{file} is neither JSON nor lines of NAME=value; nothing was sent") from None
    pairs = [line.strip().removeprefix("export ").partition("=") for line in lines if not line.lstrip().startswith("#")]
    return {name.strip(): _unquoted(value.strip()) for name, _, value in pairs if name.strip()}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
