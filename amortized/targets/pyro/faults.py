"""Common mistakes behind what a model raises, and the line to type for each."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pyro import primitives
from torch.utils import _pytree as pytree

from amortized._types import Tensor
from amortized.targets.pyro.data import is_text_of_numbers, named

PACKAGE = Path(str(files("amortized")))
LIBRARY = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
INSTALLED = {"site-packages", "dist-packages"}
PLATE = re.compile(r"Shape mismatch inside plate\('(.*)'\) at site (.*) dim (-?\d+), (\d+) vs (\d+)")
TYPES = re.compile(r"same dtype|expected scalar type|not implemented for|floating[ -]point")
KINDS = re.compile(r"\b(long|int|short|byte|char|bool|float|double|half)\b", re.IGNORECASE)


def recognised(error: Exception, model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> str | None:
    """What was wrong with a plate or an argument, and what to write; None for any other exception."""
    given = arguments(model, args, kwargs)
    return _plate(error) or of_arguments(error, given)


def of_arguments(error: Exception, given: Mapping[str, Any]) -> str | None:
    """As ``recognised``, of the values of arguments alone."""
    return _mask(error, given) or _whole_numbers(error, given) or _text(error, given)


def arguments(model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, and the parts of those that hold several; a list without tensors is one part.

    >>> arguments(lambda x, data: None, (1, {"y": 2}), {})
    {'x': 1, "data['y']": 2}
    """
    found = {}
    for name, value in named(model, args, kwargs).items():
        try:
            leaves = pytree.tree_flatten_with_path(value, is_leaf=_is_plain_list)[0]
        except ValueError:  # a container of the user's own whose parts have no names
            leaves = [((), value)]
        found.update({name + pytree.keystr(path): leaf for path, leaf in leaves})
    return found


def _is_plain_list(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(value))


def users_frame(error: Exception) -> tuple[FrameType, int, str] | None:
    """The last frame of the user's own code with its line: in no installed package and not in Python's own library."""
    frames = list(traceback.walk_tb(error.__traceback__))
    lines = traceback.extract_tb(error.__traceback__)
    for (frame, number), line in zip(reversed(frames), reversed(lines), strict=True):
        if line.line and is_users(line.filename):
            return frame, number, line.line
    return None


def is_users(file: str) -> bool:
    """
    >>> is_users("mine.py"), is_users(traceback.__file__), is_users(torch.__file__), is_users(__file__)
    (True, False, False, False)
    """
    path = Path(file)
    return not (INSTALLED & set(path.parts) or path.is_relative_to(PACKAGE) or LIBRARY & set(path.parents))


def _frames(error: Exception) -> Iterator[FrameType]:
    """From the one that raised outwards."""
    return (frame for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))))


def _locals(error: Exception, function: Callable) -> Mapping[str, Any]:
    """The local variables of the innermost call of a function; none where it was not running."""
    return next((frame.f_locals for frame in _frames(error) if frame.f_code is function.__code__), {})


def _plate(error: Exception) -> str | None:
    """A distribution whose rows are not those of the plate around it: of another size, or values of an event."""
    found = PLATE.match(str(error))
    if not found:
        return None
    name, site, dim, rows, size = found.groups()
    site = _locals(error, primitives._masked_observe).get("name", site)  # "y", not its half "y_observed"
    said = f"site {site!r}: its distribution has {size} rows, and plate {name!r} around it {rows}; write "
    resized = f"pyro.plate({name!r}, {size})"
    there = _locals(error, primitives.sample)
    fn, obs = there.get("fn"), there.get("obs")
    batch = tuple(getattr(fn, "batch_shape", ()))
    rest = batch[:-1]
    if dim != "-1" or (rest and rest[-1] != int(rows)):
        return said + resized
    event = (int(rows), *batch[-1:], *getattr(fn, "event_shape", ()))  # of all rows, with a vector in each
    own = tuple(obs.shape)[-len(event) :] if isinstance(obs, Tensor) else None
    values = f"site {site!r}: its distribution has shape {batch} in plate {name!r} of {rows} rows; write .to_event(1) "
    if rest or own == event:
        return f"{values}after it, for {size} values in each row"
    return said + resized + f", or .to_event(1) after it for {size} values in each row" * (obs is None)


def _mask(error: Exception, given: Mapping[str, Any]) -> str | None:
    """Numbers where Pyro takes truth values."""
    if "Expected mask to be a BoolTensor" not in str(error):
        return None
    mask = next((value for frame in _frames(error) if isinstance(value := frame.f_locals.get("mask"), Tensor)), None)
    if mask is None:
        return None
    site = _locals(error, primitives._masked_observe).get("name")
    role, key = ("a mask", "mask") if site is None else (f"the obs_mask of site {site!r}", "obs_mask")
    user = users_frame(error)
    here = [] if user is None else [name for name, value in user[0].f_locals.items() if value is mask]
    name = next((name for name, value in given.items() if value is mask), here[0] if here else None)
    what = role if name is None else f"{'argument ' if name in given else ''}{name!r} is {role} and"
    kind = str(mask.dtype).removeprefix("torch.")
    if ((mask == 0) | (mask == 1)).all():
        return f"{what} holds 0 and 1 as {kind}, not truth values: write {key}={name or '(...)'}.bool()"
    line = f"{key}={name or '(...)'} > 0"
    return f"{what} holds {kind} numbers other than 0 and 1, not truth values: write a comparison, for instance {line}"


def _whole_numbers(error: Exception, given: Mapping[str, Any]) -> str | None:
    """Whole numbers or truth values in arithmetic that takes floats alone, such as a product of matrices."""
    kinds = {kind.lower() for kind in KINDS.findall(str(error))}
    if not TYPES.search(str(error)) or (kinds and kinds <= {"float", "double", "half"}):
        return None
    whole = [name for name, value in given.items() if isinstance(value, Tensor) and _is_whole(value)]
    user = users_frame(error)
    on_line = [] if user is None else [name for name in whole if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", user[2])]
    guilty = on_line or whole
    if len(guilty) != 1:
        return None
    name, to = guilty[0], "double" if torch.get_default_dtype() == torch.float64 else "float"
    where = "" if user is None else f" in line {user[1]} of {Path(user[0].f_code.co_filename).name}"
    what = "truth values" if given[name].dtype == torch.bool else "whole numbers"
    return f"argument {name!r} holds {what}, and the arithmetic{where} takes floats: write {name}.{to}() there"


def _is_whole(value: Tensor) -> bool:
    return not (value.is_floating_point() or value.is_complex())


def _text(error: Exception, given: Mapping[str, Any]) -> str | None:
    """A list of numbers as text, which stays as it is since it might be one of names."""
    if not isinstance(error, TypeError):
        return None
    for name, value in given.items():
        if isinstance(value, list) and is_text_of_numbers(value):
            line = f"numpy.array({name}).astype(float)"
            return f"argument {name!r} is a list of numbers as text, {value!r:.30}…: write {line}"
    return None
