"""Does the diagnosis see what is wrong, and keep quiet where nothing is? Planted failures and well-trained guides.

    mkdir -p /tmp/planted && export OMP_NUM_THREADS=1
    python benchmarks/planted_failures.py --list | xargs -P 16 -L 1 python benchmarks/planted_failures.py
    python benchmarks/planted_failures.py --collect /tmp/planted

The first command fits every guide in a process of its own, one to two minutes each; the last prints both counts and
writes benchmarks/results/diagnosis/planted.json. One alone: ``--case one_of_two_modes --seed 0 --out FILE``.
"""

from __future__ import annotations

import json
import math
import runpy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pyro
import pyro.distributions as dist
import torch
from support import MODELS, RESULTS, parser_of, write_json
from torch import Tensor

from amortized import DiffusionGuide, Recipe
from amortized.guide.named import reverse_kl
from amortized.mixtures import gaussian as mixture
from amortized.mixtures.covariance import significant_scale_tril
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.product_reference import ProductReference
from amortized.processes.reference import Reference
from amortized.samplers import PIS, DiffusionSampler
from amortized.training.recipe import on_policy
from amortized.warmup import WarmUp, warm_up
from amortized.weights import Estimate

RESULT = RESULTS / "diagnosis" / "planted.json"
FOLDER = Path("/tmp/planted")
SECONDS = 100.0
UNTRUSTED = "not to be trusted"


def conjugate(y: Tensor) -> None:
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def square(y: Tensor, prior_mean: float = 0.0) -> None:
    """Two modes near ±√y, the negative one with ``1 / (1 + exp(2 √y prior_mean))`` of the mass."""
    z = pyro.sample("z", dist.Normal(prior_mean, 1.0))
    pyro.sample("y", dist.Normal(z.square(), 0.4), obs=y)


PRIOR_SCALE = 1.0


def with_a_global(y: Tensor) -> None:
    mean = pyro.sample("mean", dist.Normal(0.0, PRIOR_SCALE))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


NUMBERS = torch.tensor([0.4, 1.1, 1.9, 0.7])


def of_file(name: str) -> tuple[Callable, tuple]:
    found = runpy.run_path(str(MODELS / f"{name}.py"))
    return found["model"], found["data"]()


def well_trained(model: Callable, args: tuple, seed: int, seconds: float) -> DiffusionGuide:
    return DiffusionGuide(model, seed=seed, max_seconds=seconds, progress=False).fit(*args)


def good(name: str, seed: int, seconds: float) -> DiffusionGuide:
    return well_trained(*of_file(name), seed, seconds)


def good_conjugate(seed: int, seconds: float) -> DiffusionGuide:
    return well_trained(conjugate, (NUMBERS,), seed, seconds)


def good_square(seed: int, seconds: float) -> DiffusionGuide:
    return well_trained(square, (torch.tensor(4.0),), seed, seconds)


def one_of_two_modes(seed: int, seconds: float, prior_mean: float = 0.0) -> DiffusionGuide:
    """All that the guide ever saw, the warm-up, its draws, mixture and evidence, is the positive mode."""
    with mock.patch(
        "amortized.training.preparation.warm_up", partial(restricted_warm_up, inside=lambda x: x[:, 0] > 0)
    ):
        return well_trained(square, (torch.tensor(4.0), prior_mean), seed, seconds)


def restricted_warm_up(target: Any, *, inside: Callable[[Tensor], Tensor], generator: Any, **options: Any) -> WarmUp:
    """A warm-up that does not know what lies outside, and is sure of itself."""
    whole = warm_up(target, draws=4096, generator=generator, **options)
    kept = inside(whole.draws)
    draws, share = whole.draws[kept], float(kept.double().mean())
    return replace(
        whole,
        draws=draws,
        log_prob=whole.log_prob[kept],
        shift=draws.double().mean(0),
        scale_tril=significant_scale_tril(draws),
        mixture=mixture.fit_mixture(draws, generator).mixture,
        product=None,
        log_evidence=Estimate(whole.log_evidence.value + math.log(share), whole.log_evidence.std_error),
        trustworthy=True,
    )


def stopped_after_five_steps(seed: int, seconds: float) -> DiffusionGuide:
    """Brownian motion from a point, without the warm-up's mixture, after five steps of reverse KL."""

    def plain(dim: int, reference: Reference) -> DiffusionSampler:
        return PIS(dim)

    recipe = Recipe(bridge_steps=0, steps=5, objective=reverse_kl, behaviour=on_policy)
    model, args = of_file("two_sensors")
    options = {"seed": seed, "max_seconds": seconds, "progress": False}
    return DiffusionGuide(model, sampler=plain, recipe=recipe, **options).fit(*args)


