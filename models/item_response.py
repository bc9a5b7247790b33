"""A test of twenty questions, answered by a hundred people: two parameters for a question, one for a person.

difficulty_mean ~ N(0, 2),  difficulty_std ~ HalfNormal(1),  discrimination_std ~ HalfNormal(1)
ability_p ~ N(0, 1),  difficulty_q ~ N(difficulty_mean, difficulty_std)
discrimination_q ~ LogNormal(0, discrimination_std)
right_pq ~ Bernoulli(logits = discrimination_q (ability_p - difficulty_q))
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = "Simulated by the formula in `data`; the two-parameter logistic model of Birnbaum (1968)"

# Bridge sampling from long NUTS chains: benchmarks/modellers_truth.py
LOG_EVIDENCE = (-1122.268, 0.030)
SCALE = 1.0

PERSONS, QUESTIONS = 100, 20


def data() -> tuple[torch.Tensor]:
    """Whether a person's answer is right, 0 or 1: ``(100, 20)``. Simulated with seed 6."""
    generator = torch.Generator().manual_seed(6)
    ability = torch.randn(PERSONS, 1, generator=generator)
    difficulty = 0.3 + torch.randn(QUESTIONS, generator=generator)
    discrimination = (0.4 * torch.randn(QUESTIONS, generator=generator)).exp()
    return (torch.bernoulli((discrimination * (ability - difficulty)).sigmoid(), generator=generator),)


def model(right: torch.Tensor) -> None:
    difficulty_mean = pyro.sample("difficulty_mean", dist.Normal(0.0, 2.0))
    difficulty_std = pyro.sample("difficulty_std", dist.HalfNormal(1.0))
    discrimination_std = pyro.sample("discrimination_std", dist.HalfNormal(1.0))
    persons = pyro.plate("person", PERSONS, dim=-2)
    questions = pyro.plate("question", QUESTIONS, dim=-1)
    with persons:
        ability = pyro.sample("ability", dist.Normal(0.0, 1.0))
    with questions:
        difficulty = pyro.sample("difficulty", dist.Normal(difficulty_mean, difficulty_std))
        discrimination = pyro.sample("discrimination", dist.LogNormal(0.0, discrimination_std))
    with persons, questions:
        logits = discrimination * (ability - difficulty)
        pyro.sample("right", dist.Bernoulli(logits=logits), obs=right)
