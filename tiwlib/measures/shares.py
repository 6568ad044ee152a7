"""Shares of groups, and how far they are from the shares that are wanted."""

import itertools

import numpy as np


def shares(groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Share of each group among labels (N,): float (G,), sums to one."""
    return np.bincount(groups, minlength=n_groups) / len(groups)


def total_variation(shares: np.ndarray, target: np.ndarray) -> float:
    """Half the sum of absolute differences, in [0, 1]."""
    return float(np.abs(shares - target).sum() / 2)


def fairness_discrepancy(shares: np.ndarray, target: np.ndarray) -> float:
    """Euclidean distance of the shares to the target shares, in [0, sqrt 2]."""
    return float(np.linalg.norm(shares - target))


def pairwise_bias(shares: np.ndarray) -> float:
    """Mean over pairs of groups of the difference of their shares, in [0, 1]: 0 is fair, here to equal shares."""
    return float(np.mean([abs(a - b) for a, b in itertools.combinations(shares, 2)]))
