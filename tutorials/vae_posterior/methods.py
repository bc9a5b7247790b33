"""The diffusion guides of arXiv 2402.05098, each amortized over the images: one line a method."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from amortized import DiffusionGuide, LocalTo, PISGuide, TBGuide, VarGradGuide

EVERY_IMAGE = LocalTo("images")
OFF_POLICY = partial(VarGradGuide, amortize=EVERY_IMAGE)
METHODS: dict[str, Callable[..., DiffusionGuide]] = {
    "PIS": partial(PISGuide, amortize=EVERY_IMAGE, langevin=False),
    "PIS+LP": partial(PISGuide, amortize=EVERY_IMAGE, langevin=True),
    "TB": partial(TBGuide, amortize=EVERY_IMAGE, langevin=False, local_search=False),
    "VarGrad": partial(OFF_POLICY, langevin=False, local_search=False),
    "VarGrad+Expl+LP": partial(OFF_POLICY, langevin=True, exploration=0.1, local_search=False),
    "VarGrad+Expl+LP+LS": partial(OFF_POLICY, langevin=True, exploration=0.1, local_search=True),
}
