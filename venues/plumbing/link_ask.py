"""Awaiting an answer of a client that calls back."""

from __future__ import annotations

from typing import TypeVar

import anyio

from venues.plumbing.budget import Priority
from venues.plumbing.client import Client, Endpoint, Trouble

T = TypeVar("T")


async def ask(
    client: Client, endpoint: Endpoint[T], params: str = "", *, priority: Priority, leave_by_ns: int
) -> T | Trouble:
    """One request and its answer. Who is cancelled meanwhile has still sent it."""
    answers: list[T | Trouble] = []
    answered = anyio.Event()

    def on_answer(answer: T | Trouble) -> None:
        answers.append(answer)
        answered.set()

    client.call(endpoint, params, priority=priority, leave_by_ns=leave_by_ns, on_answer=on_answer)
    await answered.wait()
    return answers[0]


async def demand(client: Client, endpoint: Endpoint[T], params: str = "", *, leave_by_ns: int) -> T:
    """One read and its answer; raises `NotSent`, `InDoubt` or `CallerError` when there is none."""
    answer = await ask(client, endpoint, params, priority=Priority.READ, leave_by_ns=leave_by_ns)
    if isinstance(answer, Trouble):
        raise answer.error()
    return answer
