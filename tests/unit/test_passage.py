"""First passages and extremes of ranges, against going through them one by one."""

import numpy as np
import pytest

from sor.lab.passage import Lowest, range_max


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 300, 5_000])
def test_every_query_finds_what_a_walk_finds(count: int) -> None:
    rng = np.random.default_rng(count)
    values = rng.integers(0, 1_000, count)
    start, stop = rng.integers(0, count + 1, 200), rng.integers(0, count + 1, 200)
    bound = rng.integers(-5, 100, 200)
    found = Lowest(values).first_at_most(bound, start=start, stop=stop)
    largest = range_max(values.astype(np.float64), start=start, stop=stop)
    for at in range(200):
        inside = values[start[at] : stop[at]]
        hits = np.flatnonzero(inside <= bound[at])
        assert found[at] == (start[at] + hits[0] if len(hits) else count)
        assert largest[at] == inside.max() if len(inside) else np.isnan(largest[at])
