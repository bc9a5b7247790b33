"""The truth of the modellers' posteriors, by quadrature where possible, else by long chains of another sampler.

    python3 -m venv ENV && ENV/bin/pip install -e . numpyro 'jax[cpu]'
    ENV/bin/python benchmarks/modellers_truth.py                       # all, about an hour on one core
    ENV/bin/python benchmarks/modellers_truth.py --only seeds

Writes ``benchmarks/results/modellers/truth/NAME.json``: mean, sd, 5 and 95 % quantiles of every coordinate of every
site, in the model's own space. A site with ``"transform": "log"`` or ``"asinh"`` has a variance that is infinite or
that few draws decide. Its figures are those of the transformed site.

Six models are Gaussian given one to three hyperparameters: `modellers_exact.py`. The regression with 100,000 rows is
almost Gaussian: `modellers_weighted.py`. The others run numpyro's NUTS in
float64 (`modellers_sampled.py`). The numpyro density is compared with Pyro's at posterior draws. Their log evidence is
by bridge sampling (Meng and Wong 1996): each chain beside a Gaussian that was fitted to the other chains. Its error is
from the spread over chains. numpyro and jax are no dependencies of this project: they need an environment of their own.
"""

from __future__ import annotations

import json
import runpy
import time
from collections.abc import Callable
from typing import Any

import modellers_weighted
import numpy as np
from modellers_cases import CASES, TRUTH
from modellers_exact import EXACT, QUANTILES, log_normal_density, of_mixture, solve
from support import MODELS, parser_of

from amortized.benchmark.records import write_whole

TRANSFORM = {
    ("funnel", "x"): "asinh",
    ("rosenbrock", "x"): "asinh",
    ("seeds", "tau"): "log",
    ("horseshoe", "tau"): "log",
    ("horseshoe", "lambda"): "log",
    ("horseshoe_regularized", "tau"): "log",
    ("horseshoe_regularized", "lambda"): "log",
    ("horseshoe_regularized", "slab"): "log",
}
"""Sites whose own variance is infinite, or decided by few draws."""
FUNCTIONS: dict[str, Callable] = {"none": lambda x: x, "log": np.log, "asinh": np.arcsinh}
LOG_EVIDENCE_OF = {"seeds": (-73.4060, 0.0006)}
"""By quadrature and a million importance draws (`truths.py`); the bridge gave -73.4035 ± 0.0062."""
CHAINS, WARMUP, DRAWS = 8, 1_000, 2_000
DIGITS = 5
SAME_DENSITY = 1e-8
"""Largest relative difference of the two densities: both are in float64."""


def funnel() -> dict[str, Any]:
    """The prior itself: x is Gaussian given log_variance, so that asinh(x) takes a quadrature of two dimensions."""
    axis = np.linspace(-8.0, 8.0, 1_601)
    weights = np.exp(log_normal_density(axis, 0.0, 1.0))
    weights /= weights.sum()
    std = np.exp(1.5 * axis)
    kept = np.abs(axis) < 7.5
    square = sum(weight * (weights @ np.arcsinh(scale * axis) ** 2) for weight, scale in zip(weights, std, strict=True))
    x = of_mixture(weights[kept], np.zeros((kept.sum(), 1)), std[kept][:, None])
    nine = {
        "mean": 0.0,
        "sd": np.sqrt(square),
        "q05": float(np.arcsinh(x["q05"][0])),
        "q95": float(np.arcsinh(x["q95"][0])),
    }
    log_variance = {"mean": 0.0, "sd": 3.0, "q05": -3 * 1.6448536, "q95": 3 * 1.6448536}
    sites = {
        "log_variance": {key: np.array([value]) for key, value in log_variance.items()},
        "x": {key: np.full(9, value) for key, value in nine.items()},
    }
    return {"log_evidence": [0.0, 0.0], "sites": sites}


def rosenbrock(count: int = 4_000_000) -> dict[str, Any]:
    """Exact draws: each coordinate is Gaussian given the one before it. Their error is a thousandth of an sd."""
    import torch

    content = runpy.run_path(str(MODELS / "rosenbrock.py"))
    torch.manual_seed(0)
    draws = np.arcsinh(content["sample"](count)["x"].double().numpy())
    return {"log_evidence": content["LOG_EVIDENCE"], "sites": {"x": moments(draws)}}


def moments(draws: np.ndarray) -> dict[str, np.ndarray]:
    flat = draws.reshape(len(draws), -1)
    levels = np.quantile(flat, list(QUANTILES.values()), axis=0)
    return {"mean": flat.mean(0), "sd": flat.std(0), **dict(zip(QUANTILES, levels, strict=True))}


