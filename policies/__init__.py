"""Placement policies and schedules, one idea a file; found through entry points."""
