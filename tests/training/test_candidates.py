"""Untrained samplers: which grid draws, when that is enough, and which of trained and untrained is kept."""

import torch

from amortized.mixtures.gaussian import GaussianMixture
from amortized.policies.uncontrolled import Uncontrolled
from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.mixture_reference import MixtureReference
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from amortized.training.candidates import Candidate, better, candidate
from amortized.training.evaluation import Evaluation
from amortized.training.record import Training
from tests.known import gaussian, seeded

ONE = WhitenedTarget(gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]), torch.zeros(2), torch.eye(2))
CENTRES = torch.tensor([[-3.0], [3.0]])
TWO = WhitenedTarget(
    DensityTarget(lambda x: (-0.5 * (x - CENTRES[:, 0]).square()).logsumexp(-1), 1), torch.zeros(1), torch.eye(1)
)


def held_out(target: WhitenedTarget, ends: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return ends, target.log_prob(ends)


def of_two() -> tuple[OrnsteinUhlenbeck, tuple[torch.Tensor, torch.Tensor]]:
    """A process whose reference is the two modes themselves, and exact draws of them."""
    law = GaussianMixture(torch.tensor([0.5, 0.5]).double(), CENTRES.double(), torch.ones(2, 1, 1).double())
    ends = law.sample(500, seeded(5)).float()
    return OrnsteinUhlenbeck(1, reference=MixtureReference(law.weights, law.means, law.scale_trils)), held_out(
        TWO, ends
    )


def valued(overlap: float, ess_fraction: float = 0.6) -> Evaluation:
    return Evaluation(-1.0, 1.0, 0.0, ess_fraction, overlap)


def test_no_finer_grid_is_tried_where_one_step_is_exact():
    found = candidate(OrnsteinUhlenbeck(1), ONE, held_out(ONE, torch.randn(500, 2, generator=seeded(5))), (4, 1), 0.5)
    assert found.sampler.process.steps == 1 and found.is_even(0.5) and found.source == "Gaussian"
    record = found.record("training would bring little")
    assert record.kept is found.sampler and record.source == "Gaussian"
    assert (
        record.outcome == "100% of the untrained Gaussian's paths on 1 steps are effective: training would bring little"
    )


def test_the_finer_grid_draws_where_it_overlaps_more():
    """One Euler step spreads two modes six std apart over the valley; on 64 steps the reference is nearly exact."""
    process, draws = of_two()
    found = candidate(process, TWO, draws, (1, 64), 0.0, seeded())
    assert found.sampler.process.steps == 64 and found.source == "mixture"
    coarse = candidate(process, TWO, draws, (1,), 0.0, seeded())
    assert found.evaluation.overlap > coarse.evaluation.overlap + 0.02


def test_an_even_candidate_overlaps_too():
    sampler = DiffusionSampler(OrnsteinUhlenbeck(1), Uncontrolled(1))
    assert Candidate(sampler, valued(0.71)).is_even(0.5)
    assert not Candidate(sampler, valued(0.69)).is_even(0.5)
    assert not Candidate(sampler, valued(0.9, ess_fraction=0.49)).is_even(0.5)


def test_the_better_of_trained_and_untrained_is_kept():
    """The trained sampler here has no control: it overlaps a normal by almost 1."""
    process = OrnsteinUhlenbeck(2)
    draws = held_out(ONE, torch.randn(500, 2, generator=seeded(5)))
    record = Training(process, outcome="trained")
    for overlap, kept in ((0.5, False), (0.99, True)):
        untrained = Candidate(DiffusionSampler(process, Uncontrolled(1)), valued(overlap))
        found = better(record, Uncontrolled(1), untrained, ONE, draws, seeded())
        assert (found.kept is untrained.sampler) == kept
        assert found.source == ("Gaussian" if kept else "trained sampler")
        assert ("is kept" in found.outcome) == kept
