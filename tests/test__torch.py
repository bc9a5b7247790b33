"""A device that is not there is refused with those that are."""

import pytest
import torch

from amortized._torch import available_device


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(ValueError, match=f"device '{device}' is not there.*this machine has cpu.*device='cpu'"):
        available_device(device)


def test_the_processor_is_there():
    assert available_device(torch.device("cpu")) == torch.device("cpu")
