"""`sor params`: what param-sets hold, whether a file is one, and where a value comes from."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from sor.cli.common import PARAM_DIR_HELP, Output, say_json
from sor.cli.words import count
from sor.errors import CallerError
from sor.units import NS

if TYPE_CHECKING:
    from sor.params import ParamSet, ParamStore, Record
    from sor.provenance import Change

EXIT_DIFFERENT = 1
EXIT_TROUBLE = 2

param_dirs = click.option(
    "--param-dir", "directories", multiple=True, type=click.Path(path_type=Path), help=PARAM_DIR_HELP
)


class _ShowIsMeant(click.Group):
    """A group whose `show` need not be said: `sor params baseline`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`show` before what is no command."""
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ShowIsMeant)
def params() -> None:
    """Show, compare and check param-sets. `sor params NAME` is short for `sor params show NAME`."""


@params.command(short_help="Show a set: values, units, bounds, kinds.")
@click.argument("name", default="baseline")
@click.option("--only", metavar="PREFIX", help="Only ids that begin so, each with its meaning, source and evidence.")
@param_dirs
@click.pass_context
def show(ctx: click.Context, name: str, only: str | None, directories: tuple[Path, ...]) -> None:
    """Show the param-set NAME, a full name, a family or a file: every value with its unit, bounds and kind."""
    output = ctx.ensure_object(Output)
    found = _set_of(name, directories)
    records = [record for record in found.records if record.id.startswith(only or "")]
    if not records:
        raise CallerError(f"{found.set_id} has no parameter that begins with {only!r}; nothing was changed")
    if output.json:
        told = [record.model_dump(mode="json") for record in records]
        say_json({"set": found.set_id, "digest": found.digest, "records": told})
        return
    out = output.out
    out.print(f"{found.set_id}, digest {found.digest}", style="bold")
    if found.note:
        out.print(found.note)
    if only is None:
        out.print(_table(records))
    else:
        for record in records:
            _tell(out, found, record)


def _table(records: Iterable[Record]) -> Table:
    table = Table(box=None)
    table.add_column("parameter", style="bold")
    for name in ("value", "unit", "may be", "kind", "where"):
        table.add_column(name, justify="right" if name == "value" else "left", overflow="fold")
    for record in records:
        table.add_row(record.id, _plain(record.value), record.unit, _room(record), record.kind, _where(record))
    return table


def _tell(out: Console, found: ParamSet, record: Record) -> None:
    """One record with all that is known of it."""
    from sor.param_table import definition_of

    unit = "" if isinstance(record.value, str) else f" {record.unit}"
    where = f" for {record.scope}" if _where(record) else ""
    out.print()
    out.print(f"{record.id} = {_plain(record.value)}{unit}{where}, within {_room(record)}, {record.kind}")
    definition = definition_of(record.id)
    texts = [definition.meaning if definition else "", f"Source: {record.source}"]
    evidence = found.evidence_of(record).model_dump(mode="json", exclude_defaults=True)
    if record.interval is not None:
        texts.append(f"Interval: {_plain(record.interval[0])} to {_plain(record.interval[1])}")
    texts += [f"{name.capitalize().replace('_', ' ')}: {_listed(value)}" for name, value in evidence.items()]
    for text in texts:
        if text:
            out.print(Padding(text, (0, 0, 0, 4)) if out.is_terminal else f"    {text}", style="dim")


@params.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@param_dirs
@click.pass_context
def diff(ctx: click.Context, before: str, after: str, directories: tuple[Path, ...]) -> None:
    """Say what the set B changed against the set A: values, bounds, evidence.

    A and B are full names, families (the newest valid set) or files. Exit code 0 when their content is the same, 1 when
    it differs, 2 when one of them cannot be read.
    """
    from sor.provenance import changes

    output = ctx.ensure_object(Output)
    try:
        old, new = _set_of(before, directories), _set_of(after, directories)
    except CallerError as error:
        output.err.print(f"sor: {error}.")
        ctx.exit(EXIT_TROUBLE)
    found = changes(old, new)
    if output.json:
        say_json({"before": _named(old), "after": _named(new), "changes": msgspec.to_builtins(found)})
    else:
        output.out.print(f"{old.set_id} ({old.digest}) to {new.set_id} ({new.digest}): {_counted(found)}")
        for line in _lines(found):
            output.out.print(line)
    if found:
        ctx.exit(EXIT_DIFFERENT)


@params.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--trading", is_flag=True, help="It is to be traded with: what it lacks for that is an error, and named.")
@click.option("--policy", "policies", multiple=True, help="By this policy; repeatable. Without it by every one.")
@click.option("--venue", default="*", help="On this venue. Without it on any: only what it gives everywhere counts.")
@click.option("--symbol", default="*", help="With this symbol. Without it with any.")
@click.pass_context
def validate(
    ctx: click.Context, files: tuple[Path, ...], trading: bool, policies: tuple[str, ...], venue: str, symbol: str
) -> None:
    """Check param-set files as a router would, each with the line and the reason of what is wrong first.

    A file has to stand where its set_id says, in a folder of the family and with the date as its name. Beside that it
    says which installed policies could trade with the set. Exit code 1 when a file would be refused, and with --trading
    when it lacks what the router or a policy needs. Nothing is loaded.
    """
    from sor.instruments import canonical_symbol
    from sor.param_complete import ANYWHERE, lacking
    from sor.params import ParamFileError

    output = ctx.ensure_object(Output)
    needs = _needs(policies)
    of_symbol = symbol if symbol == ANYWHERE else canonical_symbol(symbol)
    now_ns = time.time_ns()
    told: list[dict[str, object]] = []
    lines: list[str] = []
    for file in files:
        try:
            found = _placed(file)
        except ParamFileError as error:
            told.append({"file": error.where, "valid": False, "line": error.line, "reason": error.reason})
            lines.append(f"{error.where}:{error.line}: {error.reason}")
            continue
        lacks = lacking(found, needs, venue=venue, symbol=of_symbol, now_ns=now_ns)
        told.append({"file": str(file), "valid": True, **_named(found), "records": len(found.records), "lacks": lacks})
        lines.append(f"{file}: {found.set_id}, digest {found.digest}, {count(len(found.records), 'record')}")
        lines += [f"    {line}" for line in _lacking(lacks, tuple(needs), named=trading)]
    if output.json:
        say_json(told)
    else:
        for line in lines:
            output.out.print(line)
    if not all(one["valid"] and not (trading and one["lacks"]) for one in told):
        ctx.exit(EXIT_DIFFERENT)


def _needs(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """What each of these policies reads; without names each that is installed, but for one that is broken."""
    from sor.plugins import Plugins

    plugins = Plugins.installed()
    found: dict[str, tuple[str, ...]] = {}
    for name in names or plugins.policies:
        try:
            found[name] = plugins.policy(name).needs
        except CallerError:
            if names:
                raise
    return found


def _lacking(lacks: dict[str, tuple[str, ...]], policies: tuple[str, ...], *, named: bool) -> Iterator[str]:
    """Who could trade with a set, and what the others miss: by name, or only that they do."""
    from sor.param_complete import ROUTER

    if not lacks:
        yield f"{_all(policies)} could trade with it"
    elif named:
        for who, missing in lacks.items():
            yield f"{who} needs {', '.join(missing)}, which it does not give"
    elif ROUTER in lacks:
        yield f"nobody could trade with it: it lacks what {ROUTER} needs (--trading names it)"
    else:
        able = tuple(name for name in policies if name not in lacks)
        unable = _all(tuple(lacks))
        yield f"{_all(able) if able else 'nobody'} could trade with it, and not {unable} (--trading says why)"


def _all(names: tuple[str, ...]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


@params.command()
@click.argument("family")
@param_dirs
@click.pass_context
def history(ctx: click.Context, family: str, directories: tuple[Path, ...]) -> None:
    """List all published sets of FAMILY, the oldest first, and what changed from one to the next."""
    from sor.provenance import history as history_of

    output = ctx.ensure_object(Output)
    sets = _store(directories).published(family)
    steps = history_of(sets)
    if output.json:
        told = [
            {**_named(one), "note": one.note, "changes": msgspec.to_builtins(step)}
            for one, step in zip(sets, steps, strict=True)
        ]
        say_json(told)
        return
    for at, (one, step) in enumerate(zip(sets, steps, strict=True)):
        news = _counted(step) if at else count(len(one.records), "record")
        output.out.print(f"{one.set_id}, digest {one.digest}: {news}", style="bold")
        if one.note:
            output.out.print(f"  {one.note}")
        for line in _lines(step):
            output.out.print(line)


@params.command()
@click.argument("name", metavar="SET")
@click.option("--venue", required=True, help="The venue's name, such as bingx.")
@click.option("--symbol", required=True, help="What is traded, in any spelling: BTC-USDT, BTCUSDT, btc/usdt.")
@click.option("--regime", help="The market regime: wide, busy or calm; none without it.")
@click.option("--at", metavar="TIME", help="At which moment, like 2026-11-21T12:00:00Z; now without it.")
@param_dirs
@click.pass_context
def resolve(
    ctx: click.Context,
    name: str,
    venue: str,
    symbol: str,
    regime: str | None,
    at: str | None,
    directories: tuple[Path, ...],
) -> None:
    """Say of each parameter which record of SET is in force at one place and time, and which ones it beat, and why."""
    from sor.ids import VenueName
    from sor.instruments import canonical_symbol
    from sor.provenance import contests
    from sor.regime import Regime

    if regime is not None and regime not in list(Regime):
        raise CallerError(f"there is no regime {regime!r}; nothing was changed. There are: {', '.join(Regime)}")
    output = ctx.ensure_object(Output)
    now_ns = time.time_ns() if at is None else _moment(at)
    word = None if regime is None else Regime(regime)
    found = _set_of(name, directories, now_ns=now_ns)
    told = contests(found, VenueName(venue), canonical_symbol(symbol), word, now_ns=now_ns)
    if output.json:
        say_json(
            {
                **_named(found),
                "parameters": [
                    {
                        "id": one.id,
                        "in_force": None if one.winner is None else one.winner.model_dump(mode="json"),
                        "beaten": [
                            {"record": rival.record.model_dump(mode="json"), "why": rival.why} for rival in one.beaten
                        ],
                    }
                    for one in told
                ],
            }
        )
        return
    where = f"{canonical_symbol(symbol)} on {venue}" + (f" in a {regime} market" if regime else "")
    output.out.print(f"{found.set_id} ({found.digest}) for {where}", style="bold")
    venues = {record.scope.venue for record in found.records} - {"*"}
    if venues and venue not in venues:
        output.out.print(f"No value of this set is for {venue}; some are for {', '.join(sorted(venues))}.")
    for one in told:
        if one.winner is None:
            output.out.print(f"{one.id}: nothing is in force; a parent that needs it is refused")
        else:
            output.out.print(f"{one.id} = {_valued(one.winner)}, of {one.winner.scope}")
        for rival in one.beaten:
            output.out.print(f"    not {_valued(rival.record)} of {rival.record.scope}: {rival.why}", style="dim")


@params.command()
@click.argument("journal", type=click.Path(path_type=Path))
@click.pass_context
def outcomes(ctx: click.Context, journal: Path) -> None:
    """Compare the fills that were predicted in the JOURNAL with those that came, by policy and param-set.

    Orders that were withdrawn before their time count neither way. An alarm says that the predictions are off; a router
    raises the same one while it runs, and lets nothing new rest by models of a set that are contradicted. Exit code 1
    when there was one.
    """
    from sor.decide import Recorded
    from sor.journal import turns
    from sor.recovery import past

    output = ctx.ensure_object(Output)
    watches = past(journal, Recorded(), keep=False).fits
    doubts = [doubt for turn in turns(journal) for doubt in map(watches.see, turn.records) if doubt is not None]
    alarms = [doubt.text for doubt in doubts]
    if output.json:
        told = [
            {
                "policy": fit.policy,
                "set": fit.set_id,
                "digest": fit.digest,
                "fitted": fit.fitted,
                "orders": watch.orders,
                "filled": watch.filled,
                "expected": watch.expected,
                "withdrawn": watch.withdrawn,
                "evidence": watch.evidence,
                "alarms": watch.alarms,
            }
            for fit, watch in watches.watches.items()
        ]
        say_json({"fits": told, "alarms": alarms})
    else:
        for fit, watch in watches.watches.items():
            how = "fitted" if fit.fitted else "not fitted"
            output.out.print(f"{fit.policy} with {fit.set_id} ({how}): {watch.told()}; evidence {watch.evidence:.3g}")
        for text in alarms or ["No alarm." if watches.watches else "No order was predicted to be filled."]:
            output.out.print(text)
    if alarms:
        ctx.exit(EXIT_DIFFERENT)


# --- what they share --------------------------------------------------------------------------------------------------


def _store(directories: tuple[Path, ...]) -> ParamStore:
    from sor.params import ParamStore

    return ParamStore(*directories)


def _set_of(name: str, directories: tuple[Path, ...], *, now_ns: int | None = None) -> ParamSet:
    """A set by its file, its full name whether it is valid or not, or the newest valid one of a family."""
    if name.endswith(".json"):
        return _read(Path(name))
    store = _store(directories)
    if "/" in name:
        return store.published(name)[0]
    return store.get(name, now_ns=time.time_ns() if now_ns is None else now_ns)


def _read(file: Path) -> ParamSet:
    """A set out of any file."""
    from sor.param_file import parse_bytes

    return parse_bytes(_content(file), where=str(file))


def _placed(file: Path) -> ParamSet:
    """A set out of a file that stands where a router looks for it."""
    from sor.param_file import parse_placed

    folder = file.absolute().parent.name
    return parse_placed(_content(file), where=str(file), place=f"{folder}/{file.name.removesuffix('.json')}")


def _content(file: Path) -> bytes:
    from sor.files import read_small
    from sor.param_file import FILE_BYTES_MAX, ParamFileError

    try:
        return read_small(file, bytes_max=FILE_BYTES_MAX)
    except OSError as error:
        reason = f"it cannot be read: {error.strerror or error}"
        raise ParamFileError(where=str(file), line=1, reason=reason) from error


def _moment(text: str) -> int:
    """Nanoseconds since the epoch. Raises `CallerError` for anything but a moment with a zone."""
    refusal = f"--at {text!r}: write it like 2026-11-21T12:00:00Z, with a zone; nothing was changed"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CallerError(refusal) from error
    if moment.tzinfo is None:
        raise CallerError(refusal)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1_000


def _named(param_set: ParamSet) -> dict[str, object]:
    return {"set": param_set.set_id, "digest": param_set.digest}


def _counted(found: tuple[Change, ...]) -> str:
    """`2 changed, 1 added`."""
    numbers = [(what, sum(change.what == what for change in found)) for what in ("changed", "added", "removed")]
    return ", ".join(f"{number} {what}" for what, number in numbers if number) or "no difference"


def _lines(found: tuple[Change, ...]) -> Iterator[str]:
    """Changes as a person reads them: of what is new or gone only its value, of the rest each field."""
    for change in found:
        name = f"{change.id} of {change.scope}" if change.id else "the set itself"
        fields = {field.field: field for field in change.fields}
        if change.what == "changed":
            yield f"  {name}"
            for field in change.fields:
                before, after = (value or "nothing" for value in (field.before, field.after))
                yield f"      {field.field}: {before} -> {after}"
        else:
            value = fields["value"].before or fields["value"].after
            yield f"  {name}: {change.what}, {value} {fields['unit'].before or fields['unit'].after}"


def _valued(record: Record) -> str:
    """A value with its unit, which a word has none of."""
    return _plain(record.value) if isinstance(record.value, str) else f"{_plain(record.value)} {record.unit}"


def _where(record: Record) -> str:
    """The parts of a scope that are said."""
    scope = record.scope
    return " ".join(part for part in (scope.venue, scope.symbol, scope.regime) if part != "*")


def _room(record: Record) -> str:
    """What a record's own bounds or words leave."""
    if record.bounds is None:
        return ", ".join(record.words or ())
    low, high = record.bounds
    return f"{_plain(low)} to {_plain(high)}"


def _listed(value: object) -> str:
    if isinstance(value, list):
        return " to ".join(str(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)


def _plain(value: Decimal | str) -> str:
    return value if isinstance(value, str) else f"{value.normalize():,f}"
