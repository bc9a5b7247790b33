"""The weights of on-policy paths: their histogram, and the tail that Pareto's k-hat judges."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from amortized.plots.style import BLUE, ORANGE, ink, without_height
from amortized.weights import FEWEST_IN_TAIL, HEAVY_TAIL, Estimate, num_in_tail


def weights(axes: Axes, log_weights: np.ndarray, evidence: Estimate, khat: float, ess_fraction: float) -> Axes:
    """Histogram of log weights minus log Z; for a perfect sampler it is a spike at 0.

    The lowest 2 % are cut, because they count for little. All of the highest are shown.

    Args:
        axes: where it is drawn.
        log_weights: of on-policy paths ``(N,)``, in nats.
        evidence: log Z, in nats.
        khat: Pareto tail index of the weights.
        ess_fraction: effective sample size over N.
    """
    relative = log_weights[np.isfinite(log_weights)] - evidence.value
    low, high = np.quantile(relative, 0.02), max(relative.max(), 0.0)
    high = max(high, low + 1e-3)
    axes.stairs(*np.histogram(relative, np.linspace(low, high, 41)), fill=True, color=BLUE, alpha=0.45, linewidth=0)
    axes.axvline(0.0, ymax=0.8, color=ink(), linewidth=1.2)
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
    axes.set_title("log weights of the draws")
    axes.set_xlabel("log weight − log evidence (nats)")
    without_height(axes)
    lines = [f"effective draws {ess_fraction:.0%}", f"Pareto k̂ {khat:.2f}", f"(should be under {HEAVY_TAIL})"]
    axes.text(0.99, 0.97, "\n".join(lines), transform=axes.transAxes, ha="right", va="top", fontsize=8, linespacing=1.4)
    return axes


def tail(axes: Axes, log_weights: np.ndarray, khat: float) -> Axes:
    """The tail of the weights: the share of weights above each, and the Pareto law of shape k = k-hat.

        P(w > u + e) = q (1 + k e / s)^(−1/k),    s = k m / (2^k − 1)

    u is the weight where the tail begins. q is the share of the weights above u, and m the median of their excesses.

    Args:
        axes: where it is drawn.
        log_weights: ``(N,)``, in nats; the tail is the one that k-hat is fitted to.
        khat: Pareto tail index of the weights.
    """
    finite = np.sort(log_weights[np.isfinite(log_weights)].astype(float))
    count = num_in_tail(len(finite))
    axes.set_title("tail of the weights")
    axes.set_xlabel("weight / mean weight")
    if count < FEWEST_IN_TAIL or not math.isfinite(khat) or finite[-1] == finite[-count - 1]:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no tail to fit:\nthe largest weights are equal or too few", ha="center", va="center")
        return axes
    relative = np.exp(finite - finite[-1])
    mean = relative.mean()
    threshold, largest = relative[-count - 1] / mean, relative[-count:] / mean
    above = np.arange(count, 0, -1) / len(finite)
    axes.plot(largest, above, "o", color=BLUE, markersize=3, alpha=0.6, label="largest weights", rasterized=count > 500)
    excess = np.linspace(0, largest[-1] - threshold, 100)
    scale = float(np.median(largest - threshold)) * (khat / (2**khat - 1) if abs(khat) > 1e-6 else 1 / math.log(2))
    axes.plot(threshold + excess, count / len(finite) * survival(excess / scale, khat), color=ORANGE, linewidth=1.4)
    axes.lines[-1].set_label(f"Pareto law, k̂ = {khat:.2f}")
    axes.set_yscale("log")
    axes.set_ylim(0.5 / len(finite), 3 * count / len(finite))
    axes.set_ylabel("share of larger ones")
    axes.legend(loc="upper right", fontsize=8, handlelength=1.5)
    return axes


def survival(excess: np.ndarray, shape: float) -> np.ndarray:
    """``P(E > e) = (1 + k e)^(−1/k)`` of the generalized Pareto law; if k < 0 it is 0 beyond e = −1/k.

    >>> survival(np.array([0.0, 1.0, 3.0]), -0.5).tolist(), round(float(survival(np.array([1.0]), 0.0)[0]), 3)
    ([1.0, 0.25, 0.0], 0.368)
    """
    if abs(shape) < 1e-6:
        return np.exp(-excess)
    return np.maximum(1 + shape * excess, 0.0) ** (-1 / shape)
