"""Corrections of a trained sampler's draws, so that they follow the target more closely."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor, by_context
from amortized.mcmc import mala
from amortized.samplers.base import DiffusionSampler
from amortized.samplers.sequential import sample_sequentially
from amortized.targets.base import Target
from amortized.targets.pyro.failures import tell
from amortized.weights import effective_sample_size, systematic_by_context

CORRECTIONS = ("best", "resample", "none", "mcmc", "sequential")
MAX_POOL = 16
"""Paths a draw at the most: weights that ask for more are so uneven that more paths change little."""
SPARE = 1.5
"""Effective paths a draw at the least, so that few draws are copies of one path."""
TAIL, REPEATED = 0.01, 0.5
"""In the hundredth of the mass with the largest weights, a path becomes half a draw on average. With a whole one the
std of tau of the eight schools varied by .088 between calls, with a half by .074, and for exact draws by .070."""
POLISH_STEPS = 50
"""MALA moves; at the adapted step they cross a mode of a few dimensions several times."""
TUNERS = 128
"""Chains of each context that choose the step: their mean acceptance rate is known to .03."""


@torch.no_grad()
def corrected(
    sampler: DiffusionSampler,
    target: Target,
    count: int,
    correction: str,
    pilot: tuple[Tensor, Tensor],
    generator: Generator | None = None,
    paths: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """``count`` ends of every context, in random order, by one of the ``CORRECTIONS``.

    - ``"none"``: the sampler's own draws.
    - ``"best"`` and ``"resample"``: more paths than draws, resampled systematically. A context whose paths all have
      density zero keeps the sampler's own draws.
    - ``"mcmc"``: resampled, then moved 50 times by MALA.
    - ``"sequential"``: sequential Monte Carlo along the path with two particles a draw, resampled.

    Args:
        sampler: a trained sampler.
        target: of D variables and M contexts.
        count: draws of each context.
        correction: one of the words above.
        pilot: earlier ends ``(N, D)`` and their log weights ``(N,)``. They choose the pool's size and MALA's step.
        generator: of all draws.
        paths: paths of each context to resample from; None: ``pool_size``.

    Returns:
        Ends ``(count · M, D)``, and log weights unless these are equal.

    Raises:
        ValueError: any other word.
    """
    check_correction(correction)
    total = count * target.contexts
    if correction == "none":
        return sampler.sample(target, total, generator)
    if correction == "sequential":
        drawn = sample_sequentially(sampler, target, 2 * count, generator=generator, runs=1)
        return _resampled(drawn.ends, drawn.log_weights, count, target, generator), None
    paths = paths or pool_size(by_context(pilot[1], target.contexts), count)
    pool = sampler.sample(target, paths * target.contexts, generator)
    ends = _resampled(*pool, count, target, generator)
    return (_moved(target, ends, pilot, generator) if correction == "mcmc" else ends), None


def check_correction(correction: str) -> None:
    """Raises ``ValueError`` for a word that is no correction."""
    if correction not in CORRECTIONS:
        raise ValueError(f"correction={correction!r}: write one of {', '.join(map(repr, CORRECTIONS))}")


def pool_size(log_weights: Tensor, count: int) -> int:
    """How many paths each context needs for ``count`` draws of it.

    Of P paths, one with w times the mean weight becomes ``a = count · w / P`` draws. While a ≤ 1, systematically
    resampled draws tell as much as independent ones; repeated ones tell a times less. So P makes ``a = 1/2`` in the
    hundredth of the target's mass with the largest weights, and is at least ``1.5 count`` over the effective fraction.

    Args:
        log_weights: ``(N, M)`` of earlier paths. With several contexts the second rule alone counts, at their worst
            tenth: their pilots are too short for the first.
        count: draws of each context.

    Returns:
        P, at most 16 ``count``.

    >>> pool_size(torch.zeros(1_000, 1), 100), pool_size(torch.tensor([0.0, *[-9.0] * 99])[:, None], 100)
    (200, 1600)
    """
    number, contexts = log_weights.shape
    efficiency = float((effective_sample_size(log_weights) / number).nan_to_num(0.0).quantile(0.1))
    spare = SPARE / max(efficiency, 1e-9)
    if contexts == 1 and efficiency > 0:
        shares = log_weights[:, 0].double().softmax(0).sort(descending=True).values
        top = shares[: int((shares.cumsum(0) < TAIL).sum()) + 1]
        spare = max(spare, number * float(top.square().sum() / top.sum()) / REPEATED)
    return round(min(MAX_POOL, spare) * count)


def affordable_paths(paths: int, count: int, seconds_a_path: float, seconds: float) -> int:
    """``paths``, or as many as ``seconds`` allow, and at least ``count``; warns if these take over twice the time."""
    if (expected := count * seconds_a_path) > 2 * seconds:
        fewer = max(1, int(seconds / seconds_a_path))
        tell(f"{count:,} draws take about {expected:.0f} s here: write sample({fewer})")
    return max(count, min(paths, int(seconds / max(seconds_a_path, 1e-9))))


def _resampled(ends: Tensor, log_weights: Tensor, count: int, target: Target, generator: Generator | None) -> Tensor:
    """``count`` of the ends of every context, by their weights and shuffled."""
    columns = by_context(log_weights, target.contexts)
    if target.context is not None:
        hopeless = ~(columns > -torch.inf).any(0)
        columns = torch.where(hopeless, 0.0, columns)
    rows = systematic_by_context(columns, count, generator)
    order = torch.randperm(count, generator=generator, device=rows.device)
    return ends[by_context(rows, target.contexts)[order].flatten()]


def _moved(target: Target, ends: Tensor, pilot: tuple[Tensor, Tensor], generator: Generator | None) -> Tensor:
    """The ends after 50 MALA moves each, with one step for every context."""
    # Chains from the pilot choose the step and are discarded: chains that adapt a step to their own acceptance rate
    # do not keep the target.
    density = target.log_prob_and_score
    tuners = _resampled(*pilot, TUNERS, target, generator)
    first = torch.full((target.contexts,), 0.1, dtype=ends.dtype, device=ends.device)
    _, step_size, _ = mala.run(density, mala.init(density, tuners), POLISH_STEPS, first, generator)
    return mala.run(density, mala.init(density, ends), POLISH_STEPS, step_size, generator, None)[0].x
