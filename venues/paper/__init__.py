"""Paper trading: the live market of a venue, and fills that are worked out here (V3). See `quirks.md`."""
