"""Each rewrite leaves fewer operations and the same values."""

import pytest
import torch

from tests.capture.test_template import check, operations

WEIGHTS = torch.randn(4, 3)
REWRITES = {
    "multiplication by one": (lambda x: x * torch.ones(3), 0),
    "addition of zero": (lambda x: torch.zeros(3) + x, 0),
    "first power": (lambda x: (x / 1.0) ** 1.0, 0),
    "subtraction of zero": (lambda x: x - 0.0, 0),
    "double negation": (lambda x: x.neg().neg(), 0),
    "negated difference": (lambda x: -(x.exp() - x), 2),
    "views back and forth": (lambda x: x.unsqueeze(1).reshape(len(x), 3), 0),
    "sum over one element": (lambda x: x.exp().unsqueeze(-1).sum(-1), 1),
    "needless copy": (lambda x: x.clone().exp(), 1),
    "transposed product": (lambda x: (WEIGHTS @ x.T).T, 2),
    "double transpose": (lambda x: x.T.T, 0),
    "a copy that changes the layout": (lambda x: x.T.contiguous(), 2),
    "a broadcast one": (lambda x: x[:, :1] * torch.ones(3), 2),
    "a product with a vector": (lambda x: x @ WEIGHTS[0], None),
}


@pytest.mark.parametrize("name", REWRITES)
def test_rewrite(name):
    function, count = REWRITES[name]
    graph = check(lambda x: (function(x) * 2.0,))
    assert count is None or len(operations(graph)) == count + 1
