"""What a user sees after ten typing mistakes in each of three models, in Python and in the shell.

    python benchmarks/mistakes.py > docs/results/mistakes.md

Every mistake is run as typed; a row shows the exception or the warning, word for word. One minute of one CPU thread.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyro
import pyro.distributions as dist
import torch

from amortized import DiffusionGuide, cli

SECONDS = 4.0
torch.manual_seed(0)
YEARS, FIRM = torch.rand(30), torch.arange(30) % 3
WAGE = 1.0 + YEARS + 0.3 * torch.randn(30)
COUNTS = torch.poisson(torch.full((40, 8), 3.0))
HEIGHTS = torch.cat([torch.randn(15) - 3.0, torch.randn(15) + 3.0])


def wages(years, firm, wage, rows=None, prior=None, observed=True):
    """A regression with a level for every firm."""
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    noise = pyro.sample("noise", prior or dist.HalfNormal(1.0))
    with pyro.plate("firms", 3):
        level = pyro.sample("level", dist.Normal(0.0, 1.0))
    with pyro.plate("workers", rows or len(years)):
        pyro.sample("wage", dist.Normal(level[firm] + slope * years, noise), obs=wage if observed else None)


def outbreak(counts):
    """Weekly counts of one place; a guide for all places."""
    rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
    with pyro.plate("weeks", len(counts)):
        pyro.sample("counts", dist.Poisson(rate), obs=counts)


def heights(y, concentration=(1.0, 1.0), rows=None, count=None, part=None, as_list=False):
    """A mixture of two normals whose labels are summed out."""
    weights = pyro.sample("weights", dist.Dirichlet(torch.tensor(concentration)))
    places = pyro.sample("places", dist.Normal(torch.zeros(2), 3.0).to_event(1))
    if count is not None:
        pyro.sample("count", count)
    with pyro.plate("people", rows or len(y), subsample_size=part):
        label = pyro.sample("label", dist.Categorical(weights))
        pyro.sample("y", dist.Normal(places[label], 1.0), obs=y.tolist() if as_list else y[:part])


def fitted(model: Callable, *args: Any, **kwargs: Any) -> DiffusionGuide:
    return DiffusionGuide(model, progress=False, max_seconds=SECONDS).fit(*args, **kwargs)


def amortized(*args: Any, names: Any = "counts", **kwargs: Any) -> DiffusionGuide:
    return DiffusionGuide(outbreak, amortize=names, progress=False, max_seconds=SECONDS).fit(*args, **kwargs)


WAGES: dict[str, Callable[[], Any]] = {
    "wage of shape (30, 1)": lambda: fitted(wages, YEARS, FIRM, WAGE[:, None]),
    "wage shorter than years": lambda: fitted(wages, YEARS, FIRM, WAGE[:20]),
    "one argument forgotten": lambda: fitted(wages, YEARS, FIRM),
    "a plate of 5 for 30 workers": lambda: fitted(wages, YEARS, FIRM, WAGE, rows=5),
    "a firm numbered 3 of 0, 1, 2": lambda: fitted(wages, YEARS, FIRM + 1, WAGE),
    "names of firms": lambda: fitted(wages, YEARS, pandas.Series(["a", "b", "c"] * 10), WAGE),
    "a missing wage": lambda: fitted(wages, YEARS, FIRM, torch.cat([WAGE[:29], torch.tensor([torch.nan])])),
    "noise with a Normal prior": lambda: fitted(wages, YEARS, FIRM, WAGE, prior=dist.Normal(0.0, 1.0)),
    "obs= forgotten": lambda: fitted(wages, YEARS, FIRM, WAGE, observed=False),
    "no worker at all": lambda: fitted(wages, YEARS[:0], FIRM[:0], WAGE[:0]),
}


def outbreaks() -> dict[str, Callable[[], Any]]:
    guide = amortized(COUNTS)
    return {
        "fit to one place without [ ]": lambda: amortized(COUNTS[0]),
        "a negative count in place 2": lambda: amortized(torch.cat([COUNTS[:2], -1 - COUNTS[2:]])),
        "half a case": lambda: amortized(COUNTS + 0.5),
        "amortize= of another name": lambda: amortized(COUNTS, names="count"),
        "sample without data": lambda: guide.sample(500),
        "another name in sample": lambda: guide.sample(500, count=COUNTS[0]),
        "the data twice": lambda: guide.sample(500, COUNTS[0], counts=COUNTS[0]),
        "7 weeks instead of 8": lambda: guide.sample(500, counts=COUNTS[0, :7]),
        "counts as text": lambda: guide.sample(500, counts=np.array(["3"] * 8)),
        "an option misspelt": lambda: guide.sample(500, COUNTS[0], corection="none"),
    }


MIXTURE: dict[str, Callable[[], Any]] = {
    "y of shape (30, 1)": lambda: fitted(heights, HEIGHTS[:, None]),
    "a plate of 5 for 30 people": lambda: fitted(heights, HEIGHTS, rows=5),
    "one person for 30": lambda: fitted(heights, HEIGHTS[:1], rows=30),
    "a table of two columns": lambda: fitted(heights, pandas.DataFrame({"a": HEIGHTS, "b": HEIGHTS})),
    "a column of names": lambda: fitted(heights, pandas.DataFrame({"a": [1.0, 2.0], "name": ["x", "y"]})),
    "a negative concentration": lambda: fitted(heights, HEIGHTS, concentration=(1.0, -1.0)),
    "a Poisson latent": lambda: fitted(heights, HEIGHTS, count=dist.Poisson(2.0)),
    "a list inside the model": lambda: fitted(heights, HEIGHTS, as_list=True),
    "a random part of the plate": lambda: fitted(heights, HEIGHTS, part=10),
    "a keyword misspelt": lambda: fitted(heights, HEIGHTS, row=30),
}
FILE = """
import numpy, torch, pyro, pyro.distributions as dist
def model(y):
    rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
    with pyro.plate("weeks", 8):
        pyro.sample("y", dist.Poisson(rate), obs=y)
