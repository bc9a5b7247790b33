"""Which latents of a model have a frame, and whose frame moves with other latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from amortized._types import Tensor
from amortized.targets.pyro.coordinates import Frame, frame_of
from amortized.targets.pyro.data import Message
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.trace import Placing, undisturbed

SPREAD = 0.3
"""Standard deviation of the two points at which frames are read: near 0, where every support is far from its ends."""
SEED = 11
"""Of the two points: any two differ in every coordinate."""


@dataclass(frozen=True)
class Frames:
    """What the structure says of the latents.

    Args:
        moving: Names of those whose location or scale depends on other latents.
        constant: Names of those with a constant frame.
        differing: Names of those whose distribution differs between states of a summed-out latent.
        without: Names of the others, which have no frame.
    """

    moving: tuple[str, ...]
    constant: tuple[str, ...]
    differing: tuple[str, ...]
    without: tuple[str, ...]


class _Looking(Placing):
    def __init__(self, program: Program, x: Tensor):
        structure = program.structure
        super().__init__(structure.parameters, structure.latents, structure.pieces(x))
        self.frames: dict[str, Frame] = {}
        self.differing: set[str] = set()

    def value(self, message: Message) -> Tensor:
        latent, fn = self.latent(message), message["fn"]
        if latent.shape != torch.Size(fn.batch_shape + fn.event_shape):
            self.differing.add(latent.name)
        elif latent.shape == latent.unconstrained_shape:
            if (frame := frame_of(fn)) is not None:
                self.frames[latent.name] = frame
        return super().value(message)


def frames(program: Program) -> Frames:
    """Reads the frames of a model at two points of its coordinates."""
    structure, generator = program.structure, torch.Generator().manual_seed(SEED)
    found: list[dict[str, Frame]] = []
    differing: set[str] = set()
    for _ in range(2):
        x = SPREAD * torch.randn(structure.dim, generator=generator)
        looking = _Looking(program, x.to(structure.device, structure.dtype))
        with undisturbed(structure.device), torch.no_grad():
            program._trace(looking)
        found.append(looking.frames)
        differing |= looking.differing
    both = [name for name in structure.latents if all(name in each for each in found)]
    moving = tuple(name for name in both if _differ(found[0][name], found[1][name]))
    constant = tuple(name for name in both if name not in moving)
    others = [name for name in structure.latents if name not in both]
    return Frames(
        moving=moving,
        constant=constant,
        differing=tuple(name for name in others if name in differing),
        without=tuple(name for name in others if name not in differing),
    )


def _differ(one: Frame, other: Frame) -> bool:
    pairs: list[tuple[Tensor, Tensor]] = [(one.loc, other.loc), (one.scale, other.scale)]
    if one.tril is not None and other.tril is not None:
        pairs.append((one.tril, other.tril))
    return any(not torch.equal(first, second) for first, second in pairs)
