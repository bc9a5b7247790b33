"""Embeddings: how time, and the data that a posterior depends on, enter a network."""

from amortized.policies.embeddings.convolutional import Convolutional
from amortized.policies.embeddings.deep_sets import DeepSets
from amortized.policies.embeddings.perceptron import Perceptron
from amortized.policies.embeddings.time import CosineTime

__all__ = ["Convolutional", "CosineTime", "DeepSets", "Perceptron"]
