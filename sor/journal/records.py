"""What a journal holds: facts and recorded wishes, their bytes, and the fingerprint of their types.

The structs are arrays on disk: fields grow at the end and have defaults, tags are never given to something else.
Then a journal that an older program wrote decodes in a newer one. The other way round is refused: a tag that this
program does not know is a `JournalFault`, never skipped.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TypeAlias

import msgspec
from msgspec import inspect

from sor.commands import Recorded
from sor.events import AnyFact

Record: TypeAlias = AnyFact | Recorded
"""One entry of a turn."""


def _plain(value: object) -> object:
    """A numpy scalar as the number it stands for: policies compute with numpy, and `numpy.float64` is easily leaked.

    Called by the encoder only for types that it does not know, so records without them do not pay for it.
    """
    item = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"{type(value).__name__} cannot be recorded")
    plain: object = item()
    return plain


# Deterministic: the elements of a set in their own order would differ between two runs of the same program.
encode = msgspec.msgpack.Encoder(order="deterministic", enc_hook=_plain).encode
"""Records of one turn to bytes, and whatever else stands beside them."""

_decoder: msgspec.msgpack.Decoder[list[Record]] = msgspec.msgpack.Decoder(list[Record])
decode = _decoder.decode
"""Bytes of one turn to records. Raises `ValueError`, of which `msgspec.DecodeError` is one."""


def kind_of(record: Record) -> str:
    """The tag of a record's type: `submit`, `report`, `place` and so on."""
    tag = record.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def by_name(value: object) -> object:
    """A record as plain data with every field under its name, ready for JSON; enums and decimals as their text."""
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        fields = {name: by_name(getattr(value, name)) for name in value.__struct_fields__}
        return {"kind": config.tag, **fields} if config.tag is not None else fields
    if isinstance(value, dict):
        return {str(key): by_name(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [by_name(each) for each in value]
    return msgspec.to_builtins(value, order="deterministic")


@cache
def schema() -> dict[str, tuple[str, ...]]:
    """Every struct and enum that a record can hold, by name, sorted: its tag, and `field: type` in the order on disk.

    Defaults are part of it: structs that omit them on disk mean another thing when a default changes. An enum lists
    its values.
    """
    return _schema_of(Record)


def _schema_of(*kinds: object) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for kind in kinds:
        _describe(inspect.type_info(kind), found)
    return dict(sorted(found.items()))


@cache
def fingerprint() -> bytes:
    """16 bytes that change when the types of the records do; a segment says with which it was written."""
    return fingerprint_of(Record)


def fingerprint_of(*kinds: object) -> bytes:
    """The same for other types that bytes are made of by `encode`."""
    return hashlib.blake2b(msgspec.json.encode(_schema_of(*kinds)), digest_size=16).digest()


def _describe(kind: inspect.Type, found: dict[str, tuple[str, ...]]) -> str:
    """Name of a type; structs and enums on the way are put into `found`."""
    match kind:
        case inspect.StructType(cls=cls):
            if cls.__name__ not in found:
                found[cls.__name__] = ()  # a type may hold itself
                shape = f"tag {kind.tag}, {'array' if kind.array_like else 'map'}"
                fields = (f"{f.name}: {_describe(f.type, found)}{_default(f)}" for f in kind.fields)
                found[cls.__name__] = (shape, *fields)
            return cls.__name__
        case inspect.EnumType(cls=cls):
            found[cls.__name__] = tuple(str(each.value) for each in cls)
            return cls.__name__
        case inspect.UnionType(types=types):
            return " | ".join(_describe(each, found) for each in types)
        case (
            inspect.VarTupleType(item_type=item)
            | inspect.ListType(item_type=item)
            | inspect.FrozenSetType(item_type=item)
        ):
            return f"[{_describe(item, found)}]"
        case inspect.NamedTupleType(cls=cls):
            if cls.__name__ not in found:
                found[cls.__name__] = tuple(f"{f.name}: {_describe(f.type, found)}" for f in kind.fields)
            return cls.__name__
        case inspect.TupleType(item_types=items):
            return f"({', '.join(_describe(each, found) for each in items)})"
        case inspect.DictType(key_type=key, value_type=value):
            return f"{{{_describe(key, found)}: {_describe(value, found)}}}"
        case _:
            return type(kind).__name__.removesuffix("Type").lower()


def _default(field: inspect.Field) -> str:
    """` = <default>` of a field, empty when it has none."""
    if field.required:
        return ""
    if field.default is not msgspec.NODEFAULT:
        return f" = {msgspec.json.encode(field.default, order='deterministic').decode()}"
    return f" = {msgspec.json.encode(field.default_factory()).decode()}"
