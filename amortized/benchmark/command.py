"""``amortized bench MODEL...``: run the benchmark's cells; ``amortized bench report DIR``: their tables and figures.

Only the words of the command line are here; ``benchmark/actions.py`` loads when one of them runs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ACTIONS = ("run", "report")
"""What may follow ``bench``; any other word is a model file."""


def with_action(argv: Sequence[str]) -> list[str]:
    """``bench MODEL`` is short for ``bench run MODEL``.

    >>> with_action(["bench", "models/funnel.py", "--steps", "9"])
    ['bench', 'run', 'models/funnel.py', '--steps', '9']
    >>> with_action(["bench", "report", "runs/bench"])
    ['bench', 'report', 'runs/bench']
    """
    if argv[:1] == ["bench"] and argv[1:] and argv[1] not in (*ACTIONS, "-h", "--help"):
        return ["bench", "run", *argv[1:]]
    return list(argv)


def add_commands(commands: Any) -> None:
    """Add ``bench`` with its two actions to the subparsers of a command line."""
    command = commands.add_parser("bench", help="every method on every model at an equal budget; report DIR")
    actions = command.add_subparsers(title="actions", required=True, metavar="{run,report}")
    action = actions.add_parser("run", help="train and measure every model x method x seed; goes on where it was")
    action.add_argument("models", nargs="+", metavar="MODEL", help="a model file, options of its data after a colon")
    action.add_argument(
        "--methods", type=comma_separated, required=True, metavar="A,B", help="methods, with commas between"
    )
    action.add_argument("--seeds", type=positive_integer, default=1, metavar="N", help="seeds 0 to N - 1 (default 1)")
    budget = action.add_mutually_exclusive_group(required=True)
    budget.add_argument("--seconds", type=positive_number, metavar="S", help="equal clock: seconds of training")
    budget.add_argument("--steps", type=positive_integer, metavar="N", help="equal gradient steps")
    budget.add_argument(
        "--energy-calls", type=positive_integer, metavar="N", help="equal cost: density evaluations in training"
    )
    action.add_argument(
        "--paths",
        type=positive_integer,
        metavar="N",
        help="paths and exact draws to measure by (default 2000)",
    )
    action.add_argument(
        "--jobs", type=positive_integer, default=1, metavar="N", help="cells at once, a thread each (default 1)"
    )
    action.add_argument("--backend", choices=["loky", "dask"], default="loky", help="processes here, or a Dask cluster")
    action.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster (default: one on this machine)")
    action.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="default runs/bench")
    action.add_argument("--retry", action="store_true", help="run failed cells again")
    action.set_defaults(run=run_benchmark, after_interrupt="the finished cells are kept; the same command continues")

    action = actions.add_parser("report", help="tables as Markdown and HTML, and figures, from a folder of results")
    action.add_argument("folder", type=Path, metavar="DIR", help="the folder of results")
    action.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: the results' own)")
    action.add_argument("--metric", default="delta", metavar="NAME", help="of the figure (default delta)")
    action.add_argument("--methods", type=comma_separated, metavar="A,B", help="only these, in this order")
    action.add_argument("--published", type=Path, metavar="JSON", help="{target: {method: {metric: value}}}")
    action.add_argument("--no-times", action="store_true", help="leave out what differs between two equal runs")
    action.set_defaults(run=write_report)


def run_benchmark(arguments: argparse.Namespace) -> None:
    from amortized.benchmark import actions

    actions.run_benchmark(arguments)


def write_report(arguments: argparse.Namespace) -> None:
    from amortized.benchmark import actions

    actions.write_report(arguments)


def comma_separated(text: str) -> list[str]:
    """Names with commas between.

    >>> comma_separated("pis,dds")
    ['pis', 'dds']
    """
    names = text.split(",")
    if "" in names:
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name in it")
    return names


def positive_number(text: str) -> float:
    """A finite number above zero."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above zero")
    return value


def positive_integer(text: str) -> int:
    """A whole number above zero."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value
