"""The default's repair: when it starts, and what its record says."""

from dataclasses import replace

import torch

from amortized.samplers import GFlowNet
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.training.evaluation import Evaluation
from amortized.training.record import Training
from amortized.training.repair import LEAST, needs_repair, repaired
from amortized.weights import effective_sample_fraction
from tests.known import isotropic, seeded

POOR = Evaluation(elbo=-5.0, eubo=5.0, log_evidence=0.0, ess_fraction=0.01, overlap=0.1)


def white_of(target: Target) -> WhitenedTarget:
    return WhitenedTarget(target, torch.zeros(target.dim), torch.eye(target.dim))


def record_of(found: Evaluation) -> Training:
    process = GFlowNet(2, steps=4, langevin=False).process
    return Training(process, evaluations=[(0, found)], source="mixture", outcome="too few")


def test_poor_weights_alone_are_repaired():
    assert needs_repair(record_of(POOR))
    assert not needs_repair(record_of(replace(POOR, ess_fraction=0.3)))


def test_too_little_time_changes_nothing():
    record, target = record_of(POOR), isotropic(2)
    assert repaired(record, white_of(target), torch.randn(600, 2), 0.9 * LEAST, False, seeded()) is None
    assert record.outcome == "too few" and target.calls == 0


def test_the_repaired_sampler_is_the_one_of_the_record(capsys):
    """Bridges to right draws of a Gaussian: over 90 % of 4,000 paths count, whose error is under .01."""
    record, white = record_of(POOR), white_of(isotropic(2))
    sampler = repaired(record, white, torch.randn(1_000, 2, generator=seeded()), 6.0, False, seeded(1), progress=True)
    assert capsys.readouterr().out == "training: rounds of bridges start, for at most 6 s\n"
    assert sampler is not None and record.source == "trained sampler"
    drawn = record.sampler(sampler.policy).sample(white, 4_000, seeded(2))[1]
    assert effective_sample_fraction(drawn) > 0.8
    assert abs(effective_sample_fraction(drawn) - record.evaluations[-1][1].ess_fraction) < 0.1


def test_a_record_that_is_better_stays():
    best = replace(POOR, overlap=1.0)
    record = record_of(best)
    draws = torch.randn(600, 2, generator=seeded())
    assert repaired(record, white_of(isotropic(2)), draws, 3.5, False, seeded()) is None
    assert record.source == "mixture" and record.outcome.endswith("which is no better")
