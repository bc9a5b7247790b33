"""What a model raises, in words: common mistakes, the user's own line and what to type; warnings at the user's line."""

from __future__ import annotations

import inspect
import re
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pyro import primitives

from amortized._types import Tensor
from amortized.targets.pyro.arguments import named_arguments, parts_by_name
from amortized.targets.pyro.data import is_text_of_numbers
from amortized.targets.pyro.trace import ModelError
from amortized.targets.troubles import first_line

PACKAGE = Path(str(files("amortized")))
"""This package; with the two below, it tells the user's own lines from others."""
LIBRARY = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
"""Folders of Python's own library."""
INSTALLED = {"site-packages", "dist-packages"}
"""Names of folders of installed packages."""
PLATE = re.compile(r"Shape mismatch inside plate\('(.*)'\) at site (.*) dim (-?\d+), (\d+) vs (\d+)")
"""What Pyro's ``BroadcastMessenger`` raises: plate, site, dimension, rows of the plate, rows of the distribution."""
TYPES = re.compile(r"same dtype|expected scalar type|not implemented for|floating[ -]point")
"""What PyTorch says of an operation that does not take a dtype."""
KINDS = re.compile(r"\b(long|int|short|byte|char|bool|float|double|half)\b", re.IGNORECASE)
"""The dtypes that PyTorch names there."""


@contextmanager
def in_words(model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Turns what the model raises on every run into ``ModelError``: what, on which line, with which arguments."""
    try:
        yield
    except ModelError:
        raise
    except (RuntimeError, ValueError, TypeError, ArithmeticError, IndexError) as error:
        parts = parts_by_name(model, args, kwargs)
        if message := _mistake_of_plate(error) or mistake_of_arguments(error, parts):
            raise ModelError(message) from error
        user, named = users_frame(error), named_arguments(model, args, kwargs)
        place = "" if user is None else f"{_place(user)}, {user[2].rstrip(':')}"
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in named.items() if isinstance(value, Tensor))
        if isinstance(error, ZeroDivisionError) and "size cannot be zero" in str(error):
            compared = f", not the shapes {shapes}" if shapes else ""
            raise ModelError(
                f"a plate of the model has no rows{place}: pass one row of data or more{compared}"
            ) from error
        compared = f" against the shapes of the arguments, {shapes}" if shapes else ""
        raise ModelError(
            f"the model raises {type(error).__name__}: {first_line(error)}{place}; check that line{compared}"
        ) from error


def tell(message: str) -> None:
    """A warning at the line outside of this package that called into it."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and PACKAGE in Path(frame.f_code.co_filename).parents:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def mistake_of_arguments(error: Exception, parts: Mapping[str, Any]) -> str | None:
    """What is wrong with an argument, of ``parts_by_name``, and what to write; None for any other exception."""
    return _mask_of_numbers(error, parts) or _whole_numbers(error, parts) or _text_of_numbers(error, parts)


def users_frame(error: Exception) -> tuple[FrameType, int, str] | None:
    """The last frame of the user's own code, with the number and text of its line; None if there is none."""
    frames = list(traceback.walk_tb(error.__traceback__))
    lines = traceback.extract_tb(error.__traceback__)
    for (frame, number), line in zip(reversed(frames), reversed(lines), strict=True):
        if line.line and is_users(line.filename):
            return frame, number, line.line
    return None


def is_users(file: str) -> bool:
    """Whether a file is of no installed package and not of Python's own library.

    >>> is_users("mine.py"), is_users(traceback.__file__), is_users(torch.__file__), is_users(__file__)
    (True, False, False, False)
    """
    path = Path(file)
    return not (INSTALLED & set(path.parts) or path.is_relative_to(PACKAGE) or LIBRARY & set(path.parents))


def _place(user: tuple[FrameType, int, str]) -> str:
    frame, number, _ = user
    return f" in line {number} of {Path(frame.f_code.co_filename).name}"


def _frames(error: Exception) -> Iterator[FrameType]:
    """From the frame that raised outwards."""
    return (frame for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))))


