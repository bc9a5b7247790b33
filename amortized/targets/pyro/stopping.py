"""A run of a model that ends at its last latent site: what a simulator does after it is spared."""

from __future__ import annotations

from amortized.targets.pyro.trace import Message, Placing


class Complete(Exception):
    """Every latent site has its value."""


class Stopping(Placing):
    """Places the latents as ``Placing`` does, and raises ``Complete`` once the last one has its value."""

    def _pyro_sample(self, message: Message) -> None:
        super()._pyro_sample(message)
        if len(self.values) == len(self.latents):
            raise Complete
