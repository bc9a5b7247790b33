"""What to type after a verdict: one sentence each, in the words of the caller."""

from __future__ import annotations

from dataclasses import dataclass

FIT_AGAIN = "Write guide.fit(*args) again."
PROPER = "Look at the model's log density at extreme values, and give every site a proper prior."
NON_CENTRED = (
    "Write it non-centred: pyro.poutine.reparam(model, {'SITE': LocScaleReparam(0.0)}), SITE being the effects whose "
    "scale is a latent, after from pyro.infer.reparam import LocScaleReparam."
)
COORDINATES = "Write the model in coordinates that are closer to independent, and fit again."
FLOAT64 = "Run in float64: torch.set_default_dtype(torch.float64) before the data are made, and float64 data."
RESAMPLE = "Use sample(n), which resamples by the weights, and not correction='none'."
BARRIER = (
    "Under a hard constraint that is as it should be, otherwise give every site a proper prior; use sample(n), which "
    "resamples by the weights."
)
STEPS, PATIENCE, ENOUGH = 5_000, 10, 0.94


@dataclass(frozen=True)
class Remedies:
    """``train``: longer, and past where training was content; ``another_seed``: modes were lost; ``compare``: a second
    opinion; ``chains``: draws that chains correct."""

    train: str
    another_seed: str
    compare: str
    chains: str


def in_python(guide: str, seed: int, untried: int, seconds: float, enough: float) -> Remedies:
    """For a guide of class ``guide`` that was fitted with these options; ``untried``: a seed that none was fitted with.

    Training ends at ``enough`` overlap, so that more time alone would change nothing.

    >>> in_python("DiffusionGuide", 3, 4, 60.0, 0.9).another_seed
    'Fit DiffusionGuide(model, seed=4), and keep what has the larger log evidence.'
    """
    recipe = f"steps={STEPS:_}, enough={(1 + max(enough, ENOUGH)) / 2:.3g}, patience={PATIENCE}"
    # a recipe of another objective is refused by a guide that is named after one
    made = (
        f"Recipe({recipe})" if guide == "DiffusionGuide" else f"dataclasses.replace({guide}.default_recipe, {recipe})"
    )
    longer = f"max_seconds={more(seconds):g}"
    train = f"{guide}(model, seed={seed}, {longer}, recipe={made})"
    return Remedies(
        train=f"Train longer and further: {train}.",
        another_seed=f"Fit {guide}(model, seed={untried}), and keep what has the larger log evidence.",
        compare=f"Use sample(n), and compare {guide}(model, seed={untried}).",
        chains=f"Use sample(n, correction='mcmc'), or train further: {train}.",
    )


def in_shell(file: str, seed: int, seconds: float) -> Remedies:
    """For ``amortized fit FILE``, where no recipe can be typed: another seed, which is another warm-up and training.

    >>> in_shell("model.py", 0, 60.0).train
    'Type amortized fit model.py --seed 1 --max-seconds 600.'
    """
    again = f"amortized fit {file} --seed {seed + 1}"
    longer = f"Type {again} --max-seconds {more(seconds):g}."
    return Remedies(
        train=longer,
        another_seed=f"Type {again}, and keep what has the larger log evidence.",
        compare=f"Compare {again}.",
        chains=longer,
    )


def only(text: str) -> Remedies:
    """One sentence for everything."""
    return Remedies(text, text, text, text)


def more(seconds: float) -> float:
    """Ten times the minute of the default, or twice what is longer than that."""
    return max(600.0, 2 * seconds)


GENERIC = in_python("DiffusionGuide", 0, 1, 60.0, 0.9)
