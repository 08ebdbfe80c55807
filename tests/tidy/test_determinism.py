"""The core is a function of the facts it is given: no clock, no chance, no environment, no set order.

One seed and one commit must name a run, and a journal must replay to the same bytes, on every machine and under every
hash seed. So a clock reading, a random draw or a walk over a set outside the few places below is a defect even when
every other test passes.
"""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from tests.tidy.tree import Finding, dotted, imports_in, python_files, report, source_of, within

# The shell: what may ask the machine what time it is and how it is configured.
MAY_ASK_THE_MACHINE = (
    "sor/clock.py",
    "sor/chaos/*",  # real processes, in real time
    "sor/cli/*",
    "sor/lab/*",
    "sor/journal*",
    "sor/secrets.py",
    "venues/plumbing/credentials.py",  # keys, which may come from nowhere else
)
# What holds a seeded generator.
# The engine draws a new journal's ownership mark, which two routers must not share.
MAY_DRAW = ("sor/chaos/plan.py", "sor/sim/*", "sor/lab/*", "sor/engine.py", "venues/simulated/*", "venues/matching/*")
CHECKED_ROOMS = ("sor", "venues", "policies")

MACHINE = (
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.process_time",
    "time.process_time_ns",
    "time.clock_gettime",
    "time.clock_gettime_ns",
    "time.localtime",
    "time.gmtime",
    "time.sleep",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "os.environ",
    "os.environb",
    "os.getenv",
    "os.getenvb",
)
CHANCE = ("random", "secrets", "uuid", "os.urandom", "os.getrandom", "numpy.random")