"""
SHELL = {
    "no data()": "",
    "data() without its comma": "def data(): return (torch.ones(8))",
    "a negative count": "def data(): return (numpy.array([1, 2, -3, 1, 0, 2, 1, 4]),)",
    "7 weeks for a plate of 8": "def data(): return (numpy.ones(7),)",
    "y of shape (8, 1)": "def data(): return (numpy.ones((8, 1)),)",
    "counts as text": "def data(): return (numpy.array(['1'] * 8),)",
}


def seen(run: Callable[[], Any]) -> str:
    """The exception, or the warnings, as Python shows them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            run()
        except Exception as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return "; ".join(f"{one.category.__name__}: {one.message}" for one in caught[:1]) or "nothing"


def in_the_shell(data: str) -> str:
    """What ``amortized info FILE`` prints on stderr."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(said):
        path = Path(folder) / "mine.py"
        path.write_text(FILE + data + "\n")
        cli.main(["info", str(path)])
    return " ".join(said.getvalue().split()).replace(f"{folder}/", "")


def main() -> None:
    print("# What typing mistakes look like\n")
    print("`python benchmarks/mistakes.py > docs/results/mistakes.md`: word for word as a user sees it.")
    tables = {
        "`wages`, a regression with groups": {what: partial(seen, run) for what, run in WAGES.items()},
        "`outbreak`, counts, amortized": {what: partial(seen, run) for what, run in outbreaks().items()},
        "`heights`, a mixture": {what: partial(seen, run) for what, run in MIXTURE.items()},
        "`amortized info mine.py`, in the shell": {what: partial(in_the_shell, text) for what, text in SHELL.items()},
    }
    for model, rows in tables.items():
        print(f"\n## {model}\n\n| mistake | message |\n|---|---|")
        for what, show in rows.items():
            print(f"| {what} | {show().replace('|', chr(92) + '|')} |", flush=True)


if __name__ == "__main__":
    main()
