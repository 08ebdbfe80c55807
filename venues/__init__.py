"""Venues: one package each, found through entry points; shared plumbing beside them."""
