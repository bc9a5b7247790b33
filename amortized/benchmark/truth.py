"""A benchmark's target: a model file with its options, and what the file knows to be true of it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from amortized._types import Tensor
from amortized.files.errors import UserError
from amortized.files.model import ModelFile, as_tuple, blaming, load
from amortized.targets.pyro.target import PyroTarget
from amortized.weights import Estimate

FUNCTIONS = ("sample", "mode")
"""Names in a model file that only a function can have, so that no constant is suggested for them."""


@dataclass(frozen=True)
class Problem:
    """A target and its truth, ``None`` for what the file does not say. Draws are in the unconstrained space.

    Args:
        target: The density.
        scale: Std of the reference that methods start from.
        log_evidence: log Z and its std error, in nats.
        sample: ``(count, seed) -> (count, D)``, exact draws.
        mode: ``(N, D) -> (N,)`` or ``(N, blocks)``, the mode of each draw.
        mode_weights: The modes' true weights.
    """

    target: PyroTarget
    scale: float = 1.0
    log_evidence: Estimate | None = None
    sample: Callable[[int, int], Tensor] | None = None
    mode: Callable[[Tensor], Tensor] | None = None
    mode_weights: Tensor | None = None

    def check(self) -> None:
        """Call what measuring will call, so that a fault there is met before any training.

        Raises:
            ValueError: Shapes do not fit, or draws are not finite.
        """
        dim = self.target.dim
        draws = torch.zeros(2, dim, device=self.target.device) if self.sample is None else self.sample(2, 0)
        if draws.shape != (2, dim) or not bool(draws.isfinite().all()):
            raise ValueError(f"sample(2) gives {tuple(draws.shape)}, should be 2 finite draws of {dim} dimensions")
        if self.mode is not None:
            labels = self.mode(draws)
            if len(labels) != 2:
                raise ValueError(f"mode(draws) of 2 draws gives {tuple(labels.shape)}: return a label for each, (2,)")


def parse_model_argument(text: str) -> tuple[Path, tuple]:
    """A model file and the options of its ``data``, which follow a colon as Python literals.

    Raises:
        UserError: The options are not literals.

    >>> parse_model_argument("models/many_well.py:128")
    (PosixPath('models/many_well.py'), (128,))
    >>> parse_model_argument("models/funnel.py")[1], parse_model_argument("models/log_gaussian_cox.py:20,True")[1]
    ((), (20, True))
    """
    path, _, options = text.partition(":")
    if not options:
        return Path(path), ()
    try:
        return Path(path), tuple(ast.literal_eval(f"({options},)"))
    except (SyntaxError, ValueError) as error:
        message = f"{text}: the options {options} are not Python literals: type them as in {path}:128 or {path}:20,True"
        raise UserError(message) from error


def load_problem(path: Path, options: tuple = ()) -> Problem:
    """The target ``model(*data(*options))`` of the file at ``path``, and its truth.

    The file may have: ``LOG_EVIDENCE = (value, standard error)``; exact draws ``sample(n, *arguments) ->
    {site: (n, *event)}``; ``mode(draws) -> labels`` and ``MODE_WEIGHTS``; ``SCALE``. Every constant may be a function
    of the arguments instead, under its name in small letters. Imported names do not count.

    Raises:
        UserError: The file is at fault.
    """
    file = load(path, options=options)
    with blaming(path):
        target = PyroTarget(file.model, file.args, file.kwargs)
        weights, scale = value_for(file, "mode_weights"), value_for(file, "scale")
    return Problem(
        target=target,
        scale=1.0 if scale is None else float(scale),
        log_evidence=stated_log_evidence(file),
        sample=exact_sampler(file, target),
        mode=mode_labeller(file, target),
        mode_weights=None if weights is None else torch.as_tensor(weights),
    )


def own_function(file: ModelFile, name: str) -> Callable | None:
    """The function ``name`` that the file itself defines, else ``None``; a ``UserError`` for a plain value."""
    value = getattr(file.module, name, None)
    if value is None or inspect.ismodule(value):
        return None
    if not (inspect.isroutine(value) or inspect.isclass(value)):
        raise UserError(
            f"{file.path}: {name} = {value!r:.40} is no function: write def {name}(...):"
            + ("" if name in FUNCTIONS else f", or the constant {name.upper()}")
        )
    return value if value.__module__ == file.module.__name__ else None


def value_for(file: ModelFile, name: str) -> Any:
    """``name(*arguments)`` of the file, else its constant ``NAME``, else ``None``."""
    function = own_function(file, name)
    return getattr(file.module, name.upper(), None) if function is None else call_with_arguments(function, file)


def call_with_arguments(function: Callable, file: ModelFile, *first: Any) -> Any:
    """``function(*first, *arguments)``, or ``function(*first)`` if it does not take the model's arguments."""
    signature = inspect.signature(function)
    try:
        signature.bind(*first, *file.args, **file.kwargs)
    except TypeError:
        return function(*first)
    return function(*first, *file.args, **file.kwargs)


def stated_log_evidence(file: ModelFile) -> Estimate | None:
    with blaming(file.path):
        value = value_for(file, "log_evidence")
    if value is None:
        return None
    numbers = [float(number) for number in as_tuple(value)]
    return Estimate(numbers[0], numbers[1] if len(numbers) > 1 else 0.0)


def exact_sampler(file: ModelFile, target: PyroTarget) -> Callable[[int, int], Tensor] | None:
    exact = own_function(file, "sample")
    if exact is None:
        return None

    def sample(count: int, seed: int) -> Tensor:
        with torch.random.fork_rng(devices=[]), blaming(file.path):
            torch.manual_seed(seed)
            return target.unconstrain(call_with_arguments(exact, file, count))

    return sample


def mode_labeller(file: ModelFile, target: PyroTarget) -> Callable[[Tensor], Tensor] | None:
    label = own_function(file, "mode")
    if label is None:
        return None

    def mode(x: Tensor) -> Tensor:
        with blaming(file.path):
            return call_with_arguments(label, file, target.constrain(x))

    return mode
