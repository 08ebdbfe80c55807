"""Published param-sets: data, one file each, append-only."""
