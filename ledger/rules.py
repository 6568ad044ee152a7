"""When a claim holds: a rule turns a measured interval into a verdict, and says what a verdict would have needed.

What the interval leaves open is not decided. The verdict is that of one claim; among many, some are decided by
chance, so Benjamini and Hochberg's procedure judges them together.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
from scipy import stats

from ledger.evidence import Measured

HOLDS, FAILS, OPEN, UNTESTED = "holds", "does not hold here", "not decided here", "not tested here"
UNREADABLE = "not readable here"  # the samples that the number is read off are no good
LEVEL = 0.05  # of all intervals here, and the share of false decisions among all that are decided
MOST_SEEDS = 20  # seeds beyond which nobody runs a claim


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Holds where the whole interval lies in [low, high], fails where all of it lies outside, else it is open.

    text: where that is, in words.
    """

    low: float = -inf
    high: float = inf
    text: str

    def verdict(self, measured: Measured) -> str:
        if self.low <= measured.low and measured.high <= self.high:
            return HOLDS
        if measured.high < self.low or measured.low > self.high:
            return FAILS
        return OPEN

    @property
    def limits(self) -> list[float]:
        return [limit for limit in (self.low, self.high) if np.isfinite(limit)]

    def p_value(self, measured: Measured, seeds: int | None = None) -> float:
        """The level whose interval just touches the nearest limit: below LEVEL where the claim is decided.

        seeds: how many there would be of the same mean and spread, None for as many as there are.
        """
        return max(_touching(measured, limit, seeds or len(measured.values)) for limit in self.limits)

    def underpowered(self, measured: Measured) -> bool:
        """Whether the interval is wider than the room the rule leaves it: such a claim could not have held."""
        low, high = max(self.low, measured.bounds[0]), min(self.high, measured.bounds[1])
        return bool(2 * _half_width(measured) > high - low)

    def seeds_to_decide(self, measured: Measured) -> int | str:
        """How many seeds would decide at the measured mean and spread, or "more than 20"."""
        enough = (n for n in range(2, MOST_SEEDS + 1) if self.p_value(measured, n) < LEVEL)
        return next(enough, f"more than {MOST_SEEDS}")


def _half_width(measured: Measured) -> float:
    """Half the width of the interval before it is cut to the range of the quantity."""
    n = len(measured.values)
    if not n or measured.yes_or_no:
        return (measured.high - measured.low) / 2
    return stats.t.ppf(1 - LEVEL / 2, n - 1) * np.std(measured.values, ddof=1) / n**0.5


def _touching(measured: Measured, limit: float, n: int) -> float:
    """The level at which the interval of n seeds ends at the limit; 0 or 1 for a number that is computed."""
    if not measured.values:
        return float(measured.low <= limit <= measured.high)
    if measured.yes_or_no:
        yes = round(measured.value * n)
        return float(min(1, 2 * min(stats.binom.cdf(yes, n, limit), stats.binom.sf(yes - 1, n, limit))))
    distance = abs(measured.value - limit)
    error = np.std(measured.values, ddof=1) / n**0.5
    if error == 0:
        return 0.0 if distance else 1.0
    return float(2 * stats.t.sf(distance / error, n - 1))


def below(limit: float) -> Rule:
    return Rule(high=limit, text=f"below {limit:.3g}")


def above(limit: float) -> Rule:
    return Rule(low=limit, text=f"above {limit:.3g}")


def near(target: float, margin: float) -> Rule:
    """For "is" and "equals": being near must be shown, an interval that is wide enough to hold the target is not."""
    return Rule(low=target - margin, high=target + margin, text=f"within {margin:g} of {target:g}")


def between(low: float, high: float) -> Rule:
    return Rule(low=low, high=high, text=f"between {low:g} and {high:g}")


def among_all(p_values: list[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p-values: of those below LEVEL one in twenty may be chance."""
    return stats.false_discovery_control(p_values).tolist()
