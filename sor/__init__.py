"""sor: a smart order router for crypto perpetual futures.

A strategy hands over a parent order; the router decides, by a pluggable policy and a calibrated param-set,
whether to cross the spread or to rest a post-only limit order, and proves that it never trades more than asked.
"""

__version__ = "0.1.0"
