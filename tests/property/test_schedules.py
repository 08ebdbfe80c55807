from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from policies.immediate import Immediate
from policies.twap import Twap
from sor.policy import Due, Schedule
from sor.units import NS

TERMS = st.fixed_dictionaries(
    {
        "qty_lots": st.integers(1, 10**9),
        "start_ns": st.integers(0, 2 * 10**18),
        "span_ns": st.integers(1, 86_400 * NS),
        "min_lots": st.integers(1, 10**6),
    }
)
ARGS = st.fixed_dictionaries(
    {},
    optional={
        "slices": st.integers(1, 60).map(float),
        "jitter_time": st.floats(0.0, 0.3),
        "jitter_size": st.floats(0.0, 0.3),
        "seed": st.integers(0, 2**53).map(float),
    },
)


def due(schedule: Schedule, terms: dict[str, int], args: dict[str, float], now_ns: int) -> Due:
    return schedule.due(
        qty_lots=terms["qty_lots"],
        start_ns=terms["start_ns"],
        deadline_ns=terms["start_ns"] + terms["span_ns"],
        now_ns=now_ns,
        min_lots=terms["min_lots"],
        args=args,
    )


def steps(terms: dict[str, int], args: dict[str, float]) -> tuple[list[int], list[int], list[int]]:
    """(when each slice begins, its own lots, by when it is due)."""
    begins, targets, ends = [], [], []
    now_ns: int | None = terms["start_ns"]
    while now_ns is not None:
        found = due(Twap(), terms, args, now_ns)
        begins.append(now_ns)
        targets.append(found.target_lots)
        ends.append(found.by_ns)
        now_ns = found.next_ns
        assert len(begins) <= 60
    return begins, [later - before for before, later in zip([0, *targets], targets, strict=False)], ends


@given(terms=TERMS, args=ARGS)
def test_twap_slices_add_up_and_stay_in_time(terms: dict[str, int], args: dict[str, float]) -> None:
    Twap().check(args)
    begins, sizes, ends = steps(terms, args)
    assert sum(sizes) == terms["qty_lots"]
    assert min(sizes) >= min(terms["min_lots"], terms["qty_lots"])
    assert begins == sorted(begins)
    deadline_ns = terms["start_ns"] + terms["span_ns"]
    assert begins[-1] <= deadline_ns
    assert ends == [*begins[1:], deadline_ns]


@given(terms=TERMS, args=ARGS, moments=st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=20))
def test_the_target_is_a_function_of_now_that_never_falls(
    terms: dict[str, int], args: dict[str, float], moments: list[float]
) -> None:
    begins, sizes, _ = steps(terms, args)
    times = sorted(terms["start_ns"] + int(moment * terms["span_ns"]) for moment in moments)
    targets = [due(Twap(), terms, args, now_ns).target_lots for now_ns in times]
    assert targets == [sum(sizes[: bisect_right(begins, now_ns)]) for now_ns in times]
    assert targets == sorted(targets)
    # A restart asks once, late; whoever asked all along has the same answer.
    assert due(Twap(), terms, args, times[-1]).target_lots == targets[-1]


@given(terms=TERMS, args=ARGS, moment=st.floats(0.0, 2.0))
def test_immediate_is_the_whole_at_any_time(terms: dict[str, int], args: dict[str, float], moment: float) -> None:
    now_ns = terms["start_ns"] + int(moment * terms["span_ns"])
    whole = Due(terms["qty_lots"], terms["start_ns"] + terms["span_ns"], None)
    assert due(Immediate(), terms, {}, now_ns) == whole
    one_slice = {**args, "slices": 1.0}
    assert due(Twap(), terms, one_slice, now_ns) == whole
