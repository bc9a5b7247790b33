"""The command line: ``amortized fit`` and ``info`` on any file with a Pyro model, and the frame of every command.

Torch loads when a command runs, so that ``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

import amortized
from amortized.cli.methods import AS_TYPED
from amortized.files.errors import UserError
from amortized.guide.options import Options, words

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the signal's number."""
AddCommand = Callable[["argparse._SubParsersAction[argparse.ArgumentParser]"], None]
"""Adds one more command to those of the parser."""


def main(argv: Sequence[str], *more: AddCommand) -> int:
    """Run one command.

    Args:
        argv: What was typed after ``amortized``.
        *more: Each adds one more command.

    Returns:
        0 when it went well, or when nothing was typed and help was shown; 1 where a method to compare with failed; 2
        after a user's error (one line on stderr); 130 after Ctrl-C.
    """
    root = parser(*more)
    if not argv:
        root.print_help()
        return 0
    arguments = root.parse_args(with_file_first(argv))
    arguments.command = shlex.join(["amortized", *argv])
    try:
        with warnings.catch_warnings():
            warnings.showwarning = one_line_warning
            return arguments.run(arguments) or 0
    except UserError as error:
        print(f"amortized: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\namortized: interrupted, {arguments.after_interrupt}", file=sys.stderr)
        return INTERRUPTED


def with_file_first(argv: Sequence[str]) -> list[str]:
    """``--compare nuts FILE`` as ``FILE --compare nuts``: argparse would take the file for one more method.

    >>> with_file_first(["fit", "--compare", "nuts", "smc", "mine.py", "--report"])
    ['fit', 'mine.py', '--compare', 'nuts', 'smc', '--report']
    """
    if "--compare" not in argv:
        return list(argv)
    place = argv.index("--compare")
    methods = list(takewhile(lambda word: not word.startswith("-"), argv[place + 1 :]))
    files = [word for word in methods if word.endswith(".py")]
    kept = [word for word in methods if word not in files]
    return [*argv[:place], *files, "--compare", *kept, *argv[place + 1 + len(methods) :]]


def one_line_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def parser(*more: AddCommand) -> argparse.ArgumentParser:
    """The options of every command; ``run`` carries the command out."""
    root = argparse.ArgumentParser(prog="amortized", description=amortized.__doc__)
    root.set_defaults(after_interrupt="nothing was written")
    root.add_argument("--version", action="version", version=f"amortized {amortized.__version__}")
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = commands.add_parser("fit", help="draw from the posterior of a file's model, and say whether to trust it")
    add_file(command)
    methods = sorted(AS_TYPED)
    text = f"run these methods too, on the same density: {', '.join(methods)}"
    command.add_argument("--compare", nargs="+", choices=methods, metavar="METHOD", help=text)
    command.add_argument("--report", action="store_true", help="write report.html too, a page that needs nothing else")
    command.add_argument("--seed", type=int, default=Options.seed, help=words("seed"))
    command.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default runs/FILE's name)")
    command.add_argument(
        "--max-seconds", type=positive, metavar="S", help="limit of the fit in seconds of wall clock (default 60)"
    )
    command.add_argument("--device", default=Options.device, help=words("device"))
    command.add_argument("--draws", type=whole, metavar="N", help="posterior draws (default 4000)")
    text = "keep what is done there; the same command goes on from it after a kill"
    command.add_argument("--checkpoint", type=Path, metavar="DIR", help=text)
    text = (
        "one guide for many data sets: the arguments of the model that hold them along a first dimension, as y or x,y"
    )
    command.add_argument("--amortize", type=names, metavar="NAMES", help=text)
    text = "go on with a fit of --amortize that was stopped, also on another number of processes"
    command.add_argument("--resume", action="store_true", help=text)
    command.set_defaults(run=run_fit)

    command = commands.add_parser("info", help="show sites, supports, shapes, and how the density is batched")
    add_file(command)
    command.set_defaults(run=run_info)

    command = commands.add_parser("sample", help="draw from a saved guide's posterior, of each data set if amortized")
    add_file(command)
    command.add_argument("guide", type=Path, metavar="GUIDE", help="a file of guide.save, or guide.safetensors of fit")
    command.add_argument("--data", type=Path, metavar="NPY", help="of an amortized guide, along a first dimension")
    command.add_argument("--out", type=Path, default=Path("draws.npz"), help="the draws (default draws.npz)")
    command.add_argument("--draws", type=whole, default=1_000, metavar="N", help="draws of each (default 1000)")
    command.set_defaults(run=run_sample)

    for add in more:
        add(commands)
    return root


def run_fit(arguments: argparse.Namespace) -> int:
    from amortized.cli import fit, fit_many

    return fit.run(arguments) if arguments.amortize is None else fit_many.run(arguments)


def run_info(arguments: argparse.Namespace) -> None:
    from amortized.cli import info

    info.run(arguments)


def run_sample(arguments: argparse.Namespace) -> None:
    from amortized.cli import sample

    sample.run(arguments)


def add_file(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="a Python file with model and data")
    command.add_argument("--model", default="model", metavar="NAME", help="function in FILE (default model)")


def positive(text: str) -> float:
    """A number above zero."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def names(text: str) -> list[str]:
    """
    >>> names("x,y")
    ['x', 'y']
    """
    return text.split(",")


def whole(text: str) -> int:
    """A whole number of at least two: a standard deviation needs two draws."""
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"{text} is not at least 2")
    return value
