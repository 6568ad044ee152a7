"""Numbers with their uncertainty: over repeated runs, between methods, and of counted shares.

All are 95 % intervals unless told otherwise. Runs are few, so means have Student's t; a bootstrap of three or five
values would be too narrow.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats


def mean_interval(values, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of repeated runs and its Student-t interval: (mean, low, high). Needs two runs at least."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values of shape {values.shape}: an interval needs at least two runs")
    mean = values.mean()
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(mean), float(mean - half), float(mean + half)


def paired_interval(a: Mapping, b: Mapping, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of a - b over the pairs that share a key, and its Student-t interval: (mean, low, high).

    a, b: value of each run under what makes two runs a pair, here (seed, split). What split, networks and noise do to
    both runs of a pair drops out of the difference. A run without a partner is left out; two pairs are needed.
    """
    pairs = sorted(a.keys() & b.keys())
    if len(pairs) < 2:
        raise ValueError(
            f"{len(pairs)} pairs among {sorted(a)} and {sorted(b)}: an interval needs at least two"
        )
    return mean_interval([a[pair] - b[pair] for pair in pairs], confidence)


def share_interval(count: int, n: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """The share count / n and Wilson's binomial interval: (share, low, high)."""
    interval = stats.binomtest(int(count), int(n)).proportion_ci(confidence, "wilson")
    return count / n, float(interval.low), float(interval.high)


def share_intervals(groups: np.ndarray, n_groups: int, confidence: float = 0.95) -> np.ndarray:
    """Wilson's binomial interval of each group's share among labels (N,): (G, 2)."""
    counts = np.bincount(groups, minlength=n_groups)
    return np.asarray([share_interval(count, len(groups), confidence)[1:] for count in counts])


def as_text(cell: dict[str, float | None]) -> str:
    """A mean with its interval: "0.52 (0.48 to 0.56)", without brackets where there was one run."""
    interval = "" if cell["low"] is None else f" ({cell['low']:.3g} to {cell['high']:.3g})"
    return f"{cell['mean']:.3g}{interval}"