def _locals(error: Exception, function: Callable) -> Mapping[str, Any]:
    """The local variables of the innermost call of a function; none if it was not running."""
    return next((frame.f_locals for frame in _frames(error) if frame.f_code is function.__code__), {})


def _mistake_of_plate(error: Exception) -> str | None:
    """A distribution whose rows are not those of the plate around it: of another size, or values of an event."""
    match = PLATE.match(str(error))
    if not match:
        return None
    plate, site, dim, rows, size = match.groups()
    site = _locals(error, primitives._masked_observe).get("name", site)  # "y", not its half "y_observed"
    resize = (
        f"site {site!r}: its distribution has {size} rows, and plate {plate!r} around it {rows}; "
        f"write pyro.plate({plate!r}, {size})"
    )
    statement = _locals(error, primitives.sample)
    fn, obs = statement.get("fn"), statement.get("obs")
    batch = tuple(getattr(fn, "batch_shape", ()))
    outer = batch[:-1]
    if dim != "-1" or (outer and outer[-1] != int(rows)):
        return resize
    vectors = (int(rows), *batch[-1:], *getattr(fn, "event_shape", ()))  # the data's shape with a vector in each row
    if outer or (isinstance(obs, Tensor) and tuple(obs.shape)[-len(vectors) :] == vectors):
        return (
            f"site {site!r}: its distribution has shape {batch} in plate {plate!r} of {rows} rows; "
            f"write .to_event(1) after it, for {size} values in each row"
        )
    return resize + f", or .to_event(1) after it for {size} values in each row" * (obs is None)


def _mask_of_numbers(error: Exception, parts: Mapping[str, Any]) -> str | None:
    """Numbers where Pyro takes truth values."""
    if "Expected mask to be a BoolTensor" not in str(error):
        return None
    mask = next((value for frame in _frames(error) if isinstance(value := frame.f_locals.get("mask"), Tensor)), None)
    if mask is None:
        return None
    site = _locals(error, primitives._masked_observe).get("name")
    role, key = ("a mask", "mask") if site is None else (f"the obs_mask of site {site!r}", "obs_mask")
    user = users_frame(error)
    variables = {} if user is None else user[0].f_locals
    name = next((name for name, value in [*parts.items(), *variables.items()] if value is mask), None)
    subject = role if name is None else f"{'argument ' if name in parts else ''}{name!r} is {role} and"
    kind = str(mask.dtype).removeprefix("torch.")
    if ((mask == 0) | (mask == 1)).all():
        return f"{subject} holds 0 and 1 as {kind}, not truth values: write {key}={name or '(...)'}.bool()"
    line = f"{key}={name or '(...)'} > 0"
    return (
        f"{subject} holds {kind} numbers other than 0 and 1, not truth values: write a comparison, for instance {line}"
    )


def _whole_numbers(error: Exception, parts: Mapping[str, Any]) -> str | None:
    """Whole numbers or truth values in arithmetic that takes floats alone, such as a product of matrices."""
    kinds = {kind.lower() for kind in KINDS.findall(str(error))}
    if not TYPES.search(str(error)) or (kinds and kinds <= {"float", "double", "half"}):
        return None
    whole = [
        name
        for name, value in parts.items()
        if isinstance(value, Tensor) and not (value.is_floating_point() or value.is_complex())
    ]
    user = users_frame(error)
    on_line = [] if user is None else [name for name in whole if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", user[2])]
    guilty = on_line or whole
    if len(guilty) != 1:
        return None
    name, to = guilty[0], "double" if torch.get_default_dtype() == torch.float64 else "float"
    values = "truth values" if parts[name].dtype == torch.bool else "whole numbers"
    place = "" if user is None else _place(user)
    return f"argument {name!r} holds {values}, and the arithmetic{place} takes floats: write {name}.{to}() there"


def _text_of_numbers(error: Exception, parts: Mapping[str, Any]) -> str | None:
    """A list of numbers as text, which stays as it is since it might be one of names."""
    if not isinstance(error, TypeError):
        return None
    for name, value in parts.items():
        if isinstance(value, list) and is_text_of_numbers(value):
            line = f"numpy.array({name}).astype(float)"
            return f"argument {name!r} is a list of numbers as text, {value!r:.30}…: write {line}"
    return None
