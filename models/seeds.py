"""How many seeds of two kinds germinate on two root extracts? A logistic regression with an effect for each plate.

    tau ~ Gamma(0.01, 0.01),  a_0, a_1, a_2, a_12 ~ N(0, 10),  b_i ~ N(0, 1 / sqrt(tau)),  i = 1..21
    germinated_i ~ Binomial(sown_i, logits = a_0 + a_1 kind_i + a_2 extract_i + a_12 kind_i extract_i + b_i)

The prior of the precision tau has mean 1 and is nearly flat in log tau. As tau grows, the plates' effects shrink to
zero. The posterior is a funnel with a long neck.
"""

import pyro
import pyro.distributions as dist
import torch

REFERENCE = (
    "Crowder (1978), Beta-binomial anova for proportions, Applied Statistics 27(1), table 3; BUGS examples, volume 1; "
    "priors as in Geffner and Domke (2021), arXiv 2107.04150"
)

# Effects of the plates by quadrature, a million Student-t importance draws of the other five: benchmarks/truths.py
LOG_EVIDENCE = (-73.4060, 0.0006)
SCALE = 1.0


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Kind of seed (0 or 1), root extract (0 or 1), seeds sown, seeds germinated: each ``(21,)``, one value a plate."""
    kind = torch.tensor([0.0] * 11 + [1.0] * 10)
    extract = torch.tensor([0.0] * 5 + [1.0] * 6 + [0.0] * 5 + [1.0] * 5)
    sown = [39, 62, 81, 51, 39, 6, 74, 72, 51, 79, 13, 16, 30, 28, 45, 4, 12, 41, 30, 51, 7]
    germinated = [10, 23, 23, 26, 17, 5, 53, 55, 32, 46, 10, 8, 10, 8, 23, 0, 3, 22, 15, 32, 3]
    return kind, extract, torch.tensor(sown).float(), torch.tensor(germinated).float()


def model(kind: torch.Tensor, extract: torch.Tensor, sown: torch.Tensor, germinated: torch.Tensor) -> None:
    tau = pyro.sample("tau", dist.Gamma(0.01, 0.01))
    a_0, a_1, a_2, a_12 = (pyro.sample(name, dist.Normal(0.0, 10.0)) for name in ("a_0", "a_1", "a_2", "a_12"))
    with pyro.plate("plate", len(sown)):
        b = pyro.sample("b", dist.Normal(0.0, tau.rsqrt()))
        logits = a_0 + a_1 * kind + a_2 * extract + a_12 * kind * extract + b
        pyro.sample("germinated", dist.Binomial(sown, logits=logits), obs=germinated)
