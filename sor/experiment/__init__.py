"""Experiments: parents are given to arms by chance that anybody can recompute, and arms that do harm are stopped.

Pure values in, pure values out; the shell posts what comes of it as facts. docs/experiments.md says how to run one.
"""
