"""The command line: tables and progress for people, `--json` for programs, one clear sentence for what went wrong."""
