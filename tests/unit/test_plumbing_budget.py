"""Rate budgets: windows, what is kept for whom, the venue's own count, blocks; and who waits for them."""

import pytest

from sor.errors import CallerError
from sor.sim.world import VirtualScheduler
from sor.units import MS, NS
from venues.plumbing.budget import Budget, Limit, Priority
from venues.plumbing.turnstile import Turn, Turnstile

T = 1_700_000_000 * NS
CANCEL, REDUCE, OPEN, READ = Priority.CANCEL, Priority.REDUCE, Priority.OPEN, Priority.READ


def per_second(capacity: int, **more: int) -> Limit:
    return Limit(name="orders", capacity=capacity, window_ns=NS, **more)


def test_a_window_admits_its_capacity_and_says_when_the_next_may_come() -> None:
    budget = Budget([per_second(2)])
    one = budget.cost({"orders": 1})
    assert budget.take(one, OPEN, T) == 0
    assert budget.take(one, OPEN, T + 300 * MS) == 0
    assert budget.take(one, OPEN, T + 400 * MS) == T + NS  # when the first has left the window
    assert budget.take(one, OPEN, T + NS - 1) == T + NS
    assert budget.take(one, OPEN, T + NS) == 0
    assert budget.take(one, OPEN, T + NS) == T + NS + 300 * MS
    assert budget.used("orders", T + NS) == 2


def test_slack_remembers_a_charge_for_longer() -> None:
    budget = Budget([per_second(1, slack_ns=50 * MS)])
    one = budget.cost({"orders": 1})
    budget.take(one, OPEN, T)
    assert budget.take(one, OPEN, T + NS) == T + NS + 50 * MS


def test_a_request_is_charged_to_all_its_limits_or_to_none() -> None:
    budget = Budget([per_second(10), Limit(name="weight", capacity=50, window_ns=60 * NS)])
    listing = budget.cost({"orders": 1, "weight": 40})
    assert budget.take(listing, READ, T) == 0
    assert budget.take(listing, READ, T) == T + 60 * NS
    assert (budget.used("orders", T), budget.used("weight", T)) == (1, 40)


def test_opens_leave_room_for_reduces_and_both_for_cancels() -> None:
    budget = Budget([per_second(10, kept_for_cancel=3, kept_for_reduce=2, kept_for_open=1)])
    one = budget.cost({"orders": 1})

    def flood(priority: Priority) -> int:
        count = 0
        while budget.take(one, priority, T) == 0:
            count += 1
        return count

    assert [flood(READ), flood(OPEN), flood(REDUCE), flood(CANCEL)] == [4, 1, 2, 3]


def test_a_request_that_never_left_is_given_back_where_it_was_charged() -> None:
    budget = Budget([per_second(3)])
    one = budget.cost({"orders": 1})
    budget.take(one, OPEN, T)
    budget.take(one, OPEN, T + 500 * MS)
    budget.refund(one, T)
    assert budget.used("orders", T + 500 * MS) == 1
    assert budget.used("orders", T + NS) == 1  # the later one is still there when the first would have gone
    budget.refund(one, T)  # long gone, or taken back already: nothing more to give
    assert budget.used("orders", T + NS) == 1
    assert budget.used("orders", T + 1500 * MS) == 0


def test_the_venues_count_adds_what_others_spent_until_its_window_ends() -> None:
    budget = Budget([Limit(name="weight", capacity=100, window_ns=60 * NS)])
    ten = budget.cost({"weight": 10})
    budget.take(ten, READ, T)
    budget.observe_used("weight", 95, T, ends_ns=T + 20 * NS)
    assert budget.used("weight", T) == 95
    assert budget.take(ten, READ, T) == T + 20 * NS
    budget.observe_used("weight", 10, T + NS)  # an older answer, or a window that began anew: proves nothing
    assert budget.used("weight", T + NS) == 95
    assert budget.used("weight", T + 20 * NS) == 10


def test_what_others_spent_lasts_a_whole_window_when_the_venue_names_no_end() -> None:
    budget = Budget([Limit(name="weight", capacity=100, window_ns=60 * NS)])
    budget.observe_remaining("weight", 3, T)
    assert budget.used("weight", T + 60 * NS - 1) == 97
    assert budget.used("weight", T + 60 * NS) == 0


