"""Bayesian logistic regression on a table that you have: Ionosphere, Sonar and German credit of the UCI repository.

    amortized bench run "benchmarks/logistic_targets.py:'DIR/ionosphere.csv'" --methods guide --seconds 60
    python benchmarks/logistic_targets.py DIR/ionosphere.csv DIR/sonar.csv DIR/german.csv     # computes the truths

    weight_j ~ N(0, 1), j = 0..D-1,  label_i ~ Bernoulli(logits = columns_i · weight)

A file has one row a case and no header; its last column is the label. The first column of the regression is a
constant, the others are standardized. A column of words is coded 0, 1, 2 ... in the order of the alphabet; a constant
column is left out. The files are those of the UCI repository (Sigillito et al. 1989; Gorman and Sejnowski 1988; Hofmann
1994). The German credit data have their twenty columns here, the published runs (arXiv 2406.07423) the numerical form
with 24.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import torch

REFERENCE = "UCI Machine Learning Repository: Ionosphere, Connectionist Bench (Sonar), Statlog (German Credit Data)"

TRUTHS = {(351, 34): (-111.6078, 0.0015), (208, 61): (-108.3866, 0.0019), (1000, 21): (-528.9959, 0.0004)}
"""By rows and columns of Ionosphere, Sonar and German credit. A million Student-t importance draws in float64."""


def log_evidence(columns: torch.Tensor, label: torch.Tensor) -> tuple[float, float]:
    """log Z and its error, in nats; ``KeyError`` for another table: print its own with this script."""
    return TRUTHS[columns.shape[0], columns.shape[1]]


def data(file: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns ``(N, D)``, without unit, and labels 0 or 1 ``(N,)``."""
    table = np.array([line.split(",") for line in Path(file).read_text().split()])
    columns = np.stack([_numbers(column) for column in table.T], axis=1)
    features, label = columns[:, :-1], columns[:, -1]
    features = features[:, features.std(0) > 0]
    standardized = (features - features.mean(0)) / features.std(0)
    with_constant = np.column_stack([np.ones(len(table)), standardized])
    return torch.tensor(with_constant, dtype=torch.float32), torch.tensor(label - label.min(), dtype=torch.float32)


def _numbers(column: np.ndarray) -> np.ndarray:
    try:
        return column.astype(float)
    except ValueError:
        return np.unique(column, return_inverse=True)[1].astype(float)


def model(columns: torch.Tensor, label: torch.Tensor) -> None:
    with pyro.plate("column", columns.shape[1]):
        weight = pyro.sample("weight", dist.Normal(0.0, 1.0))
    with pyro.plate("case", len(label)):
        pyro.sample("label", dist.Bernoulli(logits=columns @ weight), obs=label)


if __name__ == "__main__":
    from truths import logistic_regression

    for path in sys.argv[1:]:
        value, error = logistic_regression(*data(path))
        print(f"{path}: {data(path)[0].shape[1]} dimensions, log Z {value:.4f} ± {error:.4f}")
