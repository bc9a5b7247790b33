"""L-BFGS on an ill-scaled bowl, on a curved valley, and from many starts at once."""

import torch

from amortized.optimise.lbfgs import ascend_lbfgs


def test_an_ill_scaled_bowl_in_many_dimensions():
    precision = torch.logspace(-1, 1, 300, dtype=torch.float64)
    target = torch.linspace(-3, 3, 300, dtype=torch.float64)
    start = torch.randn(3, 300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = ascend_lbfgs(
        lambda x: (-0.5 * (precision * (x - target).square()).sum(-1), -precision * (x - target)), start
    )
    assert state.log_prob.min() > -1e-3


def test_a_curved_valley():
    def rosenbrock(x):
        bend = x[:, 1] - x[:, 0].square()
        value = -10 * bend.square() - (1 - x[:, 0]).square()
        return value, torch.stack([40 * bend * x[:, 0] + 2 * (1 - x[:, 0]), -20 * bend], -1)

    state = ascend_lbfgs(rosenbrock, torch.tensor([[-1.5, 2.0], [2.0, -1.0]], dtype=torch.float64))
    assert (state.x - 1).abs().max() < 1e-2


def test_a_stop_is_obeyed():
    start = torch.ones(1, 2, dtype=torch.float64)
    assert torch.equal(ascend_lbfgs(lambda x: (-x.square().sum(-1), -2 * x), start, stop=lambda: True).x, start)
