"""What the unpacked wheel of sbibm holds of a task: observations, reference draws, the model with its constants.

pip download sbibm==1.1.0 --no-deps && unzip sbibm-1.1.0-py2.py3-none-any.whl -d DIR
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sbibm_models as models
import torch
from torch import Tensor

SHAPES = {
    "two_moons": (2,),
    "slcp": (4, 2),
    "gaussian_mixture": (2,),
    "gaussian_linear": (10,),
    "bernoulli_glm": (100,),
}
"""Of an observation."""


@dataclass(frozen=True)
class Task:
    """One task of sbibm.

    Args:
        name: sbibm's.
        folder: ``DIR/sbibm/tasks`` of the unpacked wheel.
    """

    name: str
    folder: Path

    @property
    def files(self) -> Path:
        return self.folder / self.name / "files"

    @property
    def model(self) -> Callable[[Tensor], None]:
        if self.name == "bernoulli_glm":
            return models.bernoulli_glm(torch.load(self.files / "design_matrix.pt"))
        return getattr(models, self.name)

    def observation(self, number: int) -> Tensor:
        """Observation 1 to 10; for the GLM the spikes themselves, whose posterior is that of their summary."""
        name = "observation_raw.csv" if self.name == "bernoulli_glm" else "observation.csv"
        return self._table(number, name)[0].reshape(SHAPES[self.name])

    def reference(self, number: int) -> Tensor:
        """Draws ``(10000, D)`` of the posterior."""
        return self._table(number, "reference_posterior_samples.csv.bz2")

    def _table(self, number: int, name: str) -> Tensor:
        file = self.files / f"num_observation_{number}" / name
        return torch.tensor(np.loadtxt(file, delimiter=",", skiprows=1, ndmin=2), dtype=torch.float32)
