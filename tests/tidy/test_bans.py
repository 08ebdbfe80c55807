"""Constructs that hide what a program does, banned in every Python file of the repository."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

import pytest

from tests.tidy.tree import Finding, dotted, imports_in, python_files, report, source_of, within

# Reading one of these can run code that whoever wrote the file chose.
UNSAFE_FORMATS = ("pickle", "cPickle", "_pickle", "dill", "marshal", "shelve", "joblib", "cloudpickle")
RUNS_TEXT = frozenset({"eval", "exec", "builtins.eval", "builtins.exec", "compile", "builtins.compile"})
# A command in one text is read by a shell, and whatever stands in a name or an option with it.
RUNS_SHELLS = frozenset({"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"})
MAKES_WHAT_IT_READS = frozenset({"yaml.load", "yaml.unsafe_load", "jsonpickle.decode", "tempfile.mktemp"})
# Whoever answers for the venue then need not be the venue.
TRUSTS_ANYBODY = frozenset({"ssl.CERT_NONE", "ssl._create_unverified_context"})
# A silenced tool names what it was silenced about, or the next mistake on that line is silenced as well.
BARE_SILENCE = re.compile(r"#\s*type:\s*ignore(?!\[)|#\s*noqa(?!:)|#\s*pyright:\s*ignore(?!\[)", re.IGNORECASE)


def banned_constructs(source: str, path: str) -> Iterator[Finding]:
    """Text run as code, formats that run code, handlers that catch everything, and silence without a name."""
    tree = ast.parse(source)
    for line, name, *_ in imports_in(tree, path):
        if within(name, UNSAFE_FORMATS):
            yield Finding(line, f"imports {name}: reading it runs code from the file")
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=func) if dotted(func) in RUNS_TEXT:
                yield Finding(node.lineno, f"calls {dotted(func)}: code comes from files, not from text")
            case ast.Call(func=func) if dotted(func) in RUNS_SHELLS:
                yield Finding(node.lineno, f"calls {dotted(func)}: a shell reads what it is given")
            case ast.Call(func=func) if dotted(func) in MAKES_WHAT_IT_READS:
                yield Finding(node.lineno, f"calls {dotted(func)}: what it reads decides what is made, or where")
            case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                yield Finding(node.lineno, "shell=True: a shell reads what it is given")
            case ast.keyword(arg="verify" | "check_hostname", value=ast.Constant(value=False)):
                yield Finding(node.lineno, f"{node.arg}=False: anybody may answer for the venue")
            case ast.Attribute() if dotted(node) in TRUSTS_ANYBODY:
                yield Finding(node.lineno, f"{dotted(node)}: anybody may answer for the venue")
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                yield Finding(node.lineno, "allow_pickle=True: reading it runs code from the file")
            case ast.ExceptHandler(type=None):
                yield Finding(node.lineno, "bare except: it catches Ctrl-C and broken invariants too")
            case _:
                pass
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and BARE_SILENCE.search(token.string):
            yield Finding(token.start[0], f"{token.string}: name what is silenced, in brackets or after a colon")


def test_no_banned_construct() -> None:
    findings = [(path, found) for path in python_files() for found in banned_constructs(source_of(path), path)]
    assert not findings, report(findings)


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "exec(text)",
        "import builtins\nbuiltins.exec(text)",
        "import pickle",
        "from pickle import loads",
        "np.load(path, allow_pickle=True)",
        "os.system('ls')",
        "subprocess.run(text, shell=True)",
        "yaml.load(text)",
        "httpx.Client(verify=False)",
        "context.verify_mode = ssl.CERT_NONE",
        "try: ...\nexcept: ...",
        "x = 1  # type: ignore",
        "x = 1  # noqa",
    ],
)
def test_banned_constructs_are_found(source: str) -> None:
    assert list(banned_constructs(source, "sor/a.py"))


def test_looking_alike_is_not_enough() -> None:
    source = (
        "import re\nimport picklecake\nmodel.eval()\nre.compile('x')\nnp.load(path, allow_pickle=False)\n"
        "try: ...\nexcept ValueError: ...\n"
        "x = 1  # type: ignore[assignment]\ny = 'eval(1)'  # noqa: E501\nz = '# noqa'\n"
    )
    assert not list(banned_constructs(source, "sor/a.py"))
