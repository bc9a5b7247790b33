"""The arguments or observed sites that vary from data set to data set, and their places in a flat row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from amortized._types import Tensor
from amortized.targets.pyro.data import as_tensors


@dataclass(frozen=True)
class LocalTo:
    """Says that all latents are local to one plate: each row of the model's arguments is a data set of its own.

    Args:
        plate: Name of the plate, ``pyro.plate(plate, len(data))`` in the model.
    """

    plate: str


@dataclass(frozen=True)
class ContextPart:
    """One argument or observed site of a context.

    Args:
        name: Of the argument or site.
        shape: Of its value for one data set.
        dtype: Of its value.
        argument: Whether it is an argument of the model; else it is a site.
    """

    name: str
    shape: torch.Size
    dtype: torch.dtype
    argument: bool


class Contexts:
    """The parts of a context, side by side in rows ``(M, C)``.

    Args:
        parts: In the order of their places.
        dtype: Of the rows, wide enough for every part.
        ragged: Whether parts are sets of up to ``shape[0]`` rows; the missing rows of a smaller set are NaN.

    >>> contexts = Contexts([ContextPart("y", torch.Size([3]), torch.float32, True)], torch.float32)
    >>> contexts.size, contexts.split(torch.zeros(5, 3))[0].shape
    (3, torch.Size([5, 3]))
    """

    def __init__(self, parts: Sequence[ContextPart], dtype: torch.dtype, ragged: bool = False):
        self.parts = tuple(parts)
        self.dtype = dtype
        self.ragged = ragged
        self.sizes = [part.shape.numel() for part in self.parts]
        self.size = sum(self.sizes)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    def split(self, rows: Tensor) -> list[Tensor]:
        """``(..., C)`` to one tensor ``(..., *shape)`` for each part, in the rows' dtype."""
        pieces = rows.split(self.sizes, -1)
        return [piece.reshape(rows.shape[:-1] + part.shape) for piece, part in zip(pieces, self.parts, strict=True)]

    def ordered(self, data: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, ...]:
        """One value for each part, in their order.

        Args:
            data: Values of the first parts, by place.
            named: Values of the others, by name.

        Raises:
            ValueError: If a name is no part, or a part has no value or two.
        """
        names, quoted = ", ".join(f"{name}=" for name in self.names), ", ".join(map(repr, self.names))
        if unknown := [name for name in named if name not in self.names]:
            raise ValueError(f"{unknown[0]}= is neither an option here nor one of the guide's data: write {names}...")
        if len(data) > len(self.parts):
            raise ValueError(f"{len(data)} values for {quoted}: pass one for each, in this order")
        values = dict(zip(self.names, data, strict=False))
        if twice := [name for name in named if name in values]:
            raise ValueError(f"{twice[0]!r} is given by its place and by its name: leave one of them out")
        values.update(named)
        if missing := [name for name in self.names if name not in values]:
            raise ValueError(f"no value for {missing[0]!r}: the guide was fitted on {quoted}, write {missing[0]}=...")
        return tuple(values[name] for name in self.names)

    def rows(self, values: Sequence[Any]) -> tuple[Tensor, bool]:
        """Rows from the values of all parts.

        Args:
            values: One for each part. A value of the part's own shape is one data set; one more leading dimension, or a
                list of sets, is a batch. Arrays and lists of numbers become tensors.

        Returns:
            ``(M, C)``, and whether the values were those of one data set rather than a batch.

        Raises:
            ValueError: If a part has another shape, a dtype that would lose digits, or NaN. It names the part.
        """
        columns, alone = [], []
        for part, value in zip(self.parts, self.ordered(values, {}), strict=True):
            column, single = self._column(part, self._tensors(part, value))
            columns.append(column)
            alone.append(single)
        lengths = sorted({len(column) for column in columns})
        if len(lengths) > 1:
            raise ValueError(f"{self.names} hold {lengths} data sets: pass as many of one as of the other")
        if lengths == [0]:
            raise ValueError(f"{self.names} hold no data set: pass one or more")
        rows = torch.cat(columns, 1)
        if self.ragged:
            self._check_sets(columns)
        return rows, all(alone)

    def _column(self, part: ContextPart, value: Any) -> tuple[Tensor, bool]:
        if self.ragged:
            return self._padded(part, value)
        value = self._checked(part, _stacked(part, value) if isinstance(value, list) else value)
        single = value.shape == part.shape
        if not single and (value.ndim == 0 or value.shape[1:] != part.shape):
            many = ", ".join(["M", *map(str, part.shape)]) + ("" if part.shape else ",")
            raise ValueError(
                f"{part.name!r} is a tensor of shape {tuple(value.shape)}: pass {tuple(part.shape)} for one data set "
                f"or ({many}) for M of them, as the guide was fitted on"
            )
        return value.reshape(-1, part.shape.numel()), single

    def _padded(self, part: ContextPart, value: Any) -> tuple[Tensor, bool]:
        single = isinstance(value, Tensor) and value.ndim == len(part.shape)
        several = isinstance(value, list) or (isinstance(value, Tensor) and value.ndim > len(part.shape))
        sets = [self._checked(part, one) for one in (value if several else [value])]
        if not sets:
            raise ValueError(f"{part.name!r} is an empty list: pass at least one data set")
        for one in sets:
            if one.shape[1:] != part.shape[1:] or not 0 < len(one) <= part.shape[0]:
                raise ValueError(
                    f"{part.name!r} holds a set of shape {tuple(one.shape)}: pass sets of 1 to {part.shape[0]} rows "
                    f"of shape {tuple(part.shape[1:])}, as the guide was fitted on"
                )
        column = torch.full((len(sets), *part.shape), torch.nan, dtype=self.dtype, device=sets[0].device)
        for row, one in zip(column, sets, strict=True):
            row[: len(one)] = one
        return column.flatten(1), single

    def _tensors(self, part: ContextPart, value: Any) -> Any:
        """Numbers, arrays and lists as tensors, with floats in the part's own dtype."""
        dtype = part.dtype if part.dtype.is_floating_point else None
        if isinstance(value, (bool, int, float)):
            return as_tensors([value], part.name, dtype)[0]
        return as_tensors(list(value) if isinstance(value, tuple) else value, part.name, dtype)

    def _checked(self, part: ContextPart, value: Any) -> Tensor:
        if not isinstance(value, Tensor):
            raise ValueError(
                f"{part.name!r} is a {type(value).__name__}: write a tensor, an array or a list of numbers"
            )
        given, value = value, value.to(part.dtype)
        if given.dtype != part.dtype and not torch.equal(value.to(given.dtype).nan_to_num(), given.nan_to_num()):
            raise ValueError(
                f"{part.name!r} is a {_short(given.dtype)} tensor, but the guide was fitted on {_short(part.dtype)}, "
                f"which would lose digits: write {part.name}.to(torch.{_short(part.dtype)})"
            )
        if missing := int((~given.isfinite()).sum()):
            raise ValueError(
                f"{part.name!r}: {missing} of its {value.numel()} values are NaN or infinite; drop these rows, or give "
                "the model a mask of its own (poutine.mask) as another argument"
            )
        return value.detach().to(self.dtype)

    def _check_sets(self, columns: list[Tensor]) -> None:
        present = [self.present(column, part) for column, part in zip(columns, self.parts, strict=True)]
        for part, rows in zip(self.parts, present, strict=True):
            if not torch.equal(rows, present[0]):
                raise ValueError(f"{part.name!r} and {self.parts[0].name!r} differ in the number of rows of a set")

    def present(self, column: Tensor, part: ContextPart) -> Tensor:
        """Which rows of a set are there: ``(..., size of the part)`` to ``(..., rows)`` bool."""
        return ~column.reshape(column.shape[:-1] + (part.shape[0], -1)).isnan().any(-1)


def _stacked(part: ContextPart, values: Sequence[Any]) -> Tensor:
    """A list of data sets as one tensor ``(M, *shape)``."""
    if not values:
        raise ValueError(f"{part.name!r} is an empty list: pass at least one data set")
    if others := sorted({type(one).__name__ for one in values if not isinstance(one, Tensor)}):
        raise ValueError(
            f"{part.name!r} holds {' and '.join(others)}: write tensors, arrays or lists of numbers, one a data set"
        )
    shapes = sorted({tuple(one.shape) for one in values})
    if len(shapes) > 1:
        raise ValueError(
            f"{part.name!r} holds tensors of shapes {shapes}: pass {tuple(part.shape)} for each data set, as the guide "
            "was fitted on"
        )
    return torch.stack(list(values))


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
