"""A captured density is the plain one, at every size; what cannot be captured is not."""

import pytest
import torch

from amortized.targets.pyro.batching import Vmap
from amortized.targets.pyro.captured import capture
from amortized.targets.pyro.checks.loop_values import loop_values
from tests.targets.pyro.test_batching import program


@pytest.mark.parametrize("name", ["nested_plates", "simplex", "markov_chain", "hidden_markov", "gaussian_process"])
def test_captured_equals_plain(name):
    model = program(name)
    plain = Vmap(model)
    captured = capture(plain, loop_values(model, seed=0), seconds=60.0)
    assert captured is not None
    for size in (1, 2, 6, 50):
        x = 0.5 * torch.randn(size, model.structure.dim, dtype=model.structure.dtype)
        value, score = captured.log_prob_and_score(x)
        torch.testing.assert_close((value, score), plain.log_prob_and_score(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(captured.log_prob(x), value)


def test_time_is_limited():
    model = program("real")
    assert capture(Vmap(model), loop_values(model, seed=0), seconds=0.0) is None


def test_a_capture_that_disagrees_is_not_used(monkeypatch):
    model = program("real")
    plain = Vmap(model)
    right = plain.log_prob_and_score_by_pieces
    monkeypatch.setattr(plain, "log_prob_and_score_by_pieces", lambda x: (right(x)[0] + 0.1, right(x)[1]))
    assert capture(plain, loop_values(model, seed=0), seconds=60.0) is None
