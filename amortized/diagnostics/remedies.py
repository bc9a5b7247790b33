"""What to type after a verdict: one or two sentences each, in the language of the caller."""

from __future__ import annotations

from dataclasses import dataclass

# What to do, by cause. Each text names one action that can be typed as it is.
# the recorded density is that of the old model
FIT_AGAIN = "Fit again: guide.fit(*args)."
# an infinite or undefined density comes from an improper prior or from overflow
PROPER = "Give every site a proper prior, and look at the model's log density at extreme values."
# a funnel
NON_CENTRED = (
    "Write the model non-centred: pyro.poutine.reparam(model, {'SITE': LocScaleReparam(0.0)}). SITE is the site whose "
    "scale is a latent variable; LocScaleReparam is in pyro.infer.reparam."
)
# a funnel in a fit that left every site as it is written
CHOOSE = "Leave coordinates='centred' out: the default, coordinates='auto', standardizes the sites that need it."
# a funnel that LocScaleReparam(0.0) has left uneven, since the data say more of some groups than the prior
WITHOUT_REPARAM = (
    "Leave poutine.reparam, and coordinates='centred', out: the library then chooses for each element how far it is "
    "non-centred."
)
# a curved valley
COORDINATES = "Write the model with parameters that depend less on each other, and fit again."
# cancellation in a long sum
FLOAT64 = "Use float64: write torch.set_default_dtype(torch.float64) before you make the data."
# uneven weights that have no heavy tail
RESAMPLE = "Use sample(n), which resamples by the weights. Do not use correction='none'."
# paths that end where the density is zero have weight zero
BARRIER = (
    "If the model has a hard constraint this is normal, and sample(n) corrects it. If not, give every site a proper "
    "prior."
)

STEPS, PATIENCE, ENOUGH = 5_000, 10, 0.94
"""The recipe of a longer training: the default has 600 steps and ends at an overlap of 0.9; chosen, not measured."""

LONGER = 600.0
"""Seconds of a longer fit: ten times the default's minute."""


@dataclass(frozen=True)
class Remedies:
    """What to type, by kind of failure.

    Args:
        train: a longer training.
        another_seed: a fit with another seed, if modes were missed.
        compare: a second fit to compare with.
        chains: draws that chains correct.
        funnel: other coordinates for a site whose scale is a latent variable.
        more_time: the same fit with more seconds.
    """

    train: str
    another_seed: str
    compare: str
    chains: str
    funnel: str = NON_CENTRED
    more_time: str = "a longer max_seconds"


def in_python(
    guide: str, seed: int, untried: int, seconds: float, enough: float, coordinates: str = "auto"
) -> Remedies:
    """Remedies for a guide that was fitted in Python.

    Args:
        guide: name of the guide's class.
        seed: the guide's seed.
        untried: a seed that no replica has.
        seconds: the guide's ``max_seconds``.
        enough: the overlap at which training ended. More time alone changes nothing, so the advice raises it.
        coordinates: the guide's option.

    >>> in_python("DiffusionGuide", 3, 4, 60.0, 0.9).another_seed
    'Fit DiffusionGuide(model, seed=4), and keep the fit with the larger log evidence.'
    """
    recipe = f"steps={STEPS:_}, enough={(1 + max(enough, ENOUGH)) / 2:.3g}, patience={PATIENCE}"
    # a guide that is named after an objective refuses a recipe of another objective
    made = (
        f"Recipe({recipe})" if guide == "DiffusionGuide" else f"dataclasses.replace({guide}.default_recipe, {recipe})"
    )
    train = f"{guide}(model, seed={seed}, max_seconds={longer(seconds):g}, recipe={made})"
    return Remedies(
        train=f"Train longer: {train}.",
        another_seed=f"Fit {guide}(model, seed={untried}), and keep the fit with the larger log evidence.",
        compare=f"Use sample(n), and compare with {guide}(model, seed={untried}).",
        chains=f"Use sample(n, correction='mcmc'), or train longer: {train}.",
        funnel=NON_CENTRED if coordinates == "auto" else CHOOSE,
        more_time=f"{guide}(model, seed={seed}, max_seconds={longer(seconds):g})",
    )


def in_shell(file: str, seed: int, seconds: float) -> Remedies:
    """Remedies for ``amortized fit FILE``, which takes no recipe: another seed, which is another warm-up and training.

    >>> in_shell("model.py", 0, 60.0).train
    'Type amortized fit model.py --seed 1 --max-seconds 600.'
    """
    again = f"amortized fit {file} --seed {seed + 1}"
    train = f"Type {again} --max-seconds {longer(seconds):g}."
    return Remedies(
        train=train,
        another_seed=f"Type {again}, and keep the fit with the larger log evidence.",
        compare=f"Compare with {again}.",
        chains=train,
        more_time=f"{again} --max-seconds {longer(seconds):g}",
    )


def only(text: str) -> Remedies:
    """The same sentence for every failure."""
    return Remedies(text, text, text, text)


def longer(seconds: float) -> float:
    """Seconds of a longer fit, at least twice those of the last one."""
    return max(LONGER, 2 * seconds)


GENERIC = in_python("DiffusionGuide", 0, 1, 60.0, 0.9)
