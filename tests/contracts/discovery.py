"""Finds every class or function that keeps a contract, and builds one from whatever its constructor asks for."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any, get_origin


def concrete_classes(package: ModuleType, contract: type) -> list[type]:
    """Classes that the package's modules define, that keep the contract and can be built; by name."""
    inside = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    modules = [importlib.import_module(info.name) for info in inside]
    found = {
        member
        for module in modules
        for _, member in inspect.getmembers(module, inspect.isclass)
        # Python 3.10 takes an alias such as list[int] for a class
        if get_origin(member) is None
        and issubclass(member, contract)
        and not inspect.isabstract(member)
        and member.__module__ == module.__name__
    }
    return sorted(found, key=lambda member: member.__name__)


def modules_with(package: ModuleType, name: str) -> list[ModuleType]:
    """Modules of the package that define ``name``."""
    modules = [
        importlib.import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)
    ]
    return [module for module in modules if hasattr(module, name)]


def options(contract_class: type, **choices: Any) -> dict[str, Any]:
    """Those of ``choices`` that the constructor takes."""
    accepted = inspect.signature(contract_class).parameters
    return {name: value for name, value in choices.items() if name in accepted}


def build(contract_class: type, **parts: Any) -> Any:
    """An instance, every parameter without a default taken from ``parts`` by its name."""
    positional, named = [], {}
    for name, parameter in inspect.signature(contract_class).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional = list(parts.get(name, ()))
        elif parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            assert name in parts, f"{contract_class.__name__} needs {name!r}: offer it to the contract tests"
            named[name] = parts[name]
    return contract_class(*positional, **named)
