"""Callbacks on made-up steps."""

import time

import pytest
import torch
from torch import nn

from amortized._types import TrainingStep
from amortized.training.callbacks import Convergence, History, ProgressBar, TimeLimit
from amortized.training.evaluation import Evaluation


def at(number: int, planned: int = 100, policy: nn.Module | None = None, skipped: int = 0) -> TrainingStep:
    return TrainingStep(number, planned, 0.5 * number, policy or nn.Linear(1, 1), skipped)


def worth(overlap: float) -> Evaluation:
    return Evaluation(elbo=-1.25, eubo=-0.5, log_evidence=-1.0, ess_fraction=0.5, overlap=overlap)


def playing(overlaps: list[float], **options) -> Convergence:
    values = iter(overlaps)
    return Convergence(lambda step: worth(next(values)), every=10, **options)


def stops_after(convergence: Convergence, steps: int = 100) -> int:
    return next((number for number in range(1, steps + 1) if convergence(at(number, steps))), 0)


def test_history_keeps_losses_and_the_count_of_skipped_steps():
    history = History()
    assert not any(history(at(number, skipped=number - 1)) for number in (1, 2))
    assert history.losses == [0.5, 1.0] and history.skipped == 1


def test_a_time_limit_stops_after_its_deadline_only():
    assert TimeLimit(time.perf_counter() - 1)(at(1))
    assert not TimeLimit(time.perf_counter() + 100)(at(1))


@pytest.mark.parametrize(
    ("overlaps", "stopped", "judged"),
    [
        ([0.3, 0.95], 20, 2),
        ([0.5, 0.504, 0.502], 30, 3),
        ([0.5, 0.4, 0.6, 0.6, 0.6], 50, 5),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.86], 0, 10),
    ],
    ids=["good enough", "no better twice", "better in between", "always better"],
)
def test_convergence_stops_by_its_criterion(overlaps, stopped, judged):
    convergence = playing(overlaps)
    assert stops_after(convergence) == stopped
    assert [number for number, _ in convergence.evaluations] == [10 * (i + 1) for i in range(judged)]


@pytest.mark.parametrize(
    ("overlaps", "said"),
    [
        ([0.3, 0.95], "the overlap is 95%, which is enough"),
        ([0.5, 0.504, 0.502], "the overlap is 50%, and 2 evaluations brought no progress"),
        ([0.1 * i for i in range(9)] + [0.85], "the overlap is 85%, and the time or the steps were over"),
    ],
)
def test_convergence_says_why_a_run_ended(overlaps, said):
    convergence = playing(overlaps)
    stops_after(convergence)
    assert convergence.reason == said


def test_gains_below_the_margin_do_not_count_but_are_kept():
    convergence = playing([0.5, 0.504, 0.508, 0.512], margin=0.005, patience=2)
    assert stops_after(convergence) == 30
    assert convergence.best == 0.508


def test_a_lack_of_progress_ends_nothing_early_and_enough_does():
    assert stops_after(playing([0.5] * 10, patience=2)) == 30
    assert stops_after(playing([0.5] * 10, patience=2, earliest=0.5)) == 60
    assert stops_after(playing([0.5, 0.95], patience=2, earliest=0.5)) == 20


def test_the_last_step_is_judged_whatever_its_number():
    convergence = playing([0.5, 0.6])
    stops_after(convergence, steps=17)
    assert [number for number, _ in convergence.evaluations] == [10, 17]


def test_the_best_policy_is_restored_as_it_was_then():
    convergence, policy = playing([0.2, 0.7, 0.4]), nn.Linear(1, 1)
    for number, value in ((10, 1.0), (20, 2.0), (30, 3.0)):
        nn.init.constant_(policy.weight, value)
        convergence(at(number, policy=policy))
    convergence.restore(policy)
    assert policy.weight.item() == 2.0


def test_nothing_is_restored_before_a_judgement():
    policy = nn.Linear(1, 1)
    before = policy.weight.clone()
    playing([]).restore(policy)
    assert torch.equal(policy.weight, before)


def test_the_progress_bar_shows_the_last_evaluation_and_always_closes(capsys):
    convergence = playing([0.5])
    with pytest.raises(KeyboardInterrupt), ProgressBar("training", 20, convergence=convergence) as bar:
        for number in range(1, 21):
            convergence(at(number, 30))
            assert not bar(at(number, 30))
            if number == 15:
                raise KeyboardInterrupt
    printed = capsys.readouterr().err
    assert "training" in printed and "15/20" in printed
    assert "elbo=-1.25" in printed and "ess=50%" in printed and "logZ=-1.00" in printed
    assert printed.endswith("\n")


def test_a_hidden_bar_prints_nothing(capsys):
    with ProgressBar("training", 20, show=False) as bar:
        bar(at(1))
    assert capsys.readouterr().err == ""
