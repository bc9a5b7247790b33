"""Random Pyro programs: density, gradient, sites and round trip of the target against plain traces."""

import pyro.distributions as dist
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from pyro.distributions import constraints

from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import ModelError
from tests.targets.fuzz.compare import Mismatch, compare
from tests.targets.fuzz.program import HEADER, Program, programs
from tests.targets.fuzz.reference import Reference
from tests.targets.fuzz.transforms import explicit

GENERATED = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=10, derandomize=True, phases=[Phase.generate], **GENERATED)
@given(programs())
def test_a_few_random_programs(program):
    compare(program)


@pytest.mark.slow
@settings(max_examples=2000, phases=[Phase.generate, Phase.shrink], print_blob=True, **GENERATED)
@given(programs())
def test_random_programs(program):
    compare(program)


def program_of(body: str) -> Program:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return Program(f"{HEADER}\n\ndef model():\n{lines}\n\n\nargs = ()\nkwargs = {{}}\n", "double")


def reference_of(body: str) -> Reference:
    names = {}
    exec(program_of(body).source, names)
    return Reference(names["model"], (), {})


# The yardstick itself, against densities by hand


def test_a_dependent_support(in_double_precision):
    reference = reference_of("""
top = pyro.sample("top", dist.Gamma(2.0, 1.0))
x = pyro.sample("x", dist.Uniform(0.0, top))
""")
    x = torch.tensor([0.3, -0.7])
    top, share = x[0].exp(), x[1].sigmoid()
    want = dist.Gamma(2.0, 1.0).log_prob(top) - top.log() + x[0] + (top * share * (1 - share)).log()
    torch.testing.assert_close(reference.log_prob(x), want)


def test_a_mixture_in_a_plate_with_a_mask_and_a_scale(in_double_precision):
    reference = reference_of("""
loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
with pyro.plate("rows", 3), poutine.scale(scale=0.5), poutine.mask(mask=torch.tensor([True, False, True])):
    z = pyro.sample("z", dist.Bernoulli(0.3))
    pyro.sample("y", dist.Normal(loc + z, 1.0), obs=torch.tensor([0.2, 0.4, 1.5]))
""")
    loc, y = torch.tensor(0.6), torch.tensor([0.2, 1.5])
    rows = torch.logaddexp(
        torch.tensor(0.7).log() + dist.Normal(loc, 1.0).log_prob(y),
        torch.tensor(0.3).log() + dist.Normal(loc + 1, 1.0).log_prob(y),
    )
    want = dist.Normal(0.0, 1.0).log_prob(loc) + 0.5 * rows.sum()
    torch.testing.assert_close(reference.log_prob(loc[None]), want)


def test_missing_data(in_double_precision):
    reference = reference_of("""
known = torch.tensor([True, False, True])
with pyro.plate("rows", 3):
    x = pyro.sample("x", dist.Exponential(2.0), obs=torch.tensor([0.5, 1.0, 2.0]), obs_mask=known)
    pyro.sample("y", dist.Normal(x, 1.0), obs=torch.tensor([0.2, 0.4, 1.5]))
""")
    assert reference.dim == 1
    x = torch.tensor([0.5, 0.7, 2.0])
    want = dist.Exponential(2.0).log_prob(x).sum() + x[1].log()
    want = want + dist.Normal(x, 1.0).log_prob(torch.tensor([0.2, 0.4, 1.5])).sum()
    torch.testing.assert_close(reference.log_prob(x[1:2].log()), want)


@pytest.mark.parametrize(
    "support", [constraints.lower_cholesky, constraints.unit_lower_cholesky, constraints.positive_definite]
)
def test_explicit_matrices(support, in_double_precision):
    """The determinant is that of the Jacobian of the matrix's free elements."""
    transform = explicit(support)
    size = transform.inverse_shape(torch.Size((3, 3)))[0]
    rows, columns = torch.tril_indices(3, 3, offset=-1 if size == 3 else 0)
    x = torch.randn(size)
    matrix, log_det = transform(x)
    assert support.check(matrix)
    jacobian = torch.autograd.functional.jacobian(lambda x: transform(x)[0][rows, columns], x)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobian)[1])


# The comparison notices each kind of fault


def _shifted(method, by):
    return lambda target, *arguments: by(method(target, *arguments))


FAULTS = {
    "density": ("_log_prob", lambda value: value + 1e-3),
    "gradient": ("_log_prob_and_score", lambda pair: (pair[0], 1.001 * pair[1])),
    "batch": ("_log_prob", lambda value: value + 1e-3 * (len(value) > 5)),
    "sites": ("constrain", lambda sites: {name: value + 1e-3 for name, value in sites.items()}),
    "round trip": ("unconstrain", lambda x: x + 1e-3),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_a_mismatch(kind, monkeypatch):
    program = program_of('x = pyro.sample("x", dist.Gamma(2.0, 1.0))')
    assert compare(program) == "vmap (captured)"
    name, by = FAULTS[kind]
    monkeypatch.setattr(PyroTarget, name, _shifted(getattr(PyroTarget, name), by))
    with pytest.raises(Mismatch, match=rf"^{kind} \[plain\]"):
        compare(program)


def test_what_a_plain_trace_runs_may_not_be_refused(monkeypatch):
    def refuse(self, *arguments):
        raise ModelError("no")

    monkeypatch.setattr(PyroTarget, "__init__", refuse)
    with pytest.raises(Mismatch, match=r"(?s)^PyroTarget raises ModelError.* no\n.*\ndef model\(\):"):
        compare(program_of('x = pyro.sample("x", dist.Normal(0.0, 1.0))'))