def test_waiting_for_others_and_for_ourselves_takes_the_first_release_that_is_enough() -> None:
    budget = Budget([per_second(10)])
    budget.take(budget.cost({"orders": 4}), OPEN, T)
    budget.observe_used("orders", 10, T, ends_ns=T + 400 * MS)
    assert budget.take(budget.cost({"orders": 6}), OPEN, T + 1) == T + 400 * MS
    assert budget.take(budget.cost({"orders": 7}), OPEN, T + 1) == T + NS
    budget.observe_used("orders", 10, T, ends_ns=T + 3 * NS)
    assert budget.take(budget.cost({"orders": 4}), OPEN, T + 1) == T + NS
    assert budget.take(budget.cost({"orders": 5}), OPEN, T + 1) == T + 3 * NS


def test_a_ban_stops_cancels_too_and_is_never_shortened() -> None:
    budget = Budget([per_second(10)])
    cost = budget.cost({"orders": 1})
    budget.block(T + 300 * NS, "HTTP 418 until 300 s")
    budget.block(T + 2 * NS, "HTTP 429")
    assert budget.take(cost, CANCEL, T) == T + 300 * NS
    assert budget.why_not(cost, CANCEL, T) == "the venue blocks us: HTTP 429"
    assert budget.take(cost, CANCEL, T + 300 * NS) == 0


def test_one_limit_can_be_blocked_alone_even_for_what_spends_none_of_it() -> None:
    budget = Budget([per_second(10), Limit(name="address", capacity=10, window_ns=NS)])
    order, read = budget.cost({"orders": 1, "address": 0}), budget.cost({"orders": 1})
    budget.block(T + NS, "HTTP 403", names=["address"])
    assert budget.take(order, OPEN, T) == T + NS
    assert budget.why_not(order, OPEN, T) == "the venue blocks 'address': HTTP 403"
    assert budget.take(read, READ, T) == 0


def test_a_full_limit_says_so() -> None:
    budget = Budget([per_second(3, kept_for_cancel=1)])
    cost = budget.cost({"orders": 2})
    assert budget.why_not(cost, OPEN, T) == ""
    budget.take(cost, OPEN, T)
    assert budget.why_not(cost, OPEN, T) == ("rate limit 'orders' has 2 of 3 spent, 2 is as far as OPEN may go")


def test_a_clock_that_steps_back_frees_nothing_and_forgets_nothing() -> None:
    budget = Budget([per_second(1)])
    one = budget.cost({"orders": 1})
    budget.take(one, OPEN, T)
    assert budget.take(one, OPEN, T - 5 * NS) == T + NS


def test_memory_is_bounded_and_nothing_is_forgotten_early() -> None:
    budget = Budget([Limit(name="weight", capacity=100_000, window_ns=60 * NS)])
    one = budget.cost({"weight": 1})
    for step in range(50_000):
        assert budget.take(one, READ, T + step * MS) == 0
    bucket = one[0][0]
    assert len(bucket._sums) <= 66
    assert budget.used("weight", T + 50 * NS) == 50_000
    # A sum leaves when its newest charge does: at most 1/64 of the window late.
    assert 40_000 <= budget.used("weight", T + 70 * NS) <= 40_000 + 60_000 // 64 + 1


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ({"capacity": 0, "window_ns": NS}, "at least 1"),
        ({"capacity": 1, "window_ns": 0}, "at least 1"),
        ({"capacity": 5, "window_ns": NS, "kept_for_cancel": 3, "kept_for_open": 2}, "leaves nothing"),
        ({"capacity": 5, "window_ns": NS, "kept_for_reduce": -1}, "negative"),
    ],
)
def test_impossible_limits_are_refused(limit: dict[str, int], says: str) -> None:
    with pytest.raises(CallerError, match=says):
        Limit(name="orders", **limit)


def test_impossible_requests_are_refused() -> None:
    budget = Budget([per_second(5, kept_for_cancel=2)])
    with pytest.raises(CallerError, match="grants at most 3 to OPEN; nothing was sent"):
        budget.take(budget.cost({"orders": 4}), OPEN, T)
    with pytest.raises(CallerError, match="no rate limit 'weight'"):
        budget.cost({"weight": 1})
    with pytest.raises(CallerError, match="less than nothing"):
        budget.cost({"orders": -1})
    with pytest.raises(CallerError, match="there already"):
        budget.add(per_second(5))


