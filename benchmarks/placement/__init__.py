"""Whether `cost_aware` with fitted models beats `maker_first` with a fixed timeout: the same parents under every arm.

    python -m benchmarks.placement --part busy|slow|wide|bitstamp|perpetual [--hours N] [--json] [--page PAGE]

Design
- What is scored is never what was fitted or tuned: other seeds of a made-up market, later hours of a recording, another
  date.
- All arms meet the same parents: start times, sides, size, deadline, excursion budget, delays and fees (maker 2 bps,
  taker 5 bps). A parent that ends unfilled is completed by crossing, so patience is not flattered.
- Differences are paired, and their intervals are a block bootstrap over start time (`sor.lab.bootstrap`); markets of
  several seeds are pooled block by block, as no block reaches from one into another.
- The oracle rests at the touch if that order will be filled by the deadline, else crosses at arrival: nobody can do
  that. Its saving over `cross` is what an arm's saving is a share of.
- An arm that rests for a fixed time is `maker_first@tN`: the base set with another `placement.timeout_s_max`.

Same arguments, same figures. Tapes and journals go to a scratch directory, which may be kept: what is in it already is
not made again.
"""
