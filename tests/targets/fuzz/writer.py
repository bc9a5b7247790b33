"""Source text under construction: its lines, the variables in scope, the plates around, and expressions over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
REALS = ("0.3", "-1.2", "0.8", "2.1", "0.0", "-0.4", "1.7", "0.6")
POSITIVES = ("0.7", "1.3", "2.0", "0.4", "3.1", "1.0", "0.9", "1.8")
UNITS = ("0.3", "0.8", "0.5", "0.15", "0.6", "0.9", "0.25", "0.4")
MOST_STATES = 16  # one plain trace of a few milliseconds for each joint state
POOLS = {"real": REALS, "positive": POSITIVES, "unit": UNITS}


@dataclass(frozen=True)
class Plate:
    name: str
    size: int
    dim: int


@dataclass(frozen=True)
class Variable:
    """``kind``: "real", "positive" or "unit"; ``plates``: it varies over these; ``state``: a discrete latent's."""

    text: str
    kind: str
    plates: tuple[Plate, ...] = ()
    state: bool = False


class Writer:
    """Draws choices from hypothesis and writes the lines of one model."""

    def __init__(self, draw: Any):
        self.draw = draw
        self.lines: list[str] = []
        self.base = self.depth = 1
        self.variables: list[Variable] = []
        self.plates: tuple[Plate, ...] = ()
        self.parameters: list[tuple[str, str]] = []
        self.reparametrized: dict[str, str] = {}
        self.conditioned: dict[str, str] = {}
        self.joint_states = 1
        self.scales: tuple[str, ...] = ()
        self.scales_of_discrete: tuple[str, ...] | None = None
        self.counter = 0
        self.dtype = ""

    def pick(self, options: Sequence[T]) -> T:
        return self.draw(st.sampled_from(options))

    def chance(self, one_in: int) -> bool:
        """True once in ``one_in`` choices; False is what hypothesis shrinks to."""
        return self.draw(st.integers(0, one_in - 1)) == one_in - 1

    def name(self, stem: str) -> str:
        self.counter += 1
        return f"{stem}{self.counter}"

    def write(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    @contextmanager
    def block(self, opening: str) -> Iterator[None]:
        """Lines under ``opening:``; variables of the block stay visible after it, as Python has it."""
        self.write(opening + ":")
        self.depth += 1
        yield
        self.depth -= 1

    @contextmanager
    def plate(self, plate: Plate) -> Iterator[None]:
        before, self.plates = self.plates, (*self.plates, plate)
        yield
        self.plates = before

    @contextmanager
    def scale(self, *texts: str) -> Iterator[None]:
        before, self.scales = self.scales, (*self.scales, *texts)
        yield
        self.scales = before

    @contextmanager
    def states(self, count: int) -> Iterator[None]:
        """The lines in which a discrete latent is used: after them its variables are out of scope."""
        self.joint_states *= count
        self.scales_of_discrete = self.scales
        yield
        self.variables = [v for v in self.variables if not v.state]

    @property
    def has_states(self) -> bool:
        return any(v.state for v in self.variables)

    def takes_states(self, count: int) -> bool:
        """Whether a discrete latent of ``count`` more joint states, under the scales around, keeps the sum plain."""
        alike = self.scales_of_discrete in (None, self.scales)
        return alike and self.joint_states * count <= MOST_STATES

    # Constants

    def numbers(self, kind: str, count: int) -> str:
        pool = POOLS[kind]
        start = self.draw(st.integers(0, len(pool) - 1))
        return ", ".join(pool[(start + i) % len(pool)] for i in range(count))

    def constant(self, kind: str, shape: tuple[int, ...] = ()) -> str:
        """The text of a tensor of this kind and shape."""
        count = 1
        for size in shape:
            count *= size
        inner = self.numbers(kind, count)
        text = f"torch.tensor([{inner}]{self.dtype})" if shape else f"torch.tensor({inner}{self.dtype})"
        return text if len(shape) < 2 else f"{text}.reshape({', '.join(map(str, shape))})"

    def booleans(self, shape: tuple[int, ...]) -> str:
        count = 1
        for size in shape:
            count *= size
        if not shape:
            return f"torch.tensor({self.pick((True, False))})"
        values = [str(self.pick((True, False))) for _ in range(count)]
        return f"torch.tensor([{', '.join(values)}]).reshape({', '.join(map(str, shape))})"

    def argument(self, value: str, stem: str = "data") -> str:
        """The name of a new argument of the model that has this value, or now and then the value itself."""
        if self.chance(6):
            return value
        name = self.name(stem)
        self.parameters.append((name, value))
        return name

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape of the plates around, as Pyro lays them out."""
        deepest = max((-plate.dim for plate in self.plates), default=0)
        shape = [1] * deepest
        for plate in self.plates:
            shape[plate.dim] = plate.size
        return tuple(shape)

    # Variables and expressions

    def define(self, text: str, kind: str, state: bool = False) -> None:
        self.variables.append(Variable(text, kind, self.plates, state))

    def visible(self, kind: str) -> list[Variable]:
        return [v for v in self.variables if v.kind == kind and set(v.plates) <= set(self.plates)]

    def _variable(self, kind: str) -> str | None:
        found = self.visible(kind)
        states = [v for v in found if v.state]
        if states and self.chance(2):
            found = states
        return self.pick(found[::-1]).text if found else None

    def number(self, kind: str) -> str:
        """A Python number, now and then as an argument of the model, as a float or as an int."""
        text = self.numbers(kind, 1)
        if self.chance(6):
            return self.argument("1" if kind == "positive" and self.chance(3) else text, "number")
        return text

    def real(self) -> str:
        """The text of an expression of any sign."""
        real, positive = self._variable("real"), self._variable("positive")
        forms = [self.number("real")]
        if real:
            forms += [real, f"0.5 * {real}", f"({real} + {self.numbers('real', 1)})", f"torch.tanh({real})"]
        if positive:
            forms += [f"torch.log({positive})", f"({positive} - 1.0)"]
        if real and positive:
            forms += [f"{real} * {positive}"]
        gone = [v for v in self.variables if v.kind == "real" and v.plates and not v.state]
        if gone and not self.plates:
            value = self.pick(gone[::-1]).text
            forms += [
                f"{value}.sum()",
                f"{value}.mean()",
                f"{value}.abs().max()",
                f"torch.logsumexp({value}.flatten(), 0)",
            ]
        return self.pick(forms[::-1]) if len(forms) > 1 else forms[0]

    def positive(self) -> str:
        real, positive = self._variable("real"), self._variable("positive")
        forms = [self.number("positive")]
        if positive:
            forms += [positive, f"(0.1 + {positive})", f"{self.numbers('positive', 1)} * {positive}"]
        if real:
            forms += [f"torch.exp(0.3 * {real})", f"torch.nn.functional.softplus({real})"]
        return self.pick(forms)

    def unit(self) -> str:
        real, unit = self._variable("real"), self._variable("unit")
        forms = [self.number("unit")]
        if unit:
            forms += [unit, f"(1 - {unit})"]
        if real:
            forms += [f"torch.sigmoid({real})"]
        return self.pick(forms)

    def expression(self, kind: str) -> str:
        return {"real": self.real, "positive": self.positive, "unit": self.unit}[kind]()
