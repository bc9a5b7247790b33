"""Work is kept off broadcast copies, and sums are taken before what does not change along them."""

import torch

from tests.capture.test_template import check, operations

aten = torch.ops.aten
DATA = torch.randn(50)


def test_functions_of_a_broadcast_scale_are_taken_once():
    graph = check(lambda x: (x[:, :1].expand(len(x), 50).exp().log1p() + DATA,))
    shapes = [tuple(node.args[1]) for node in graph.graph.nodes if node.target is aten.expand.default]
    assert len(shapes) == 1
    order = operations(graph)
    assert order.index(aten.log1p.default) < order.index(aten.expand.default)


def test_a_normal_log_likelihood_is_summed_before_it_is_divided():
    def log_likelihood(x):
        loc, scale = x[:, :1].expand(len(x), 50), x[:, 1:2].exp().expand(len(x), 50)
        terms = -((DATA - loc) ** 2) / (2 * scale**2) - scale.log() - 0.9189385332046727
        return (terms.sum([1]),)

    graph = check(log_likelihood)
    order = operations(graph)
    assert order.index(aten.sum.dim_IntList) < order.index(aten.div.Tensor)
    assert order.count(aten.sum.dim_IntList) == 1


def test_a_reshaped_expansion():
    check(lambda x: ((x[:, :1].expand(len(x), 6).exp()).reshape(len(x), 2, 3) * torch.ones(3),))


def test_sums_of_what_changes_along_them_stay():
    weights = torch.linspace(0.5, 1.5, 3)
    check(lambda x: ((x * weights + weights).sum([1]), (x.exp() / weights).sum([1])))


def test_sums_over_the_batch_itself():
    check(lambda x: ((x - 1.5).sum([0]) / len(x), (x * 2.0).sum([0, 1])))