# What gives the same answer in whatever order it is fed. `sum` is not here: floats do not add up the same both ways.
ORDER_FREE = frozenset({"sorted", "set", "frozenset", "len", "any", "all", "min", "max"})
WALKERS = frozenset({"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "dict", "sum", "deque"})
SET_MAKERS = frozenset({"set", "frozenset"})
SET_TYPES = frozenset({"set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"})
SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference"})

Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def uses(source: str, path: str, banned: tuple[str, ...]) -> Iterator[Finding]:
    """Imports and uses of the banned dotted names, under whatever name the file knows them."""
    tree = ast.parse(source)
    bound: dict[str, str] = {}
    for line, name, local, bound_to in imports_in(tree, path):
        bound[local] = bound_to
        if within(name, banned):
            yield Finding(line, f"imports {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (chain := dotted(node)):
            first, _, rest = chain.partition(".")
            name = f"{bound.get(first, '')}.{rest}"
            if name in banned:
                yield Finding(node.lineno, f"uses {name}")


def set_walks(source: str) -> Iterator[Finding]:
    """Loops, comprehensions, unpackings and conversions that take the elements of a set in its own order.

    Sees set displays, comprehensions, calls of `set` and `frozenset`, set algebra, and names and `self.` attributes
    that their scope gives one of these or annotates as a set. Does not follow values through calls.
    """
    tree = ast.parse(source)
    order_free: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDER_FREE:
            order_free |= {id(arg) for arg in node.args}
        elif isinstance(node, ast.SetComp):
            order_free.add(id(node))
    yield from _set_walks_in(tree, frozenset(), order_free)


def _set_walks_in(scope: Scope, outer: frozenset[str], order_free: set[int]) -> Iterator[Finding]:
    own, inner = _own_nodes(scope)
    known = outer - _rebound(own) | _set_names(own)
    for node in own:
        for walked in _walked(node, order_free):
            if _is_set(walked, known):
                yield Finding(walked.lineno, f"walks a set: {ast.unparse(walked)}; sort it, or keep a dict or a tuple")
    if isinstance(scope, ast.ClassDef):
        # Methods reach the class's fields through self, and any of them may be the one that makes the set.
        fields = {f"self.{name}" for name in known - outer}
        methods = [node for method in inner for node in _own_nodes(method)[0]]
        made = {name for name in _set_names(methods) if name.startswith("self.")}
        known = frozenset(outer | fields | made)
    for each in inner:
        yield from _set_walks_in(each, known, order_free)


def _own_nodes(scope: Scope) -> tuple[list[ast.AST], list[Scope]]:
    """Nodes of a scope without those of the functions and classes inside it, and these; source order."""
    own: list[ast.AST] = []
    inner: list[Scope] = []
    waiting: list[ast.AST] = list(ast.iter_child_nodes(scope))[::-1]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner.append(node)
        else:
            own.append(node)
            waiting.extend(list(ast.iter_child_nodes(node))[::-1])
    return own, inner


def _rebound(nodes: list[ast.AST]) -> frozenset[str]:
    """Names that a scope gives a meaning of its own."""
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return frozenset(stored | {node.arg for node in nodes if isinstance(node, ast.arg)})


def _walked(node: ast.AST, order_free: set[int]) -> list[ast.expr]:
    """Expressions whose elements `node` takes in order."""
    match node:
        case ast.For(iter=walked) | ast.AsyncFor(iter=walked) | ast.Starred(value=walked) | ast.YieldFrom(value=walked):
            return [walked]
        case ast.ListComp(generators=generators) | ast.DictComp(generators=generators):
            pass
        case ast.GeneratorExp(generators=generators) | ast.SetComp(generators=generators):
            pass
        case ast.Call(func=ast.Name(id=name), args=args) if name in WALKERS:
            return args
        case ast.Call(func=ast.Attribute(attr="join" | "extend" | "fromkeys" | "from_iterable"), args=args):
            return args
        case _:
            return []
    return [] if id(node) in order_free else [generator.iter for generator in generators]


def _is_set(node: ast.expr, known: frozenset[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in SET_MAKERS
        case ast.Call(func=ast.Attribute(value=value, attr=attr)):
            return attr in SET_METHODS and _is_set(value, known)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return _is_set(left, known) or _is_set(right, known)
        case ast.Name() | ast.Attribute():
            return dotted(node) in known
        case _:
            return False


def _is_set_type(annotation: ast.expr) -> bool:
    match annotation:
        case ast.Subscript(value=value):
            return _is_set_type(value)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is_set_type(left) or _is_set_type(right)
        case ast.Name() | ast.Attribute():
            return (dotted(annotation) or "").rpartition(".")[2] in SET_TYPES
        case _:
            return False


def _set_names(nodes: list[ast.AST]) -> frozenset[str]:
    """Names and `self.` attributes that these nodes make sets of."""
    found: set[str] = set()
    for node in nodes:
        match node:
            case ast.AnnAssign(target=target, annotation=annotation) if _is_set_type(annotation):
                found |= {bound for bound in [dotted(target)] if bound}
            case ast.arg(arg=name, annotation=ast.expr() as annotation) if _is_set_type(annotation):
                found.add(name)
            case ast.Assign(targets=targets, value=value) if _is_set(value, frozenset(found)):
                found |= {bound for target in targets if (bound := dotted(target))}
            case _:
                pass
    return frozenset(found)


def allowed(path: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, one) for one in globs)


def test_only_the_shell_asks_the_machine() -> None:
    findings = [
        (path, found)
        for path in python_files(*CHECKED_ROOMS)
        if not allowed(path, MAY_ASK_THE_MACHINE)
        for found in uses(source_of(path), path, MACHINE)
    ]
    assert not findings, report(findings)


def test_only_simulation_draws() -> None:
    findings = [
        (path, found)
        for path in python_files(*CHECKED_ROOMS)
        if not allowed(path, MAY_DRAW)
        for found in uses(source_of(path), path, CHANCE)
    ]
    assert not findings, report(findings)


def test_no_set_is_walked() -> None:
    findings = [(path, found) for path in python_files(*CHECKED_ROOMS) for found in set_walks(source_of(path))]
    assert not findings, report(findings)


@pytest.mark.parametrize(
    "source",
    [
        "import time\nnow = time.time_ns()",
        "from time import monotonic_ns",
        "import time as t\nnow = t.perf_counter()",
        "import datetime\nnow = datetime.datetime.now(datetime.UTC)",
        "from datetime import datetime\nnow = datetime.utcnow()",
        "import datetime as dt\nnow = dt.datetime.now()",
        "import os\nkey = os.environ['KEY']",
        "import os.path\nkey = os.getenv('KEY')",
    ],
)
def test_asking_the_machine_is_found(source: str) -> None:
    assert list(uses(source, "sor/child.py", MACHINE))


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "def f() -> int:\n    import secrets\n    return secrets.randbelow(6)",
        "from uuid import uuid4",
        "import numpy as np\nx = np.random.default_rng(1)",
        "import numpy\nx = numpy.random.default_rng",
        "from numpy.random import Generator",
        "import os\nx = os.urandom(8)",
    ],
)
def test_drawing_is_found(source: str) -> None:
    assert list(uses(source, "sor/child.py", CHANCE))


def test_looking_alike_is_not_enough() -> None:
    source = (
        "from datetime import UTC, datetime\nimport time\nimport os\n"
        "def f(view, random):\n"
        "    time.strftime('%Y')\n    view.time.time()\n    os.fsync(3)\n"
        "    return random.draw() + datetime.fromtimestamp(0, UTC).year\n"
    )
    assert not list(uses(source, "sor/child.py", MACHINE + CHANCE))


@pytest.mark.parametrize(
    "source",
    [
        "for x in {1, 2}: ...",
        "for x in set(xs): ...",
        "ys = [x for x in frozenset(xs)]",
        "ys = {x: 1 for x in set(xs)}",
        "ys = list({x for x in xs})",
        "ys = (*set(xs), 1)",
        "text = ','.join(set(xs))",
        "for x in set(xs) - set(ys): ...",
        "for x in set(xs).union(ys): ...",
        "seen = set()\nfor x in seen: ...",
        "total = sum(set(xs))",
        "def f(xs: frozenset[int]) -> None:\n    for x in xs: ...",
        "class A:\n    live: set[int]\n    def f(self) -> None:\n        for x in self.live: ...",
        "class A:\n    def __init__(self): self.live = set()\n    def f(self): yield from self.live",
    ],
)
def test_walking_a_set_is_found(source: str) -> None:
    assert list(set_walks(source))


@pytest.mark.parametrize(
    "source",
    [
        "for x in sorted(set(xs)): ...",
        "ok = 1 in {1, 2} and all(x > 0 for x in set(xs))",
        "n = len({x for x in xs}) + max(set(xs))",
        "ys = {x + 1 for x in set(xs)}",
        "ys = sorted(x for x in {1, 2})",
        "for x in dict.fromkeys(xs): ...",
        "for x in (1, 2): ...",
        "a = b - c\nfor x in xs - ys: ...",
        "def f(xs: set[int]) -> int:\n    return len(xs)\ndef g(xs: list[int]) -> None:\n    for x in xs: ...",
        "xs = set()\ndef g(xs: list[int]) -> None:\n    for x in xs: ...",
    ],
)
def test_order_free_uses_of_a_set_are_not(source: str) -> None:
    assert not list(set_walks(source))
