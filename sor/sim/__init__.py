"""Simulation: virtual time, worlds, and the oracle that judges them."""