def pyro_log_joint(name: str, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Log joint density under Pyro's own trace, in float64, at draws ``{site: (N, *event)}``."""
    import torch
    from pyro import poutine

    case = CASES[name]
    arguments = [value.double() if value.is_floating_point() else value for value in case.arguments]
    torch.set_default_dtype(torch.float64)
    values = []
    for index in range(len(next(iter(draws.values())))):
        fixed = {site: torch.tensor(value[index]) for site, value in draws.items()}
        with poutine.block():
            trace = poutine.trace(poutine.condition(case.model, data=fixed)).get_trace(*arguments)
        values.append(trace.log_prob_sum().item())
    torch.set_default_dtype(torch.float32)
    return np.array(values)


def sampled(name: str, seed: int = 0) -> dict[str, Any]:
    """Moments from long chains; the density compared with Pyro's; log Z by bridge sampling."""
    import jax
    import jax.numpy as jnp
    import modellers_sampled
    import numpyro
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
    from numpyro.infer.util import initialize_model

    jax.config.update("jax_enable_x64", True)
    numpyro.enable_x64()
    arguments = [jnp.asarray(tensor.double().numpy()) for tensor in CASES[name].arguments]
    model = modellers_sampled.SAMPLED.get(name, modellers_sampled.MODELS[name])
    key = jax.random.PRNGKey(seed)
    info = initialize_model(key, model, model_args=arguments, dynamic_args=False)
    raw, divergences = chains_of(info, key)
    sites = jax.vmap(jax.vmap(info.postprocess_fn))(raw)
    if name.startswith("horseshoe"):
        sites["coefficient"] = coefficients(key, sites, arguments, name.endswith("regularized"))
    known = pyro_sites(name)
    by_site = {site: np.asarray(value) for site, value in sites.items() if site in known}
    difference = difference_from_pyro(name, arguments, {site: by_site[site] for site in known if known[site]})
    rhat = max(float(np.nanmax(split_gelman_rubin(value))) for value in by_site.values())
    ess = min(float(np.nanmin(effective_sample_size(value))) for value in by_site.values())
    flat, unflatten = flattened(raw)
    chains, draws, _ = flat.shape
    return {
        "how": f"numpyro NUTS in float64, {chains} chains of {draws} draws: split R-hat {rhat:.4f}, "
        f"smallest ESS {ess:.0f}, {divergences} divergences; density as Pyro's to {difference:.0e} of its size; "
        "log evidence by bridge sampling",
        "log_evidence": bridge(flat, jax.jit(jax.vmap(lambda point: -info.potential_fn(unflatten(point)))), seed),
        "sites": {
            site: moments(FUNCTIONS[TRANSFORM.get((name, site), "none")](value.reshape(-1, *value.shape[2:])))
            for site, value in by_site.items()
        },
    }


def chains_of(info: Any, key: Any) -> tuple[dict[str, Any], int]:
    """Unconstrained draws ``{site: (chains, draws, *event)}`` of NUTS from dispersed starts; divergences."""
    import jax
    from numpyro.infer import MCMC, NUTS

    mcmc = MCMC(
        NUTS(potential_fn=info.potential_fn, target_accept_prob=0.9),
        num_warmup=WARMUP,
        num_samples=DRAWS,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    starts = jax.tree.map(lambda value: value + 0.3 * jax.random.normal(key, (CHAINS, *value.shape)), info.param_info.z)
    mcmc.run(key, init_params=starts, extra_fields=("diverging",))
    return mcmc.get_samples(group_by_chain=True), int(mcmc.get_extra_fields()["diverging"].sum())


def coefficients(key: Any, sites: dict[str, Any], arguments: list, regularized: bool) -> Any:
    """Exact draws of the horseshoe's coefficients, which the chains have integrated out."""
    import jax
    import modellers_sampled

    def one(key, draw):
        return modellers_sampled.horseshoe_coefficients(key, draw, *arguments, regularized)

    shape = sites["noise"].shape
    keys = jax.random.split(key, shape[0] * shape[1]).reshape(*shape, -1)
    return jax.vmap(jax.vmap(one))(keys, sites)


def difference_from_pyro(name: str, arguments: list, latents: dict[str, np.ndarray]) -> float:
    """Largest difference of the two log joint densities at twelve draws, over the density's size.

    Raises:
        ValueError: It is more than rounding.
    """
    import jax.numpy as jnp
    import modellers_sampled
    from numpyro.infer.util import log_density

    few = {site: value[:, ::1_000].reshape(-1, *value.shape[2:])[:12] for site, value in latents.items()}
    theirs = pyro_log_joint(name, few)
    model = modellers_sampled.MODELS[name]
    ours = [
        float(log_density(model, arguments, {}, {site: jnp.asarray(value[index]) for site, value in few.items()})[0])
        for index in range(len(theirs))
    ]
    difference = float(np.abs(np.array(ours) - theirs).max() / np.abs(theirs).max())
    if not difference < SAME_DENSITY:
        raise ValueError(f"{name}: the density of numpyro differs from Pyro's by {difference:.1e} of its size")
    return difference


def pyro_sites(name: str) -> dict[str, bool]:
    """Every latent and deterministic site of the Pyro model, and whether it is a latent."""
    from pyro import poutine

    case = CASES[name]
    nodes = poutine.trace(case.model).get_trace(*case.arguments).nodes
    return {
        site: not node["infer"].get("_deterministic")
        for site, node in nodes.items()
        if node["type"] == "sample"
        and type(node["fn"]).__name__ != "_Subsample"
        and (not node["is_observed"] or node["infer"].get("_deterministic"))
    }


def flattened(raw: dict) -> tuple[np.ndarray, Callable]:
    """Unconstrained draws ``(chains, draws, D)``, and the way back for one of them."""
    import jax
    from jax.flatten_util import ravel_pytree

    first = jax.tree.map(lambda value: value[0, 0], raw)
    unflatten = ravel_pytree(first)[1]
    return np.asarray(jax.vmap(jax.vmap(lambda tree: ravel_pytree(tree)[0]))(raw)), unflatten


def bridge(flat: np.ndarray, log_prob: Callable, seed: int) -> list[float]:
    """log Z and its std error: one bridge estimate a chain, beside the Gaussian of all other chains."""
    rng, values = np.random.default_rng(seed), []
    for index, chain in enumerate(flat):
        others = np.delete(flat, index, axis=0).reshape(-1, flat.shape[-1])
        mean, factor = others.mean(0), np.linalg.cholesky(np.cov(others.T))
        constant = -np.log(factor.diagonal()).sum() - 0.5 * len(mean) * np.log(2 * np.pi)
        normal = rng.standard_normal(chain.shape)
        proposed = mean + normal @ factor.T
        ours = np.linalg.solve(factor, (chain - mean).T).T
        from_posterior = batched(log_prob, chain) - (constant - 0.5 * (ours**2).sum(-1))
        from_proposal = batched(log_prob, proposed) - (constant - 0.5 * (normal**2).sum(-1))
        values.append(meng_wong(from_posterior, np.nan_to_num(from_proposal, nan=-np.inf)))
    return [float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))]


