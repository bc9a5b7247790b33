"""What a model raises, in words that name the user's own line; warnings at that line."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amortized._types import Tensor
from amortized.targets.pyro.data import named
from amortized.targets.pyro.faults import PACKAGE, recognised, users_frame
from amortized.targets.pyro.trace import ModelError
from amortized.targets.troubles import first_line


@contextmanager
def in_words(model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Turns what the model raises on every run into ``ModelError``: what, on which line, with which arguments."""
    try:
        yield
    except ModelError as error:
        raise ModelError(str(error).split("\nTrace Shapes:")[0]) from error  # Pyro appends its table to every error
    except (RuntimeError, ValueError, TypeError, ArithmeticError, IndexError) as error:
        if said := recognised(error, model, args, kwargs):
            raise ModelError(said) from error
        if isinstance(error, ZeroDivisionError) and "size cannot be zero" in str(error):
            raise ModelError(
                f"a plate of the model has no rows{_line(error)}: pass one row of data or more"
                f"{_shapes(model, args, kwargs, ', not the shapes')}"
            ) from error
        raise ModelError(
            f"the model raises {type(error).__name__}: {first_line(error)}{_line(error)}; check that line"
            f"{_shapes(model, args, kwargs, ' against the shapes of the arguments,')}"
        ) from error


def _line(error: Exception) -> str:
    """The user's own line on which it was raised."""
    if (user := users_frame(error)) is None:
        return ""
    frame, number, line = user
    return f" in line {number} of {Path(frame.f_code.co_filename).name}, {line.rstrip(':')}"


def _shapes(model: Callable, args: Sequence, kwargs: Mapping[str, Any], before: str) -> str:
    given = named(model, args, kwargs)
    shapes = [f"{name} {tuple(value.shape)}" for name, value in given.items() if isinstance(value, Tensor)]
    return f"{before} {', '.join(shapes)}" if shapes else ""


def tell(message: str) -> None:
    """A warning at the line outside of this package that called into it."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and PACKAGE in Path(frame.f_code.co_filename).parents:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
