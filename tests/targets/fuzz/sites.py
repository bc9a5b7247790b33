"""Distributions of continuous latents and of data, as text: one line for each, with the kind of value that it has."""

from __future__ import annotations

from tests.targets.fuzz.writer import Writer

R, P, U = "real", "positive", "unit"

# distribution, kinds of its arguments in order, kind of its value
SCALARS: list[tuple[str, tuple[str, ...], str]] = [
    ("dist.Normal({}, {})", (R, P), R),
    ("dist.StudentT(3.0, {}, {})", (R, P), R),
    ("dist.Laplace({}, {})", (R, P), R),
    ("dist.Cauchy({}, {})", (R, P), R),
    ("dist.Logistic({}, {})", (R, P), R),
    ("dist.Gumbel({}, {})", (R, P), R),
    ("dist.VonMises({}, {})", (R, P), R),
    ("dist.SoftLaplace({}, {})", (R, P), R),
    ("dist.AsymmetricLaplace({}, {}, {})", (R, P, P), R),
    ("dist.Gamma({}, {})", (P, P), P),
    ("dist.InverseGamma({}, {})", (P, P), P),
    ("dist.Exponential({})", (P,), P),
    ("dist.HalfNormal({})", (P,), P),
    ("dist.HalfCauchy({})", (P,), P),
    ("dist.LogNormal({}, {})", (R, P), P),
    ("dist.Weibull({}, {})", (P, P), P),
    ("dist.Chi2({})", (P,), P),
    ("dist.Pareto({}, {})", ("own positive", P), P),
    ("dist.Beta({}, {})", (P, P), U),
    ("dist.Kumaraswamy({}, {})", (P, P), U),
    ("dist.Uniform(-2.0, 3.0)", (), R),
    ("dist.Uniform(0.0, 1.0)", (), U),
    ("dist.Uniform(0.0, {})", ("own positive",), P),
    ("dist.Uniform({0}, {0} + {1})", ("own real", "own positive"), R),
    ("dist.TransformedDistribution(dist.Normal({}, {}), [T.AffineTransform(0.5, 2.0)])", (R, P), R),
    ("dist.TransformedDistribution(dist.Normal({}, {}), [T.ExpTransform()])", (R, P), P),
    ("dist.TransformedDistribution(dist.Normal({}, {}), [T.SigmoidTransform()])", (R, P), U),
    ("dist.TransformedDistribution(dist.Normal({}, {}), [T.SoftplusTransform()])", (R, P), P),
    ("dist.ImproperUniform(C.real, (), ())", (), R),
    ("dist.ImproperUniform(C.positive, (), ())", (), P),
    ("dist.ImproperUniform(C.unit_interval, (), ())", (), U),
    ("dist.ImproperUniform(C.interval(-1.0, 2.0), (), ())", (), R),
    ("dist.ImproperUniform(C.less_than(1.0), (), ())", (), R),
    ("dist.ImproperUniform(C.greater_than({}), (), ())", ("flat positive",), P),
]

