"""Amortization: one sampler for the posteriors of every data set."""

from amortized.amortization.family import Family
from amortized.amortization.prepare import Amortized, prepare_family
from amortized.amortization.training import for_contexts, train_family

__all__ = ["Amortized", "Family", "for_contexts", "prepare_family", "train_family"]