def batched(log_prob: Callable, points: np.ndarray, size: int = 250) -> np.ndarray:
    return np.concatenate([np.asarray(log_prob(points[start : start + size])) for start in range(0, len(points), size)])


def meng_wong(from_posterior: np.ndarray, from_proposal: np.ndarray) -> float:
    """The fixed point of equation 4.1 of Meng and Wong (1996), for as many draws of either."""
    log_z = np.median(from_posterior)
    for _ in range(1_000):
        upper = np.logaddexp.reduce(from_proposal - np.logaddexp(from_proposal, log_z))
        lower = np.logaddexp.reduce(-np.logaddexp(from_posterior, log_z))
        before, log_z = log_z, upper - lower
        if abs(log_z - before) < 1e-8:
            break
    return float(log_z)


def rounded(value: np.ndarray) -> list[float]:
    return [float(f"{number:.{DIGITS}g}") for number in value]


def truth(name: str) -> dict[str, Any]:
    if name == "funnel":
        found = {"how": "the prior itself, asinh(x) by quadrature", **funnel()}
    elif name == "rosenbrock":
        found = {"how": "four million exact draws, asinh(x)", **rosenbrock()}
    elif name == "tall_logistic":
        found = modellers_weighted.solve()
    elif name in EXACT:
        dimensions = len(EXACT[name]().hyper)
        found = {"how": f"Gaussian given {dimensions} hyperparameters, these by quadrature", **solve(EXACT[name]())}
    else:
        found = sampled(name)
    sites = {
        site: {"transform": TRANSFORM.get((name, site), "none"), **{key: rounded(value) for key, value in of.items()}}
        for site, of in found["sites"].items()
    }
    value, error = LOG_EVIDENCE_OF.get(name, found["log_evidence"])
    return {"how": found["how"], "log_evidence": [round(value, 5), round(error, 5)], "sites": sites}


def as_text(content: dict[str, Any]) -> str:
    """JSON with a line for each site."""
    lines = [f"  {json.dumps(site)}: {json.dumps(of)}" for site, of in content["sites"].items()]
    first = {name: value for name, value in content.items() if name != "sites"}
    return json.dumps(first, indent=1)[:-2] + ',\n "sites": {\n' + ",\n".join(lines) + "\n }\n}\n"


def main() -> None:
    parser = parser_of(__doc__)
    names = [name for name, case in CASES.items() if not case.truth]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    for name in parser.parse_args().only:
        began = time.perf_counter()
        content = truth(name)
        write_whole(TRUTH / f"{name}.json", as_text(content))
        print(
            f"{name}: log Z {content['log_evidence']}, {time.perf_counter() - began:.0f} s; {content['how']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