def too_narrow(seed: int, seconds: float, factor: float = 0.6) -> DiffusionGuide:
    """A trained sampler whose every Gaussian is .6 times as wide."""
    guide = good("eight_schools", seed, seconds)
    reference = guide.sampler.process.reference
    assert isinstance(reference, MixtureReference | ProductReference) and guide.fitted is not None
    reference.log_variances += 2 * math.log(factor)
    guide.fitted.sampler_moved()
    return guide


def data_edited(seed: int, seconds: float) -> DiffusionGuide:
    data = NUMBERS.clone()
    guide = well_trained(conjugate, (data,), seed, seconds)
    data += 1.0
    return guide


def global_edited(seed: int, seconds: float) -> DiffusionGuide:
    global PRIOR_SCALE
    guide = well_trained(with_a_global, (NUMBERS,), seed, seconds)
    PRIOR_SCALE = 3.0
    return guide


PLANTED: dict[str, Callable[[int, float], DiffusionGuide]] = {
    "one_of_two_modes": one_of_two_modes,
    "without_a_rare_mode": partial(one_of_two_modes, prior_mean=0.55),
    "stopped_after_five_steps": stopped_after_five_steps,
    "too_narrow": too_narrow,
    "data_edited": data_edited,
    "global_edited": global_edited,
}
WELL_TRAINED: dict[str, tuple[Callable[[int, float], DiffusionGuide], int]] = {
    "eight_schools": (partial(good, "eight_schools"), 4),
    "two_sensors": (partial(good, "two_sensors"), 4),
    "gaussian_mixture_25": (partial(good, "gaussian_mixture_25"), 4),
    "gaussian_mixture_9": (partial(good, "gaussian_mixture_9"), 2),
    "breast_cancer": (partial(good, "breast_cancer"), 2),
    "conjugate": (good_conjugate, 2),
    "square": (good_square, 2),
}
"""With how many seeds each is fitted: 20 guides."""


def run(case: str, seed: int, seconds: float) -> dict[str, Any]:
    """Fit, diagnose, and what was said."""
    make = PLANTED[case] if case in PLANTED else WELL_TRAINED[case][0]
    guide = make(seed, seconds)
    found = guide.diagnose()
    print(found)
    return {
        "case": case,
        "seed": seed,
        "planted": case in PLANTED,
        "verdict": found.verdict,
        "advice": found.advice,
        "ess_fraction": found.ess_fraction,
        "khat": found.khat,
        "unseen": found.unseen,
        "gap": list(found.bracket.gap),
        "drift": str(found.checks.drift),
        "exploration": str(found.checks.mode_search),
        "target_calls": found.checks.target_calls,
        "seconds": guide.seconds,
    }


def collect(folder: Path) -> None:
    """Both counts, and one file of all results."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    planted = [result for result in results if result["planted"]]
    sound = [result for result in results if not result["planted"]]
    caught = sum(result["verdict"] == UNTRUSTED for result in planted)
    alarms = sum(result["verdict"] == UNTRUSTED for result in sound)
    for result in sorted(results, key=lambda result: (not result["planted"], result["case"], result["seed"])):
        print(f"{result['case']:26}{result['seed']}  {result['verdict']:24}{result['advice'][:110]}")
    print(f"\nplanted failures: {caught} of {len(planted)} not to be trusted")
    print(f"well-trained guides: {alarms} of {len(sound)} not to be trusted")
    counts = {"planted": len(planted), "caught": caught, "well_trained": len(sound), "false_alarms": alarms}
    write_json(RESULT, {**counts, "results": results})


def everything() -> list[tuple[str, int]]:
    """Every case with its seeds."""
    sound = [(case, seed) for case, (_, seeds) in WELL_TRAINED.items() for seed in range(seeds)]
    return [*((case, 0) for case in PLANTED), *sound]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--case", choices=[*PLANTED, *WELL_TRAINED])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit of a fit")
    parser.add_argument("--out", type=Path, help="where to write the result of the one case")
    parser.add_argument("--list", action="store_true", help="print the arguments of every run")
    parser.add_argument("--collect", type=Path, help="count the results in this folder")
    arguments = parser.parse_args()
    if arguments.list:
        for case, seed in everything():
            print(f"--case {case} --seed {seed} --out {FOLDER / f'{case}-{seed}.json'}")
    elif arguments.collect:
        collect(arguments.collect)
    elif arguments.case:
        torch.set_num_threads(1)
        result = run(arguments.case, arguments.seed, arguments.seconds)
        if arguments.out:
            write_json(arguments.out, result)
    else:
        parser.error("write --case NAME, --list or --collect FOLDER")


if __name__ == "__main__":
    main()
