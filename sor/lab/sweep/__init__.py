"""The compiled lane of replay: one parametric resting policy over a recording, for many parents and many settings."""
