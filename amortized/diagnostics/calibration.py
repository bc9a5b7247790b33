"""Whether the posteriors of many data sets are right on average: rank statistics and expected coverage."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from amortized._types import Generator, Sites, Tensor
from amortized.diagnostics.calibration_bands import Band, UniformRanks, uniform_ranks
from amortized.diagnostics.comparison import aligned, label
from amortized.display import html
from amortized.display.text import cut

FALSE_ALARMS = 0.01
"""Probability that exact posteriors fail, over all checks together: one false alarm in a hundred calibrations."""

JOINT = "all jointly"
"""Name of the check of all scalars together."""

SIGNIFICANT = 3.0
"""Standard errors from which a shift or a width is named; it exceeds them by chance in 0.3 % of the cases."""

NAMED = 3
"""Failed checks that the verdict names; the table shows more."""

HEAD = ["", "p-value", "shift", "width", ""]
"""Of the table."""

ROWS = 12
"""Rows of the table at most: those with the lowest p-values."""


@dataclass(frozen=True)
class Ranks:
    """Ranks of N true values, each among L draws of its own posterior; uniform on 0 … L if the posteriors are right.

    Args:
        name: of the check.
        ranks: ``(N,)``, from 0 to L.
        draws: L.
        directions: what it means that the posterior's values are too low, and too high.
    """

    name: str
    ranks: np.ndarray = field(repr=False)
    draws: int
    directions: tuple[str, str] = ("shifted down", "shifted up")

    @property
    def uniform(self) -> UniformRanks:
        """The law of the ranks if the posteriors are right."""
        return uniform_ranks(len(self.ranks), self.draws)

    @cached_property
    def p_value(self) -> float:
        """The exact probability of ranks that are as uneven as these or more, if the posteriors are right."""
        return self.uniform.p_value(self.ranks)

    @cached_property
    def normal_ranks(self) -> np.ndarray:
        """The ranks as normal quantiles ``(N,)``: mean 0 and std 1 if the posteriors are right."""
        levels = torch.special.ndtri((torch.arange(self.draws + 1).double() + 0.5) / (self.draws + 1)).numpy()
        return levels[self.ranks] / levels.std()

    @property
    def shift(self) -> float:
        """Mean of the posterior minus what it should be, in its std; inexact if most truths lie outside all draws."""
        return -float(self.normal_ranks.mean())

    @property
    def width(self) -> float:
        """Std of the posterior over what it should be; inexact if most truths lie outside all draws."""
        std = float(self.normal_ranks.std())
        return 1 / std if std > 0 else float("inf")

    @property
    def finding(self) -> str:
        """How the posterior is wrong: its place or its width, whichever is more standard errors away.

        If it is shifted by over one std, the ranks pile up at one end and say nothing about the width.
        """
        slope = abs(self.shift) * len(self.ranks) ** 0.5
        curvature = abs(np.log(self.width)) * (2 * len(self.ranks)) ** 0.5
        if abs(self.shift) > 1 or slope > max(curvature, SIGNIFICANT):
            return self.directions[self.shift > 0]
        if curvature > SIGNIFICANT:
            return "too wide" if self.width > 1 else "too narrow"
        return "of the wrong shape"


@dataclass(frozen=True)
class Calibration:
    """What N data sets with known true values say of a guide.

    If the posteriors are exact, all checks pass together with a probability of at least 99 %.

    Args:
        scalars: one check of each scalar.
        joint: the check of the coverage of all scalars together.
    """

    scalars: tuple[Ranks, ...]
    joint: Ranks

    @property
    def checks(self) -> tuple[Ranks, ...]:
        return (*self.scalars, self.joint)

    @property
    def threshold(self) -> float:
        """The p-value at which a check fails: 0.01 / number of checks (Bonferroni)."""
        return FALSE_ALARMS / len(self.checks)

    @property
    def worst(self) -> tuple[Ranks, ...]:
        """The scalars, with the lowest p-value first."""
        return tuple(sorted(self.scalars, key=lambda found: found.p_value))

    @property
    def failed(self) -> tuple[Ranks, ...]:
        """The checks that fail, with the lowest p-value first."""
        return tuple(
            sorted((found for found in self.checks if found.p_value <= self.threshold), key=lambda f: f.p_value)
        )

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def verdict(self) -> str:
        """``"calibrated"``, or which posterior is wrong and how."""
        words = [f"{found.name} {found.finding}" for found in self.failed]
        more = [f"{len(words) - NAMED} more"] if len(words) > NAMED else []
        return "; ".join(words[:NAMED] + more) or "calibrated"

    def band(self, found: Ranks) -> Band:
        """Bounds on the distribution function of the ranks; a check fails if and only if it leaves them."""
        return found.uniform.band(1 - self.threshold)

    def __str__(self) -> str:
        size, unlisted = self._remarks
        return "\n".join(filter(None, [f"verdict: {self.verdict}", size, aligned([HEAD, *self.table()]), unlisted]))

    def __repr__(self) -> str:
        return cut(str(self))

    def _repr_html_(self) -> str:
        size, unlisted = map(html.paragraph, self._remarks)
        table = html.table(HEAD, self.table(), words=(0, 4))
        return html.card(self.verdict.capitalize(), size, table, unlisted, tone="good" if self.passed else "bad")

    def table(self) -> list[list[str]]:
        """The checks with the lowest p-values, and that of all scalars together, one a row."""
        rows = []
        for found in (*(self.worst[:ROWS] if len(self.scalars) > ROWS else self.scalars), self.joint):
            figures = ["", ""] if found is self.joint else [f"{found.shift:+.2f}", f"{found.width:.2f}"]
            rows.append([found.name, _rounded(found.p_value), *figures, "fails" if found in self.failed else "passes"])
        return rows

    @property
    def _remarks(self) -> tuple[str, str]:
        more = len(self.scalars) - ROWS
        size = f"{len(self.joint.ranks)} data sets, {self.joint.draws} draws each; fails at p ≤ {self.threshold:.1g}"
        return size, f"and {more} scalars with larger p-values" if more > 0 else ""


def calibrate(truths: Sites, draws: Sites, generator: Generator | None = None) -> Calibration:
    """Both checks of N posteriors: the ranks of every scalar, and the coverage of all together.

    Args:
        truths: ``{site: (N, *event)}``, drawn from the prior. The model made one data set from each.
        draws: ``{site: (N, L, *event)}``, L independent posterior draws for each data set.
        generator: breaks ties between ranks, and places the balls of the coverage.

    Raises:
        ValueError: sites or shapes do not match, no scalar varies, or a value is not finite.

    >>> generator = torch.Generator().manual_seed(0)
    >>> mu = torch.randn(500, generator=generator)
    >>> x = mu + torch.randn(500, generator=generator)
    >>> noise = torch.randn(500, 100, generator=generator)
    >>> print(calibrate({"mu": mu}, {"mu": x[:, None] / 2 + 0.5 ** 0.5 * noise}, generator))
    verdict: calibrated
    500 data sets, 100 draws each; fails at p ≤ 0.005
                 p-value  shift  width
    mu              0.79  -0.03   0.98  passes
    all jointly     0.81                passes
    >>> calibrate({"mu": mu}, {"mu": x[:, None] / 2 + 0.5 * noise}, generator).verdict
    'mu too narrow; all jointly too narrow'
    """
    return Calibration(
        simulation_based_calibration(truths, draws, generator),
        expected_coverage(truths, draws, generator),
    )


def simulation_based_calibration(truths: Sites, draws: Sites, generator: Generator | None = None) -> tuple[Ranks, ...]:
    """The rank of every true scalar among its posterior draws, ``#{draws < truth}``.

    Equal values are in random order. Scalars that never vary are left out. Arguments and errors are those of
    ``calibrate``. Talts et al., arXiv 1804.06788.

    >>> [found] = simulation_based_calibration({"mu": torch.tensor([0.0, 5.0])}, {"mu": torch.tensor([[1.0, 2.0]] * 2)})
    >>> found.name, found.ranks.tolist(), found.draws
    ('mu', [0, 2], 2)
    """
    found = []
    for site, (truth, drawn) in _scalars(truths, draws).items():
        below, equal = (drawn < truth[:, None]).sum(1), (drawn == truth[:, None]).sum(1)
        found.append(Ranks(site, _shuffled(below, equal, generator), drawn.shape[1]))
    return tuple(found)


def expected_coverage(truths: Sites, draws: Sites, generator: Generator | None = None) -> Ranks:
    """The rank of the truth among its posterior draws by the distance from a random point (TARP).

    Take the ball around a random point that holds a fraction α of the posterior. If the joint posterior is right, the
    truth lies in it for a fraction α of the data sets. So the distribution function of the ranks is the expected
    coverage. The points are standard normal after each scalar is standardised by the median and the quartiles of its
    true values. Arguments and errors are those of ``calibrate``. Lemos et al., arXiv 2302.03026.
    """
    truth_distance: Tensor | float = 0.0
    draw_distance: Tensor | float = 0.0
    count = 0
    for truth, drawn in _scalars(truths, draws).values():
        middle, scale = _location_and_scale(truth)
        point = torch.randn(len(truth), generator=generator, device=truth.device, dtype=truth.dtype)
        truth_distance = truth_distance + ((truth - middle) / scale - point).square()
        draw_distance = draw_distance + ((drawn - middle) / scale - point[:, None]).square()
        count = drawn.shape[1]
    assert isinstance(truth_distance, Tensor) and isinstance(draw_distance, Tensor)
    nearer, equal = (draw_distance < truth_distance[:, None]).sum(1), (draw_distance == truth_distance[:, None]).sum(1)
    return Ranks(
        JOINT, _shuffled(nearer, equal, generator), count, ("too narrow or off centre", "too wide or off centre")
    )


def _rounded(p_value: float) -> str:
    return f"{p_value:.2g}" if p_value >= 1e-9 else "< 1e-9"


def _shuffled(below: Tensor, equal: Tensor, generator: Generator | None) -> np.ndarray:
    """Ranks ``(N,)``; the truth has a random place among the values ``equal`` to it."""
    uniform = torch.rand(below.shape, generator=generator, device=below.device, dtype=torch.float64)
    return (below + (uniform * (equal + 1)).long()).cpu().numpy()


def _location_and_scale(truth: Tensor) -> tuple[Tensor, Tensor]:
    """Median and quartile range of ``truth: (N,)``; the range is scaled to be the std of a normal law."""
    ordered = truth.sort().values
    low, middle, high = (ordered[round(level * (len(truth) - 1))] for level in (0.25, 0.5, 0.75))
    scale = (high - low) / 1.349
    std = truth.std()
    return middle, torch.where(scale > 0, scale, torch.where(std > 0, std, 1.0))


def _scalars(truths: Sites, draws: Sites) -> dict[str, tuple[Tensor, Tensor]]:
    """Truths ``(N,)`` and draws ``(N, L)`` in float64 of every scalar that varies, by ArviZ's label."""
    _check(truths, draws)
    found = {}
    for site, truth in truths.items():
        for index in np.ndindex(tuple(truth.shape[1:])):
            one, drawn = truth[(slice(None), *index)].double(), draws[site][(slice(None), slice(None), *index)].double()
            if bool((one != one[0]).any()) or bool((drawn != one[0]).any()):
                found[label(site, index)] = one, drawn
    if not found:
        raise ValueError(
            f"truths: no value of {sorted(truths)} varies; draw them from the prior, one for each data set"
        )
    return found


