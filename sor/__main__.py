"""`python -m sor`: the command line without its script, for an interpreter whose scripts are not on the path."""

from sor.cli.main import main

if __name__ == "__main__":
    main()
