"""A guide: its options, its fit, and what it answers."""

from __future__ import annotations

import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    """The guide under the name that it had while this package was a module; it warns."""
    if name != "DiffusionGuide":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from amortized.guide.guide import DiffusionGuide

    warnings.warn(
        "amortized.guide.DiffusionGuide goes in the next release: write from amortized import DiffusionGuide",
        DeprecationWarning,
        stacklevel=2,
    )
    return DiffusionGuide
