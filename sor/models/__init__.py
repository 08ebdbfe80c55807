"""Models of cost, fill and time that policies decide by; pure, floats, numpy only.

A model says what is expected, in bps of the arrival mid (positive is a cost), seconds and bps/sqrt(s). It reads no
param-set and no view: whoever decides hands the numbers in. What fits a model to data is in `sor.lab`.
docs/models.md lists them with their sources and the published numbers they reproduce.
"""
