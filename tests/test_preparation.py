"""What is prepared is of the density that is sampled from, also where the warm-up found that to be another one."""

import torch

from amortized.preparation import prepare
from amortized.targets.density import DensityTarget


class Mended(DensityTarget):
    """N(0, 1) until it is looked at again, N(3, 1) from then on."""

    def __init__(self):
        self.mean, self.looked = 0.0, 0
        super().__init__(lambda x: -0.5 * (x - self.mean).square().sum(-1), 1)

    def recheck(self, x):
        changed, self.mean = self.mean == 0.0, 3.0
        self.looked += 1
        return not changed


def test_a_density_that_was_mended_is_warmed_up_again():
    target = Mended()
    made = prepare(target, None, False, torch.Generator().manual_seed(0), 0, max_seconds=20.0, max_calls=3_000)
    assert target.looked == 2
    assert abs(float(made.warm.draws.mean()) - 3.0) < 0.2  # 2,048 draws, some alike: over four of their errors
    torch.testing.assert_close(made.log_ends, made.white.log_prob(made.ends), rtol=1e-4, atol=1e-4)