# distribution, kinds of its arguments, and (text of a scalar made of the value {}, its kind)
VECTORS: list[tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]] = [
    ("dist.Dirichlet(torch.tensor([1.0, 2.0, 0.5]))", (), (("{}[..., 1]", U),)),
    ("dist.Dirichlet({} * torch.ones(3))", ("flat positive",), (("{}[..., 0]", U),)),
    (
        "dist.MultivariateNormal(torch.zeros(2), scale_tril=torch.tensor([[1.0, 0.0], [0.5, 2.0]]))",
        (),
        (("{}[..., 0]", R), ("{}.sum(-1)", R)),
    ),
    (
        "dist.MultivariateNormal(torch.ones(2), covariance_matrix={} * torch.eye(2))",
        ("flat positive",),
        (("{}[..., 1]", R),),
    ),
    ("dist.MultivariateStudentT(5.0, torch.zeros(2), torch.eye(2))", (), (("{}[..., 1]", R),)),
    ("dist.LKJCholesky(3, {})", ("flat positive",), (("{}[..., 1, 0]", R),)),
    ("dist.LKJ(3, torch.tensor(1.5))", (), (("{}[..., 1, 0]", R),)),
    ("dist.Wishart(torch.tensor(4.0), torch.eye(2))", (), (("{}[..., 0, 0]", P), ("{}[..., 1, 0]", R))),
    (
        "dist.TransformedDistribution(dist.Normal({}, {}).expand([3]), [T.OrderedTransform()])",
        ("flat real", "flat positive"),
        (("{}[..., 0]", R), ("({0}[..., 2] - {0}[..., 0])", P)),
    ),
    ("dist.Normal({}, {}).expand([3]).to_event(1)", ("flat real", "flat positive"), (("{}.sum(-1)", R),)),
    ("dist.LogNormal(torch.zeros(2, 2), 0.5).to_event(2)", (), (("{}[..., 0, 1]", P),)),
    (
        "dist.ExpandedDistribution(dist.Gamma({}, {}), [2]).to_event(1)",
        ("flat positive", "flat positive"),
        (("{}.prod(-1)", P),),
    ),
    ("dist.ImproperUniform(C.ordered_vector, (), (3,))", (), (("{}[..., 1]", R),)),
    ("dist.ImproperUniform(C.positive_ordered_vector, (), (2,))", (), (("{}[..., 0]", P),)),
    ("dist.ImproperUniform(C.positive_definite, (), (2, 2))", (), (("{}[..., 1, 1]", P),)),
    ("dist.ImproperUniform(C.lower_cholesky, (), (2, 2))", (), (("{}[..., 1, 0]", R), ("{}[..., 0, 0]", P))),
    ("dist.ImproperUniform(C.unit_lower_cholesky, (), (3, 3))", (), (("{}[..., 2, 1]", R),)),
    ("dist.ImproperUniform(C.corr_cholesky, (), (2, 2))", (), (("{}[..., 1, 0]", R),)),
    ("dist.ImproperUniform(C.simplex, (), (3,))", (), (("{}[..., 2]", U),)),
    ("dist.ImproperUniform(C.real, (), (2,))", (), (("{}[..., 0]", R),)),
    ("dist.ImproperUniform(C.positive, (), (2,))", (), (("{}[..., 0]", P),)),
]

# distribution of data, kinds of its arguments, kind of its data
LIKELIHOODS: list[tuple[str, tuple[str, ...], str]] = [
    ("dist.Normal({}, {})", (R, P), R),
    ("dist.StudentT(4.0, {}, {})", (R, P), R),
    ("dist.Cauchy({}, {})", (R, P), R),
    ("dist.Gamma({}, {})", (P, P), P),
    ("dist.Exponential({})", (P,), P),
    ("dist.LogNormal({}, {})", (R, P), P),
    ("dist.Beta({}, {})", (P, P), U),
    ("dist.Poisson({})", (P,), "count"),
    ("dist.Bernoulli({})", (U,), "bit"),
    ("dist.Bernoulli(logits={})", (R,), "bit"),
    ("dist.Binomial(4, {})", (U,), "count"),
    ("dist.ZeroInflatedPoisson({}, gate=torch.as_tensor({}))", (P, U), "count"),
    ("dist.GammaPoisson({}, {})", (P, P), "count"),
    ("dist.NegativeBinomial({}, {})", (P, U), "count"),
    ("dist.Geometric({})", (U,), "count"),
]


def fill(writer: Writer, text: str, kinds: tuple[str, ...]) -> str:
    """``text`` with an expression of each kind in its places.

    "flat": of variables that vary over no plate; "own": of none that belongs to a discrete latent.
    """
    parts = []
    for kind in kinds:
        scope, _, kind = kind.rpartition(" ")
        hidden = writer.variables
        if scope:
            writer.variables = [v for v in hidden if not v.state and not (scope == "flat" and v.plates)]
        part = writer.expression(kind)
        writer.variables = hidden
        parts.append(f"({part})" if part.startswith("-") else part)
    return text.format(*parts)
