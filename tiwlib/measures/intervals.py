"""Numbers with their uncertainty: over repeated runs, between methods, and of counted shares.

All are 95 % intervals. Runs are few, so means have Student's t; a bootstrap of three or five values would be too
narrow.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def mean_interval(values) -> tuple[float, float, float]:
    """Mean of repeated runs and its Student-t interval: (mean, low, high). Needs two runs at least."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values of shape {values.shape}: an interval needs at least two runs")
    mean = values.mean()
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(mean), float(mean - half), float(mean + half)


def cell(values) -> dict:
    """Repeated runs as a record keeps them: mean, low, high (95 %), and seeds, the values; one run has no interval."""
    values = [float(value) for value in values]
    mean, low, high = mean_interval(values) if len(values) > 1 else (values[0], None, None)
    return {"mean": mean, "low": low, "high": high, "seeds": values}


def paired_interval(a: Mapping, b: Mapping) -> tuple[float, float, float]:
    """Mean of a - b over the pairs that share a key, and its Student-t interval: (mean, low, high).

    a, b: value of each run under what makes two runs a pair, here (seed, split). What split, networks and noise do to
    both runs of a pair drops out of the difference. A run without a partner is left out; two pairs are needed.
    """
    pairs = sorted(a.keys() & b.keys())
    if len(pairs) < 2:
        raise ValueError(
            f"{len(pairs)} pairs among {sorted(a)} and {sorted(b)}: an interval needs at least two"
        )
    return mean_interval([a[pair] - b[pair] for pair in pairs])


def share_interval(count: int, n: int) -> tuple[float, float, float]:
    """The share count / n and Wilson's binomial interval: (share, low, high)."""
    interval = stats.binomtest(int(count), int(n)).proportion_ci(CONFIDENCE, "wilson")
    return count / n, float(interval.low), float(interval.high)


def share_intervals(groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Wilson's binomial interval of each group's share among labels (N,): (G, 2)."""
    counts = np.bincount(groups, minlength=n_groups)
    return np.asarray([share_interval(count, len(groups))[1:] for count in counts])


# The range of each bounded measure; the unbiased kernel distance may be negative and has none.
UNIT, DISTANCE, ANY = (0.0, 1.0), (0.0, np.inf), (-np.inf, np.inf)
BOUNDS = {
    **dict.fromkeys(
        ("minority_share", "total_variation", "pairwise_bias", "precision", "recall", "unsure"), UNIT
    ),
    **dict.fromkeys(("frechet", "fid", "nearest"), DISTANCE),
    **dict.fromkeys(("ratio_error", "score_error", "corrected_score_error"), DISTANCE),
    **dict.fromkeys(("heldout_loss", "fresh_loss"), DISTANCE),
    **dict.fromkeys(("share", "variation_after_weighting"), UNIT),
    "share_error": (0.0, 0.5),  # the distance of the minority's share from a half
    "fairness_discrepancy": (0.0, 2**0.5),
}
FEW = 4  # runs below which the single values say more than an interval


def clipped(interval: tuple[float, float], bounds: tuple[float, float]) -> tuple[float, float]:
    """An interval without what lies outside the range of its quantity."""
    low, high = (min(max(end, bounds[0]), bounds[1]) for end in interval)
    return low, high


def as_text(cell: dict, measure: str = "") -> str:
    """A mean with its interval, "0.52 (0.48 to 0.56)"; of fewer than four runs the single values, "0.52 (0.5, 0.54)".

    cell: mean, low, high (None where there was one run), and seeds, the single values, where they are known. measure:
    the name in BOUNDS of what it is a mean of; the interval is cut to that range.
    """
    values = cell.get("seeds")
    if isinstance(values, list) and len(values) < FEW:
        singles = ", ".join(f"{value:.3g}" for value in values)
        return f"{cell['mean']:.3g} ({singles})" if len(values) > 1 else f"{cell['mean']:.3g}"
    if cell["low"] is None:
        return f"{cell['mean']:.3g}"
    low, high = clipped((cell["low"], cell["high"]), BOUNDS.get(measure, ANY))
    return f"{cell['mean']:.3g} ({low:.3g} to {high:.3g})"
