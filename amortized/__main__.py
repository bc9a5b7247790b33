"""The command ``amortized``, also as ``python -m amortized``: the command line with the benchmark's command added."""

import sys

from amortized import cli
from amortized.benchmark import command


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    return cli.main(command.with_action(sys.argv[1:] if argv is None else list(argv)), command.add_commands)


if __name__ == "__main__":
    sys.exit(main())
