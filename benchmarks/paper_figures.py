"""The figures of arXiv 2402.05098, each by one command; finished runs are kept, so that a killed command goes on.

python benchmarks/paper_figures.py exploration --seconds 30
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import matplotlib
import torch
from figures import (
    capacity,
    dimension,
    exploration,
    learned_variance,
    mala,
    noising_and_transition,
    priority,
    projections,
)
from figures.runs import finished_runs, perform_missing
from support import IMAGES, RESULTS, parser_of
from tqdm import tqdm

from amortized.plots import STYLE

FIGURES = {
    "projections": projections,
    "exploration": exploration,
    "learned_variance": learned_variance,
    "capacity": capacity,
    "priority": priority,
    "mala": mala,
    "dimension": dimension,
    "noising_and_transition": noising_and_transition,
}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument("--seconds", type=float, default=20.0, help="processor seconds of the longest run")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS / "paper_figures")
    parser.add_argument("--images", type=Path, default=IMAGES)
    parser.add_argument("--draw", action="store_true", help="run nothing: draw the runs that are finished")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    figure = FIGURES[asked.figure]
    runs = figure.runs(asked.seconds, asked.seeds)
    file = asked.results / f"{asked.figure}.json"
    if asked.draw:
        results = finished_runs(file)
    else:
        command = f"python benchmarks/paper_figures.py {asked.figure} --seconds {asked.seconds:g} --seeds {asked.seeds}"
        results = list(tqdm(perform_missing(file, runs, command), total=len(runs), unit="run"))
    asked.images.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(cast(Any, STYLE)):
        figure.draw(results).savefig(asked.images / f"paper_{asked.figure}.png")


if __name__ == "__main__":
    main()
