"""The lab: tapes, importers, replay, comparison statistics."""
