"""Bayesian logistic regression: is a breast tumour benign, given thirty measurements of its cells?

    weight_j ~ N(0, 1), j = 0..30,  benign_i ~ Bernoulli(logits = columns_i · weight)

The first column is a constant. The others are standardized (mean 0, standard deviation 1).
"""

from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Wolberg, Street and Mangasarian (1995), Breast Cancer Wisconsin (Diagnostic), UCI: models/data/README.md"

# A million Student-t importance draws, proposal adapted in three rounds: benchmarks/truths.py
LOG_EVIDENCE = (-55.2237, 0.0009)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Columns ``(569, 31)``, without unit, and the tumour, 1 benign and 0 malignant: ``(569,)``."""
    table = np.loadtxt(Path(__file__).parent / "data" / "breast_cancer.csv", delimiter=",", skiprows=1)
    features, benign = table[:, :-1], table[:, -1]
    standardized = (features - features.mean(0)) / features.std(0)
    columns = np.column_stack([np.ones(len(table)), standardized])
    return torch.tensor(columns, dtype=torch.float32), torch.tensor(benign, dtype=torch.float32)


def model(columns: torch.Tensor, benign: torch.Tensor) -> None:
    weight = pyro.sample("weight", dist.Normal(0.0, 1.0).expand([columns.shape[1]]).to_event(1))
    with pyro.plate("tumour", len(benign)):
        pyro.sample("benign", dist.Bernoulli(logits=columns @ weight), obs=benign)
