"""What the contract keeps to itself."""

import pytest
import torch
from torch import nn

import amortized.processes
from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.base import Process
from tests.contracts.discovery import concrete_classes


def test_the_contract_alone_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        Process(4)  # type: ignore[abstract]


def test_tables_move_with_the_module_and_are_not_saved():
    process = OrnsteinUhlenbeck(4)
    assert process.state_dict() == {}
    assert isinstance(process, nn.Module) and process.to("cpu").times.dtype == torch.float64


@pytest.mark.parametrize("process_class", concrete_classes(amortized.processes, Process))
def test_single_precision_states_stay_single(process_class):
    process = process_class(4)
    x = process.sample_prior(3, 2)
    tensors = [x, *process.belief(0, x), *process.backward(0, x), process.bridge(x[:, :2]), process.features(1, x)]
    tensors += [
        process.log_prior(x),
        process.layout.log_carried(x),
        process.log_boundary(x, x),
        process.log_marginal(1, x),
    ]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}


def test_prepared_tables_follow_the_module_and_the_times():
    process, x = OrnsteinUhlenbeck(4), torch.ones(3, 2)
    first = process.features(1, x)
    assert torch.equal(process.features(1, x.double()), x.double() / process.marginal_std[1])
    assert torch.equal(process.with_steps(8).features(2, x), first)
    steps, states = torch.arange(4), x.expand(4, 3, 2)
    process.features(steps, states)
    assert process.to("meta").features(steps.to("meta"), states.to("meta")).is_meta


def test_tables_first_used_in_inference_mode_serve_training():
    process = OrnsteinUhlenbeck(4)
    with torch.inference_mode():
        process.backward(0, torch.zeros(3, 2))
    y = torch.ones(3, 2, requires_grad=True)
    process.backward(0, y)[0].sum().backward()
    assert y.grad is not None
