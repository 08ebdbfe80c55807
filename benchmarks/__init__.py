"""Speed, each figure against its baseline in one run, as a ratio with its spread. docs/benchmarks.md says the rest."""
