"""The signed client under any mix of answers: one end each, no order twice, no doubt forgotten."""

from __future__ import annotations

import random

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sor.sim.world import VirtualScheduler
from sor.units import MS, NS
from tests.fakes.wire import IN_DOUBT, NOT_SENT, PlainDialect, ScriptedTransport
from venues.plumbing.backoff import Backoff
from venues.plumbing.budget import Budget, Limit, Priority
from venues.plumbing.client import Client, ClientSettings, Endpoint, Fate, Trouble
from venues.plumbing.clock import VenueClock
from venues.plumbing.keys import Secret, Secrets
from venues.plumbing.transport import Broken, WireReply
from venues.plumbing.verdict import Failure, Kind

ANSWERS: dict[str, bytes | Broken] = {
    "ok": b'"ok"',
    "refused": b'"refused"',
    "throttled": b'"throttled"',
    "skewed": b'"skewed"',
    "unsure": b'"unsure"',
    "garbage": b"{",
    "not sent": NOT_SENT,
    "in doubt": IN_DOUBT,
}
DOUBTFUL = frozenset({"unsure", "garbage", "in doubt"})


def read(reply: WireReply) -> str | Failure:
    word = msgspec.json.decode(reply.body, type=str)
    return word if word == "ok" else Failure(kind=Kind(word), code="1", text=word)


requests = st.lists(
    st.tuples(st.booleans(), st.sampled_from(list(Priority)), st.integers(0, 400 * MS), st.integers(0, 20 * NS)),
    min_size=1,
    max_size=12,
)
# One after the other, and more often those that are followed by another attempt.
MIX = (*sorted(ANSWERS), "in doubt", "not sent", "unsure", "not sent", "throttled")
scripts = st.lists(st.sampled_from(MIX), min_size=1, max_size=30)


@settings(max_examples=200)
@example([(True, Priority.OPEN, 0, 20 * NS)], ["in doubt", "not sent"], 4, 4)
@given(requests, scripts, st.integers(1, 4), st.integers(0, 4))
def test_every_request_has_one_end_and_it_is_true(
    requests: list[tuple[bool, Priority, int, int]], script: list[str], capacity: int, waiting_max: int
) -> None:
    time = VirtualScheduler(NS)
    transport = ScriptedTransport(time, *(ANSWERS[each] for each in script))
    budget = Budget([Limit(name="all", capacity=capacity, window_ns=NS)])
    key = Secret("k" * 10)
    client = Client(
        transport=transport,
        dialect=PlainDialect(key=key, secret=key),
        budget=budget,
        clock=VenueClock(),
        scheduler=time,
        draw=random.Random(7).random,
        secrets=Secrets(key),
        on_skew=lambda: None,
        settings=ClientSettings(
            backoff=Backoff(first_ns=50 * MS, most_ns=NS), throttled_ns=500 * MS, waiting_max=waiting_max
        ),
    )
    cost = budget.cost({"all": 1})
    ends: list[list[str | Trouble]] = []
    leave_by: list[int] = []
    for number, (idempotent, priority, pause_ns, patience_ns) in enumerate(requests):
        endpoint = Endpoint(
            name="x", method="POST", path=f"/{number}", read=read, cost=cost, signed=False, idempotent=idempotent
        )
        mine: list[str | Trouble] = []
        ends.append(mine)
        leave_by.append(time.now_ns() + patience_ns)
        client.call(endpoint, priority=priority, leave_by_ns=leave_by[-1], on_answer=mine.append)
        time.run_until(time.now_ns() + pause_ns)
    time.run_until(time.now_ns() + 60 * NS)

    assert [len(mine) for mine in ends] == [1] * len(requests)
    got = [script[min(index, len(script) - 1)] for index in range(len(transport.sent))]
    for number, (idempotent, *_) in enumerate(requests):
        target = f"/{number}?".encode()
        mine_sent = [index for index, (_, request) in enumerate(transport.sent) if request.target == target]
        answers = [got[index] for index in mine_sent]
        end = ends[number][0]
        assert len(answers) <= (3 if idempotent else 1)
        assert all(transport.sent[index][0] <= leave_by[number] for index in mine_sent)
        fate = "ok" if isinstance(end, str) else end.fate
        if not answers:
            assert fate is Fate.RATE_LIMITED
        elif answers[-1] == "ok":
            assert fate == "ok"
        elif answers[-1] in {"refused", "skewed"}:
            assert fate is Fate.REFUSED
        elif any(each in DOUBTFUL for each in answers):
            assert fate is Fate.IN_DOUBT
        else:
            assert fate is (Fate.NOT_SENT if answers[-1] == "not sent" else Fate.RATE_LIMITED)
    # The venue's limit holds, for what reached it.
    reached = [at for (at, _), answer in zip(transport.sent, got, strict=True) if answer != "not sent"]
    assert all(sum(at - NS < each <= at for each in reached) <= capacity for at in reached)
