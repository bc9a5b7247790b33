"""What a warm-up has spent: of calls or of time, whichever is more, without the calls of the screening."""

import math

import torch

from amortized.warmup.budget import Budget
from amortized.warmup.rays import normal_rays
from amortized.warmup.screening import Screening
from tests.known import isotropic


def test_calls_of_the_screening_are_free(capsys):
    target = isotropic(2)
    target.log_prob(torch.zeros(5, 2))
    screening = Screening(target, normal_rays, 60.0, None)
    budget = Budget(target, 100, math.inf, screening)
    target.log_prob(torch.zeros(30, 2))
    screening.calls = 10
    assert budget.calls == 30 and budget.spent == 0.2
    assert budget.stop_after(0.1)() and not budget.stop_after(0.2)()
    budget.say("quiet")
    assert capsys.readouterr().out == ""


def test_time_counts_where_it_is_shorter(capsys):
    target = isotropic(2)
    budget = Budget(target, math.inf, 1e-9, Screening(target, normal_rays, 60.0, None), progress=True)
    assert budget.spent > 1 and budget.seconds > 0
    budget.say("2 modes")
    assert capsys.readouterr().out.startswith("warm-up: 2 modes (0 calls, ")
