"""A whole state as plain data, by walking what there is: nothing is asked of those who write or read checkpoints."""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from enum import Enum

import msgspec

from sor.commands import Decided
from sor.experiment.definition import Experiment
from sor.params import Params, ParamSet

PLAIN = (int, float, str, bytes, Decimal, type(None))
LEFT_ASIDE = frozenset({"policies", "schedules", "decider", "_handlers", "_whole", "__weakref__", "book"})
"""What is handed in, what is worked out again, and what only keeps others alive."""


def walked(root: object) -> object:
    """Everything that can be reached from `root`; objects are numbered as they are met, so what is shared shows."""
    seen: dict[int, int] = {}

    def walk(value: object) -> object:
        if isinstance(value, Enum):
            return type(value).__name__, value.name
        if isinstance(value, PLAIN):
            return type(value).__name__, value
        if isinstance(value, ParamSet | Experiment):
            return type(value).__name__, value.text
        if isinstance(value, Params):
            return value.set_id, value.digest, walk(value.as_dict()), walk(value.choices()), walk(dict(value.regimes))
        if isinstance(value, Decided):  # its vetoes are text, and members of an enum are text as well
            value = msgspec.structs.replace(value, vetoes=tuple(str(veto) for veto in value.vetoes))
        if isinstance(value, msgspec.Struct):
            return type(value).__name__, [walk(getattr(value, name)) for name in value.__struct_fields__]
        if isinstance(value, dict | OrderedDict):
            pairs = [(walk(key), walk(each)) for key, each in value.items()]
            numbers = all(type(key) is str and type(each) is float for key, each in value.items())
            return sorted(pairs, key=repr) if numbers else pairs  # by name, as a policy's memory and a set's values are
        if isinstance(value, set | frozenset):
            return sorted((walk(each) for each in value), key=repr)
        if isinstance(value, list | tuple):
            return [walk(each) for each in value]
        if id(value) in seen:
            return type(value).__name__, seen[id(value)]
        seen[id(value)] = number = len(seen)
        return type(value).__name__, number, [(name, walk(getattr(value, name))) for name in fields_of(value)]

    return walk(root)


def fields_of(value: object) -> list[str]:
    """The names of what an object of ours holds, sorted, but for what is left aside."""
    names = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    names |= set(getattr(value, "__dict__", {}))
    return sorted(names - LEFT_ASIDE)
