"""Options that say what parents are put on a recording, shared by every command that replays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack

import click

from sor.cli.terms import BadValue, arguments, decimal, seconds

if TYPE_CHECKING:
    from sor.lab.own_impact import Scenario
    from sor.lab.plan import Plan

Command = TypeVar("Command", bound=Callable[..., object])


class PlanTerms(TypedDict):
    """What `plan_options` gives a command, as typed."""

    parents: int
    seed: int
    quantity: str | None
    deadline: str
    queue: str
    latency: str
    excursion_bps: str | None
    together: bool
    impact: str | None
    schedule: str
    schedule_args: tuple[str, ...]
    param_set: str


_OPTIONS = (
    click.option("--parents", default=200, show_default=True, help="Parent orders for each policy."),
    click.option("--seed", default=7, show_default=True, help="Decides start times, sides and drawn delays."),
    click.option(
        "--qty", "quantity", help="Quantity of each parent; default: a tenth of the median size at the touch."
    ),
    click.option("--deadline", default="15s", show_default=True, help="Time each parent has, like 15s or 2m."),
    click.option(
        "--queue",
        type=click.Choice(["risk_averse", "moderate", "exact"]),
        default="risk_averse",
        show_default=True,
        help="How own place in a queue moves when others cancel; exact: known, where TAPE has every order by its id.",
    ),
    click.option(
        "--latency",
        default="5ms",
        show_default=True,
        help="Delay each way: 5ms, 5ms~0.4 for log-normal with its sigma, or @FILE of measured ones, one a line.",
    ),
    click.option(
        "--excursion-bps",
        metavar="BPS",
        help="Adverse move from arrival that each parent's waiting may cost at most; default: none.",
    ),
    click.option(
        "--together",
        is_flag=True,
        help="One account for all parents of a policy, where they meet; else each is alone on the market.",
    ),
    click.option(
        "--impact",
        metavar="Y~HALF-LIFE",
        help="A scenario beside the result: own takes moved the market. 1~30s: the square-root law, half gone in 30 s.",
    ),
    click.option("--schedule", default="immediate", show_default=True, help="How a parent is spread over its time."),
    click.option("--schedule-arg", "schedule_args", multiple=True, metavar="NAME=NUMBER", help="Such as slices=5."),
    click.option("--param-set", default="baseline", show_default=True, help="Name or family of the param-set."),
)


jobs_option = click.option(
    "--jobs",
    default=1,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Arms run at a time, in processes of their own; what comes out is the same.",
)


def plan_options(command: Command) -> Command:
    """Give a command the options of a plan."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def plan_of(policies: tuple[str, ...], **terms: Unpack[PlanTerms]) -> Plan:
    """The plan that was typed. Raises `BadValue` for what cannot be read."""
    from sor.lab.plan import Plan

    quantity, excursion_bps = terms["quantity"], terms["excursion_bps"]
    return Plan(
        policies=policies,
        parents=terms["parents"],
        seed=terms["seed"],
        quantity=None if quantity is None else decimal(quantity),
        deadline_s=seconds(terms["deadline"]),
        queue=terms["queue"],
        latency=terms["latency"],
        excursion_bps=None if excursion_bps is None else float(decimal(excursion_bps, what="--excursion-bps")),
        together=terms["together"],
        impact=None if terms["impact"] is None else _scenario(terms["impact"]),
        schedule=terms["schedule"],
        schedule_args=arguments(terms["schedule_args"]),
        param_set=terms["param_set"],
    )


def _scenario(text: str) -> Scenario:
    """`1~30s`. Raises `BadValue` for anything else."""
    from sor.lab.own_impact import Scenario

    coefficient, tilde, half_life = text.partition("~")
    if not tilde:
        raise BadValue(f"--impact {text!r}: write it like 1~30s, coefficient and half-life; nothing was done")
    return Scenario(float(decimal(coefficient, what="--impact")), seconds(half_life))
