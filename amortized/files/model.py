"""A user's Python file: its model, its data, and errors that name the file, the fault and what to type."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from amortized.files.errors import UserError
from amortized.targets.pyro.arguments import call_with_tensors
from amortized.targets.pyro.trace import ModelError


@dataclass(frozen=True)
class ModelFile:
    """A model and its data, from one Python file: ``model(*args, **kwargs)``.

    Args:
        path: The file.
        name: The model's name in the file.
        model: The model.
        args: Its positional arguments, as tensors.
        kwargs: Its keyword arguments, as tensors.
        log_evidence: What the file says the log evidence is, in nats.
        module: The file as a module, for the other names in it.
    """

    path: Path
    name: str
    model: Callable
    args: tuple
    kwargs: dict[str, Any]
    log_evidence: float | None
    module: ModuleType

    @property
    def title(self) -> str:
        return f"{self.name} of {self.path}"


def load(path: Path, name: str = "model", options: tuple = ()) -> ModelFile:
    """Runs the file as a module, takes its model ``name`` and calls its ``data(*options)``.

    ``data`` returns a tuple of positional arguments or a dict of keywords; without it the model gets no arguments.

    Raises:
        UserError: The file, its model or its data are not there, raise, or do not fit each other.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise UserError(f"{path} {what}: type the path of a Python file that has model and data")
    with blaming(path):
        module = imported(path)
    model = find_model(module, path, name)
    args, kwargs = find_data(module, path, options)
    signature, error = _refusal(model.forward if isinstance(model, torch.nn.Module) else model, args, kwargs)
    if error is not None:
        given = f"the keywords {', '.join(kwargs)}" if kwargs else f"{len(args)} values"
        raise UserError(
            f"{path}: {name}{signature} cannot be called with what data() gives, {given}: {error}; "
            f"write data() so that {name}(*data()) runs, or return a dict of keywords"
        ) from error
    with blaming(path):
        args, kwargs = call_with_tensors(model, args, kwargs)
    return ModelFile(path, name, model, args, kwargs, _log_evidence(module, path), module)


def as_tuple(value: Any) -> tuple:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def imported(path: Path) -> ModuleType:
    """The file as a module, its own folder first on ``sys.path`` as under ``python FILE``."""
    sys.path.insert(0, str(path.resolve().parent))
    loader = SourceFileLoader(f"_model_file_{path.stem}", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module  # dataclasses and pickle look a class's module up there
    loader.exec_module(module)
    return module


def find_model(module: ModuleType, path: Path, name: str) -> Callable:
    """The callable ``name`` of a file; raises ``UserError``, with the names that the file has, if there is none."""
    model = getattr(module, name, None)
    if callable(model):
        return model
    names = [
        other
        for other, value in vars(module).items()
        if other != "data" and not other.startswith("_") and _may_be_model(module, value)
    ]
    advice = f"it has {', '.join(names)}; type --model {names[0]}" if names else f"write def {name}(...): in it"
    raise UserError(f"{path} has no function {name}: {advice}")


def find_data(module: ModuleType, path: Path, options: tuple = ()) -> tuple[tuple, dict[str, Any]]:
    """Positional and keyword arguments from the ``data`` of a file; raises ``UserError`` if it gives no such thing."""
    data = getattr(module, "data", None)
    if options and not callable(data):
        raise UserError(f"{path} has no function data to take {options}: write def data(...): in it, or leave them out")
    if data is None:
        return (), {}
    if options:
        signature, error = _refusal(data, options, {})
        if error is not None:
            raise UserError(f"{path}: data{signature} does not take {options}: {error}; leave them out") from error
    with blaming(path):
        value = data(*options) if callable(data) else data
    if isinstance(value, dict):
        return (), value
    if isinstance(value, tuple):
        return value, {}
    raise UserError(
        f"{path}: data() returned a {type(value).__name__}: return a tuple of the model's arguments, as in "
        "return (y,), or a dict of keywords"
    )


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turns what the user's own lines raise, and what says what is wrong with a model, into ``UserError``."""
    try:
        yield
    except UserError:
        raise
    except SyntaxError as error:
        raise UserError(f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}") from error
    except Exception as error:
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
        text = " ".join(str(error).split())
        if own and not isinstance(error, ModelError):
            raise UserError(f"{path}:{own[-1].lineno}: {type(error).__name__}: {text}") from error
        if isinstance(error, ValueError):
            raise UserError(f"{path}: {text}") from error
        raise


def _refusal(function: Callable, args: tuple, kwargs: dict[str, Any]) -> tuple[inspect.Signature, TypeError | None]:
    """The signature of a function, and why it does not take these arguments; None if it takes them."""
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        return signature, error
    return signature, None


def _log_evidence(module: ModuleType, path: Path) -> float | None:
    """The file's LOG_EVIDENCE: a number, or the first of a pair; None if the file has none."""
    value = getattr(module, "LOG_EVIDENCE", None)
    try:
        return None if value is None else float(as_tuple(value)[0])
    except (TypeError, ValueError, IndexError) as error:
        raise UserError(f"{path}: LOG_EVIDENCE = {value!r}: write a number, or (value, standard error)") from error


def _may_be_model(module: ModuleType, value: Any) -> bool:
    """Whether ``value`` is a function written in the file, or a ``torch.nn.Module``."""
    own_function = inspect.isfunction(value) and value.__module__ == module.__name__
    return own_function or isinstance(value, torch.nn.Module)