class Gate:
    """A turnstile in virtual time, and a log of what came of every request."""

    def __init__(self, limit: Limit, *, waiting_max: int = 256) -> None:
        self.time = VirtualScheduler(T)
        self.budget = Budget([limit])
        self.turnstile = Turnstile(self.budget, self.time, waiting_max=waiting_max)
        self.log: list[tuple[str, Turn, int]] = []

    def ask(self, name: str, priority: Priority, *, units: int = 1, within_ns: int = 60 * NS) -> None:
        def note(turn: Turn) -> None:
            self.log.append((name, turn, self.time.now_ns() - T))

        self.turnstile.enter(
            self.budget.cost({"orders": units}), priority, expires_ns=self.time.now_ns() + within_ns, on_turn=note
        )


def test_who_waits_leaves_by_priority_then_by_arrival() -> None:
    gate = Gate(per_second(1))
    for name, priority in [("r1", READ), ("r2", READ), ("o1", OPEN), ("c1", CANCEL), ("o2", OPEN), ("x1", REDUCE)]:
        gate.ask(name, priority)
    gate.time.run_until(T + 10 * NS)
    assert gate.log == [
        ("r1", Turn.GO, 0),
        ("c1", Turn.GO, NS),
        ("x1", Turn.GO, 2 * NS),
        ("o1", Turn.GO, 3 * NS),
        ("o2", Turn.GO, 4 * NS),
        ("r2", Turn.GO, 5 * NS),
    ]
    assert gate.turnstile.waiting == 0


def test_a_small_request_does_not_overtake_a_large_one_of_its_priority() -> None:
    gate = Gate(per_second(5))
    gate.ask("a", OPEN, units=3)
    gate.ask("large", OPEN, units=4)
    gate.ask("small", OPEN, units=1)
    assert gate.log == [("a", Turn.GO, 0)]
    gate.time.run_until(T + NS)
    assert gate.log[1:] == [("large", Turn.GO, NS), ("small", Turn.GO, NS)]


def test_a_cancel_goes_at_once_past_a_queue_of_opens() -> None:
    gate = Gate(per_second(3, kept_for_cancel=1))
    for name in ("o1", "o2", "o3", "o4"):
        gate.ask(name, OPEN)
    gate.ask("c", CANCEL)
    assert gate.log == [("o1", Turn.GO, 0), ("o2", Turn.GO, 0), ("c", Turn.GO, 0)]


def test_requests_on_other_limits_do_not_queue() -> None:
    gate = Gate(per_second(1))
    gate.budget.add(Limit(name="reads", capacity=5, window_ns=NS))
    gate.ask("o1", OPEN)
    gate.ask("o2", OPEN)
    turns: list[Turn] = []
    gate.turnstile.enter(gate.budget.cost({"reads": 1, "orders": 0}), READ, expires_ns=T + NS, on_turn=turns.append)
    assert turns == [Turn.GO]


def test_who_waits_for_one_limit_holds_up_nobody_in_another_with_room_for_both() -> None:
    gate = Gate(per_second(1))
    gate.budget.add(Limit(name="address", capacity=4, window_ns=10 * NS))
    gate.budget.add(Limit(name="cancels", capacity=1, window_ns=NS))
    log: list[tuple[str, Turn, int]] = []

    def ask(name: str, priority: Priority, units: dict[str, int]) -> None:
        gate.turnstile.enter(
            gate.budget.cost({**units, "address": 1}),
            priority,
            expires_ns=T + 2 * NS,
            on_turn=lambda turn: log.append((name, turn, gate.time.now_ns() - T)),
        )

    ask("c1", CANCEL, {"cancels": 1})
    ask("c2", CANCEL, {"cancels": 1})
    ask("exit", REDUCE, {"orders": 1})
    assert log == [("c1", Turn.GO, 0), ("exit", Turn.GO, 0)]
    ask("c3", CANCEL, {"cancels": 1})
    ask("read", READ, {})  # both that are left of the address are for the cancels before it
    gate.time.run_until(T + 3 * NS)
    assert log[2:] == [("c2", Turn.GO, NS), ("c3", Turn.GO, 2 * NS), ("read", Turn.TOO_LATE, 2 * NS)]


