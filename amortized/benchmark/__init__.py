"""The benchmark: every method on every target at an equal budget, beside the truth, the noise floors and the cost."""
