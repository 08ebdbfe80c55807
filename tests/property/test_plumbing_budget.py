"""Rate budgets against a list of everything that was ever sent."""

from hypothesis import given
from hypothesis import strategies as st

from sor.sim.world import VirtualScheduler
from venues.plumbing.budget import Budget, Limit, Priority
from venues.plumbing.turnstile import Turn, Turnstile

WINDOW_NS = 1_000
asks = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(list(Priority)), st.integers(0, 4)), min_size=1, max_size=80
)
limits = st.builds(
    lambda free, cancel, reduce, opening: Limit(
        name="all",
        capacity=free + cancel + reduce + opening,
        window_ns=WINDOW_NS,
        kept_for_cancel=cancel,
        kept_for_reduce=reduce,
        kept_for_open=opening,
    ),
    st.integers(4, 12),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
)


def in_window(sent: list[tuple[int, int]], end_ns: int) -> int:
    """Units in the window of which `end_ns` is the last instant."""
    return sum(units for at_ns, units in sent if end_ns - WINDOW_NS < at_ns <= end_ns)


@given(limits, asks)
def test_no_window_ever_holds_more_than_its_capacity_and_what_is_kept_stays_free(
    limit: Limit, asks: list[tuple[int, Priority, int]]
) -> None:
    budget, now_ns = Budget([limit]), 1
    sent: list[tuple[int, int]] = []
    for gap_ns, priority, units in asks:
        now_ns += gap_ns
        cost = budget.cost({"all": units})
        ceiling = cost[0][0].ceilings[priority]
        free_ns = budget.take(cost, priority, now_ns)
        if free_ns == 0:
            sent.append((now_ns, units))
            assert not units or in_window(sent, now_ns) <= ceiling
        else:
            assert free_ns > now_ns
            # Never refused while there is room, but for charges that were summed up with a later one.
            merged_ns = WINDOW_NS // 64
            assert sum(each for at, each in sent if at > now_ns - WINDOW_NS - merged_ns) + units > ceiling
    assert all(in_window(sent, at_ns) <= limit.capacity for at_ns, _ in sent)


@given(limits, asks)
def test_whoever_comes_back_when_told_gets_through_and_not_before(
    limit: Limit, asks: list[tuple[int, Priority, int]]
) -> None:
    budget, now_ns = Budget([limit]), 1
    for gap_ns, priority, units in asks:
        now_ns += gap_ns
        cost = budget.cost({"all": units})
        free_ns = budget.take(cost, priority, now_ns)
        if free_ns:
            assert budget.take(cost, priority, free_ns - 1) == free_ns
            assert budget.take(cost, priority, free_ns) == 0
            now_ns = free_ns


@given(limits, asks, st.integers(0, 1_500), st.integers(0, 8))
def test_everybody_at_the_turnstile_is_answered_once_and_in_time(
    limit: Limit, asks: list[tuple[int, Priority, int]], patience_ns: int, waiting_max: int
) -> None:
    time = VirtualScheduler(1)
    budget = Budget([limit])
    turnstile = Turnstile(budget, time, waiting_max=waiting_max)
    answers: list[list[tuple[Turn, int]]] = []
    deadlines: list[int] = []
    sent: list[tuple[int, int]] = []

    def ask(priority: Priority, units: int) -> None:
        mine: list[tuple[Turn, int]] = []
        answers.append(mine)
        deadlines.append(time.now_ns() + patience_ns)

        def note(turn: Turn) -> None:
            mine.append((turn, time.now_ns()))
            if turn is Turn.GO:
                sent.append((time.now_ns(), units))

        turnstile.enter(budget.cost({"all": units}), priority, expires_ns=deadlines[-1], on_turn=note)
        assert turnstile.waiting <= waiting_max

    for gap_ns, priority, units in asks:
        time.run_until(time.now_ns() + gap_ns)
        ask(priority, units)
    time.run_until(time.now_ns() + patience_ns)
    assert [len(each) for each in answers] == [1] * len(asks)
    assert all(each[0][1] <= deadline for each, deadline in zip(answers, deadlines, strict=True))
    assert all(in_window(sent, at_ns) <= limit.capacity for at_ns, _ in sent)
    assert turnstile.waiting == 0
