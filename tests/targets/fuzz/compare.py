"""One program through ``PyroTarget`` and through plain traces: the first thing in which they differ."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pyro
import torch

from amortized._torch import default_dtype
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import ModelError
from tests.targets.fuzz.program import Program
from tests.targets.fuzz.reference import Reference
from tests.targets.fuzz.refused import LISTED, Refusal

Tensor = torch.Tensor
ORDINARY, EXTREME = 3, 2
# Single precision: rounding of 1e-7, amplified by transforms and by sums of a few dozen terms of either sign.
STEEP = re.compile("LKJ|corr_cholesky|Beta")
"""Laws whose plain density rounds in float64 at extreme points: ``1 - tanh(x)**2`` has no digit left at x = 19. The
target computes them in logs, and agrees with the plain trace in more digits where both are right."""
FEATURES = {
    "discrete": r'sample\(f?"z',
    "discrete under fn.mask": r"z\d+ = .*\.mask\(",
    "obs_mask": "obs_mask",
    "reparam": "poutine.reparam",
    "scale": r"poutine\.scale|subsample=",
    "branch": " if .* else ",
}
TOLERANCE = {"single": 2e-3, "double data": 2e-3, "double": 1e-7}


class Mismatch(AssertionError):
    """``kind`` groups findings; the message ends with the program, which runs as it stands."""

    def __init__(self, kind: str, what: str, program: Program):
        super().__init__(f"{kind}: {what}\n# default dtype: {program.precision}\n{program.source}")
        self.kind, self.what, self.program = kind, what, program


def run(source: str) -> tuple[Any, tuple, dict[str, Any]]:
    """``model``, ``args`` and ``kwargs`` of the source text, in the default dtype of the moment."""
    names: dict[str, Any] = {"__name__": "a_random_program"}
    pyro.clear_param_store()
    exec(compile(source, "<program>", "exec"), names)
    return names["model"], names["args"], names["kwargs"]


def _features(source: str) -> str:
    """What in a program is most often the cause, for grouping."""
    found = [name for name, pattern in FEATURES.items() if re.search(pattern, source)]
    return ", ".join(found) or "plain"


def _close(got: Tensor, want: Tensor, tolerance: float, noise: Tensor | float = 0.0) -> bool:
    size = want.abs().max().clamp(min=1) if want.numel() else 1.0
    return got.shape == want.shape and bool(((got.double() - want).abs() <= tolerance * size + noise).all())


class Comparison:
    """The truth of a program in float64, and the target in the program's own precision."""

    def __init__(self, program: Program):
        self.program = program
        self.tolerance = TOLERANCE[program.precision]
        with default_dtype(torch.float64):
            self.truth = Reference(*run(program.source))
            generator = torch.Generator().manual_seed(0)
            rows = torch.randn(ORDINARY + EXTREME, self.truth.dim, generator=generator)
            far = 4.0 if STEEP.search(program.source) else 8.0
            self.x = torch.cat([0.7 * rows[:ORDINARY], far * rows[ORDINARY:]]).float().double()
            self.points = [self.truth.at(x) for x in self.x[:ORDINARY]]
            self.values = [*(point.value for point in self.points), *map(self._far, self.x[ORDINARY:])]
        self.own = torch.float64 if program.precision == "double" else torch.float32

    def _far(self, x: Tensor) -> Tensor:
        """The log density at an extreme point, -inf where the model raises there."""
        try:
            return self.truth.log_prob(x).detach()
        except (RuntimeError, ValueError):
            return torch.tensor(-torch.inf)

    def fail(self, kind: str, what: str) -> None:
        raise Mismatch(f"{kind} [{_features(self.program.source)}]", what, self.program)

    def __call__(self) -> str:
        """The way of batching of a target that is right. Raises ``Mismatch``."""
        with default_dtype(self.own), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, args, kwargs = run(self.program.source)
            try:
                target = PyroTarget(model, args, kwargs)
            except Exception as error:
                if reason := next((why for words, why in LISTED.items() if words in str(error)), ""):
                    return f"listed: {reason}"
                self.fail(f"PyroTarget raises {type(error).__name__}", (str(error).splitlines() or [""])[0])
            if target.dim != self.truth.dim:
                self.fail("dimension", f"got {target.dim}, want {self.truth.dim}")
            for check in (self.density, self.gradient, self.batches, self.sites, self.round_trip):
                try:
                    check(target)
                except Mismatch:
                    raise
                except Exception as error:
                    self.fail(f"{check.__name__} raises {type(error).__name__}", (str(error).splitlines() or [""])[0])
        return target.batching

    def density(self, target: PyroTarget) -> None:
        got = target.log_prob(self.x)
        for i, want in enumerate(self.values):
            if i >= ORDINARY and self.own == torch.float32:
                continue
            if not want.isfinite():
                if got[i] != -torch.inf:
                    self.fail("density", f"at {self.x[i].tolist()} got {got[i].item():.8g}, want -inf ({want:g})")
            elif not _close(got[i], want, self.tolerance):
                self.fail("density", f"at {self.x[i].tolist()} got {got[i].item():.8g}, want {want.item():.8g}")

    def gradient(self, target: PyroTarget) -> None:
        x = self.x[:ORDINARY]
        values, scores = target.log_prob_and_score(x)
        for i, want in enumerate(self.points):
            if not want.score.isfinite().all():
                continue
            if not _close(values[i], want.value, self.tolerance):
                self.fail("density with score", f"at {x[i].tolist()} got {values[i]:.8g}, want {want.value:.8g}")
            if not _close(scores[i], want.score, 3 * self.tolerance):
                self.fail("gradient", f"at {x[i].tolist()} got {scores[i].tolist()}, want {want.score.tolist()}")

    def batches(self, target: PyroTarget) -> None:
        """33 points, ordinary ones among extreme ones, against each point in a batch of one or three."""
        x = self.x.repeat(7, 1)[:33]
        together = target.log_prob(x)
        for size in (1, 3):
            for start in range(0, ORDINARY + EXTREME - size + 1):
                alone, want = target.log_prob(x[start : start + size]), together[start : start + size]
                same = (alone == want) | ((alone - want).abs() <= self.tolerance * want.abs().clamp(min=1))
                if not same.all():
                    self.fail("batch", f"{size} of {x.tolist()[:5]}: got {want.tolist()} in 33, {alone.tolist()} alone")

    def sites(self, target: PyroTarget) -> None:
        got = target.constrain(self.x[:ORDINARY])
        for i, want in enumerate(self.points):
            missing, extra = want.sites.keys() - got.keys(), got.keys() - want.sites.keys() - want.optional
            if missing or extra:
                self.fail("sites", f"missing {sorted(missing)}, extra {sorted(extra)}")
            for name, value in want.sites.items():
                if not _close(got[name][i], value, self.tolerance):
                    self.fail("sites", f"{name!r}: got {got[name][i].tolist()}, want {value.tolist()}")

    def round_trip(self, target: PyroTarget) -> None:
        x = self.x[:ORDINARY]
        back = target.unconstrain(target.constrain(x))
        if not _close(back, x, 10 * self.tolerance):
            self.fail("round trip", f"from {x.tolist()} to {back.tolist()}")


def refused(program: Program, refusal: Refusal) -> str:
    """Raises ``Mismatch`` where the target does not refuse the program in the right words."""
    model, args, kwargs = run(program.source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PyroTarget(model, args, kwargs)
    except ModelError as error:
        if any(words in str(error) for words in (refusal.message, *LISTED)):
            return f"refused: {refusal.reason}"
        raise Mismatch(f"refused in other words: {refusal.reason}", str(error), program) from error
    except Exception as error:
        raise Mismatch(f"{refusal.reason} raises {type(error).__name__}", str(error), program) from error
    raise Mismatch(f"not refused: {refusal.reason}", "want a ModelError", program)


def compare(program: Program) -> str:
    """Raises ``Mismatch`` where ``PyroTarget`` is not what plain traces say; returns its way of batching."""
    if program.refusal:
        return refused(program, program.refusal)
    try:
        comparison = Comparison(program)
    except Exception as error:
        raise Mismatch(f"invalid program: {type(error).__name__}", str(error), program) from error
    try:
        return comparison()
    finally:
        pyro.clear_param_store()
