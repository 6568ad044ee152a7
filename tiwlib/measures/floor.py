"""What a perfectly fair sampler shows: counts of a finite set are never exactly the target shares."""

from functools import cache

import numpy as np
from scipy import stats

DRAWS, SEED = 40_000, 0  # of the multinomial that the quantile is taken from


@cache
def fair_floor(target: tuple[float, ...], n: int) -> tuple[float, float]:
    """Total variation from `target` of n images drawn by it: (mean, 95 % quantile). No sampler does better than that.

    target: shares of the groups, they sum to one. The mean is exact, the quantile is of 40,000 multinomial draws.
    """
    shares = np.asarray(target)
    if n < 1 or not np.isclose(shares.sum(), 1) or (shares < 0).any():
        raise ValueError(f"n={n}, target={target}: must be at least one image, and shares that sum to 1")
    mean = sum(stats.binom(n, p).expect(lambda k, p=p: abs(k / n - p)) for p in shares if 0 < p < 1) / 2
    counts = np.random.default_rng(SEED).multinomial(n, shares, DRAWS)  # (DRAWS, G)
    return float(mean), float(np.quantile(np.abs(counts / n - shares).sum(1) / 2, 0.95))
