"""Searches: how a local search finds ends in the target's space."""

from amortized.behaviours.searches.annealed import AnnealedSearch
from amortized.behaviours.searches.base import Found, Search
from amortized.behaviours.searches.hmc import HMCSearch
from amortized.behaviours.searches.mala import MALASearch

__all__ = ["AnnealedSearch", "Found", "HMCSearch", "MALASearch", "Search"]
