"""Statements that run in a plain trace and that a target must refuse: their text, why, and words of the message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    reason: str
    message: str
    lines: tuple[str, ...]


REFUSALS = (
    Refusal(
        "an infinite discrete latent",
        "infinitely many",
        ('endless = pyro.sample("endless", dist.Poisson(2.0))', 'pyro.factor("counted", -endless)'),
    ),
    Refusal(
        "a support that depends on a summed-out site",
        "support depends on a summed-out",
        (
            'side = pyro.sample("side", dist.Categorical(torch.tensor([0.3, 0.7])))',
            'pyro.sample("inner", dist.Uniform(0.0, torch.tensor([1.0, 2.0])[side]))',
        ),
    ),
    Refusal(
        "control flow on a summed-out site",
        "control flow",
        (
            'coin = pyro.sample("coin", dist.Bernoulli(0.3))',
            'pyro.factor("tossed", torch.tensor(0.5 if coin > 0 else 1.0))',
        ),
    ),
    Refusal(
        "a support without a bijection",
        "no bijection",
        ('pyro.sample("axis", dist.ProjectedNormal(torch.ones(3)))',),
    ),
    Refusal(
        "a plate that draws its rows",
        "draws 2 of 4 rows at random",
        (
            'with pyro.plate("some", 4, subsample_size=2):',
            '    pyro.sample("row", dist.Normal(0.0, 1.0), obs=torch.tensor([0.3, 0.1]))',
        ),
    ),
    Refusal("a random density", "density is random", ('pyro.factor("noise", torch.randn(()))',)),
)

LISTED = {
    "expand(": "a law of a summed-out site expanded by hand, without room for its states, as Pyro refuses it",
    "its support depends on a summed-out": "a support that depends on a summed-out site",
    "the same dtype": "a matrix law in float32 beside float64 data: its density takes no other dtype",
    "does not require grad": "a density that no latent moves",
    "share a summed-out latent and have scales": "a site completed by obs_mask under another scale than what reads it",
    "are tried at once": "a site that reduces over a plate of states, or a random one among them",
}
"""Why a program that a plain trace runs may be refused: words of the message, and the reason."""
