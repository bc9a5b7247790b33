"""The classifier two-sample test as sbibm defines it."""

from __future__ import annotations

import numpy as np

FOLDS, WIDTH = 5, 10
"""Of the cross-validation; neurons a dimension in each of two hidden layers."""


def c2st(reference: np.ndarray, draws: np.ndarray, seed: int = 1) -> float:
    """Accuracy of a classifier that tells draws from reference draws: .5 is perfect, 1 is apart.

    Its std error is near ``.5 / √(2 N)`` where the laws agree: .0035 at 10,000 draws.

    Args:
        reference: ``(N, D)``; its mean and std standardize both.
        draws: ``(N, D)``.
        seed: Of the folds and the classifier.

    Raises:
        ValueError: A draw is not finite.
    """
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    both = (np.concatenate([reference, draws]) - reference.mean(0)) / reference.std(0, ddof=1)
    if not np.isfinite(both).all():
        raise ValueError("draws: some are not finite; look at them with numpy.isfinite(draws)")
    labels = np.repeat([0, 1], [len(reference), len(draws)])
    width = WIDTH * reference.shape[1]
    classifier = MLPClassifier(hidden_layer_sizes=(width, width), max_iter=10_000, random_state=seed)
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    return float(cross_val_score(classifier, both, labels, cv=folds, scoring="accuracy").mean())
