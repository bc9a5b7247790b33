"""The model as functions of one particle."""

import torch

from tests.targets.programs import DATA
from tests.targets.pyro.test_batching import program


def test_terms_name_every_site():
    model = program("eight_schools_centred")
    terms = model.terms(torch.zeros(6))
    assert {"mu", "tau", "theta", "y"} <= terms.keys()
    _, log_dets = model.unpack(torch.zeros(6))
    total = sum(terms.values()) + sum(log_dets.values())
    torch.testing.assert_close(total, model.log_prob(torch.zeros(6)))


def test_pieces_are_cuts_of_x():
    model = program("eight_schools_centred")
    x = torch.randn(6)
    pieces = {name: x[site.slice] for name, site in model.structure.latents.items()}
    assert model.log_prob_of_pieces(pieces) == model.log_prob(x)


def test_sites_and_pointwise():
    model = program("deterministic")
    x = torch.tensor([0.5, 0.0])
    sites = model.sites(x)
    assert sites["doubled"].tolist() == [1.0] * 4 and sites["scale"] == 1.0
    pointwise = model.pointwise(x)["y"]
    torch.testing.assert_close(pointwise, torch.distributions.Normal(1.0, 1.0).log_prob(DATA))
    assert model.unconstrain({name: sites[name] for name in ("mu", "log_scale")}).equal(x)