def test_what_cannot_leave_in_time_is_told_at_once() -> None:
    gate = Gate(per_second(1))
    gate.ask("a", OPEN)
    gate.ask("late", OPEN, within_ns=NS - 1)
    gate.ask("past", OPEN, within_ns=-1)
    assert gate.log == [("a", Turn.GO, 0), ("late", Turn.TOO_LATE, 0), ("past", Turn.TOO_LATE, 0)]


def test_who_was_overtaken_too_often_is_told_at_its_deadline() -> None:
    gate = Gate(per_second(1))
    gate.ask("a", OPEN)
    gate.ask("open", OPEN, within_ns=1500 * MS)
    gate.ask("cancel", CANCEL)
    gate.time.run_until(T + 5 * NS)
    assert gate.log == [("a", Turn.GO, 0), ("cancel", Turn.GO, NS), ("open", Turn.TOO_LATE, NS)]


def test_who_waits_behind_another_is_told_at_its_deadline() -> None:
    gate = Gate(per_second(5))
    gate.ask("a", OPEN, units=5)
    gate.ask("first", OPEN, units=5)
    gate.ask("behind", OPEN, within_ns=300 * MS)
    gate.time.run_until(T + 5 * NS)
    assert gate.log == [("a", Turn.GO, 0), ("behind", Turn.TOO_LATE, 300 * MS), ("first", Turn.GO, NS)]


def test_a_full_queue_gives_way_to_who_matters_more() -> None:
    gate = Gate(per_second(1), waiting_max=2)
    for name, priority in [("a", OPEN), ("r1", READ), ("r2", READ), ("r3", READ), ("c", CANCEL)]:
        gate.ask(name, priority)
    assert gate.log == [("a", Turn.GO, 0), ("r3", Turn.CROWDED_OUT, 0), ("r2", Turn.CROWDED_OUT, 0)]
    gate.time.run_until(T + 5 * NS)
    assert gate.log[3:] == [("c", Turn.GO, NS), ("r1", Turn.GO, 2 * NS)]


def test_a_ban_that_comes_while_somebody_waits_holds_them() -> None:
    gate = Gate(per_second(1))
    gate.ask("a", OPEN)
    gate.ask("b", OPEN, within_ns=5 * NS)
    gate.ask("c", CANCEL, within_ns=60 * NS)
    gate.budget.block(T + 30 * NS, "HTTP 418")
    gate.time.run_until(T + 60 * NS)
    assert gate.log == [("a", Turn.GO, 0), ("b", Turn.TOO_LATE, 5 * NS), ("c", Turn.GO, 30 * NS)]


def test_leaving_the_queue_frees_those_behind() -> None:
    gate = Gate(per_second(5))
    gate.ask("a", OPEN, units=3)
    turns: list[Turn] = []
    ticket = gate.turnstile.enter(gate.budget.cost({"orders": 4}), OPEN, expires_ns=T + 9 * NS, on_turn=turns.append)
    gate.ask("behind", OPEN, units=2)
    assert ticket is not None
    assert gate.log == [("a", Turn.GO, 0)]
    assert gate.turnstile.leave(ticket)
    assert not gate.turnstile.leave(ticket)
    assert gate.log == [("a", Turn.GO, 0), ("behind", Turn.GO, 0)]
    gate.time.run_until(T + 9 * NS)
    assert turns == []


def test_asking_again_from_within_a_turn_is_allowed() -> None:
    gate = Gate(per_second(1))
    gate.ask("a", OPEN)

    def again(turn: Turn) -> None:
        gate.log.append(("first", turn, gate.time.now_ns() - T))
        gate.ask("second", OPEN)

    gate.turnstile.enter(gate.budget.cost({"orders": 1}), OPEN, expires_ns=T + 9 * NS, on_turn=again)
    gate.time.run_until(T + 9 * NS)
    assert gate.log == [("a", Turn.GO, 0), ("first", Turn.GO, NS), ("second", Turn.GO, 2 * NS)]


def test_what_can_never_fit_is_refused_also_when_others_wait() -> None:
    gate = Gate(per_second(2))
    for name in ("a", "b", "c"):
        gate.ask(name, OPEN)
    with pytest.raises(CallerError, match="never fits"):
        gate.ask("huge", OPEN, units=3)
    with pytest.raises(CallerError, match="waiting_max"):
        Turnstile(gate.budget, gate.time, waiting_max=-1)
    assert gate.turnstile.waiting == 1