def _check(truths: Sites, draws: Sites) -> None:
    if truths.keys() != draws.keys():
        raise ValueError(f"draws: sites {sorted(draws)}, should be those of truths, {sorted(truths)}")
    sizes = {site: tuple(drawn.shape[:2]) for site, drawn in draws.items()}
    for site, truth in truths.items():
        drawn = draws[site]
        if truth.ndim < 1 or len(truth) < 2 or drawn.ndim < 2 or drawn.shape[1] < 1:
            raise ValueError(
                f"{site!r}: truths {tuple(truth.shape)} and draws {tuple(drawn.shape)}, should be (N, *event) and "
                "(N, L, *event) with N of at least 2"
            )
        if drawn.shape[:1] + drawn.shape[2:] != truth.shape:
            raise ValueError(
                f"{site!r}: draws {tuple(drawn.shape)}, should be {(len(truth), 'L', *truth.shape[1:])} beside truths "
                f"{tuple(truth.shape)}"
            )
        if len(set(sizes.values())) > 1:
            raise ValueError(f"{site!r}: N and L are {sizes[site]}, should be the same for all sites, but are {sizes}")
        for name, values in {"truths": truth, "draws": drawn}.items():
            broken = int((~values.isfinite()).sum())
            if broken:
                raise ValueError(
                    f"{site!r}: {broken} of {values.numel()} {name} are not finite; leave out those data sets"
                )
