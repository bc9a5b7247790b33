"""``amortized sample FILE GUIDE [--data y.npy]``: draws of a saved guide, with the verdict of each data set."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch

from amortized.diagnostics.comparison import aligned
from amortized.files import outputs
from amortized.files.errors import UserError
from amortized.files.model import blaming, find_model, imported
from amortized.guide.guide import DiffusionGuide
from amortized.parallel.group import together
from amortized.parallel.ranks import RankLost


def run(arguments: argparse.Namespace) -> None:
    """Load, draw, print one row for each data set, and write the draws.

    They are ``{site: (M, N, *event)}`` of an amortized guide, else ``{site: (N, *event)}``.
    """
    path, out = arguments.file, arguments.out
    if not path.is_file():
        raise UserError(f"{path} is not there: type the path of the Python file that has the model")
    outputs.check_writable(out.parent)
    values = () if arguments.data is None else (numbers(arguments.data),)
    with blaming(path):
        model = find_model(imported(path), path, arguments.model)
    try:
        with together() as group:
            if group.ranks.rank:
                warnings.simplefilter("ignore")  # the first process says it
            guide = DiffusionGuide.load(arguments.guide, model)
            check_data(guide, arguments)
            draws = guide.sample(arguments.draws, *values)
            found = guide.diagnose(*values)
    except (ValueError, TypeError, RankLost) as error:
        raise UserError(f"{error}") from error
    if group.ranks.rank:
        return
    verdicts = found if isinstance(found, list) else [found]
    head = ["data set", "log evidence", "effective", "verdict"]
    rows = [[str(k), str(one.log_evidence), f"{one.ess_fraction:.0%}", one.verdict] for k, one in enumerate(verdicts)]
    with outputs.together(out.parent) as temporary:
        arrays = {name: value.numpy(force=True) for name, value in draws.items()}
        with (temporary / out.name).open("wb") as stream:
            verdict = np.array([one.verdict for one in verdicts])
            np.savez(stream, **arrays, verdict=verdict)  # pyright: ignore[reportArgumentType] - for names of sites
    print(aligned([head, *rows]))
    print(f"\nwritten to {out}: {', '.join([*draws, 'verdict'])}")


def check_data(guide: DiffusionGuide, arguments: argparse.Namespace) -> None:
    """Raises ``UserError`` unless data are given to an amortized guide, and to no other."""
    amortized, given = guide.options.amortize is not None, arguments.data is not None
    if amortized and not given:
        raise UserError(f"{arguments.guide} answers for any data set: type --data y.npy, a file of numpy.save")
    if given and not amortized:
        raise UserError(f"{arguments.guide} was fitted to one data set: leave --data out")


def numbers(path: Path) -> torch.Tensor:
    """The array of an ``.npy`` file; raises ``UserError`` where it holds anything but numbers."""
    try:
        array = np.load(path, allow_pickle=False)
        return torch.as_tensor(array, dtype=torch.get_default_dtype() if array.dtype.kind == "f" else None)
    except (OSError, ValueError, TypeError, AttributeError, EOFError) as error:
        raise UserError(f"{path}: {error}; type the path of a file that numpy.save wrote, with numbers") from error
