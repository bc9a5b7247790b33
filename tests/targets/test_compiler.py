"""The compiler of functions: what is run, and what a failure says."""

import torch

from amortized.targets.compiler import if_it_compiles, machine_code


def test_a_batch_of_one_runs_the_function_itself(monkeypatch):
    sizes = []
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: lambda x: sizes.append(len(x)) or function(x))
    call = machine_code(lambda x: (x.sum(-1), x))
    for size in (1, 2, 5):
        value, score = call(torch.ones(size, 3).T.contiguous().T)
        assert value.tolist() == [3.0] * size and score.shape == (size, 3)
    assert sizes == [2, 5]


def test_a_failure_is_one_line():
    def fails() -> bool:
        raise RuntimeError("no compiler\nsecond line")

    assert if_it_compiles(fails) == "RuntimeError: no compiler"
    assert if_it_compiles(lambda: False) == "its values differ"
    assert if_it_compiles(lambda: True) == ""
