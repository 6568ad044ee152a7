"""Intervals against textbook formulas, SciPy's paired test, and how often they cover the truth."""

import numpy as np
import pytest
from scipy import stats

from tiwlib.measures import intervals


def test_t_interval_against_the_textbook():
    mean, low, high = intervals.mean_interval([1.0, 2.0, 3.0, 4.0])
    half = 3.182446 * (5 / 3) ** 0.5 / 2  # t(0.975, 3) s / sqrt(n)
    assert (mean, low, high) == pytest.approx((2.5, 2.5 - half, 2.5 + half), abs=1e-5)
    with pytest.raises(ValueError, match="at least two runs"):
        intervals.mean_interval([1.0])


def test_wilson_intervals_against_the_formula():
    groups = np.array([0] * 90 + [1] * 10)
    z, n, p = 1.959964, 100, 0.1
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert intervals.share_intervals(groups, 3)[1] == pytest.approx([centre - half, centre + half], abs=1e-6)
    assert intervals.share_intervals(groups, 3)[2][0] == pytest.approx(0, abs=1e-12)
    assert intervals.share_interval(10, 100) == pytest.approx((0.1, centre - half, centre + half), abs=1e-6)


def test_a_paired_interval_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    keys = [(seed, f"split {seed}") for seed in range(6)]
    x, y = rng.normal(size=6), rng.normal(size=6)
    a, b = dict(zip(keys, x, strict=True)), dict(reversed(list(zip(keys, y, strict=True))))
    expected = stats.ttest_rel(x, y).confidence_interval(0.95)
    mean, low, high = intervals.paired_interval(a, b)
    assert (mean, low, high) == pytest.approx((np.mean(x - y), expected.low, expected.high))
    b[99, "another"] = 1e6  # has no partner
    assert intervals.paired_interval(a, b) == pytest.approx((mean, low, high))


def test_the_same_seed_on_another_split_is_no_pair():
    a, b = {(0, "p"): 1.0, (1, "p"): 2.0}, {(0, "p"): 1.0, (1, "q"): 2.0}
    with pytest.raises(ValueError, match="1 pairs among .* needs at least two"):
        intervals.paired_interval(a, b)


def test_pairing_takes_out_what_a_pair_shares():
    """Splits that differ by 10 and a method's effect of 1: paired it is seen, unpaired it is not."""
    rng = np.random.default_rng(1)
    split = rng.normal(scale=10, size=5)
    a = {(i,): s + 1 + rng.normal(scale=0.1) for i, s in enumerate(split)}
    b = {(i,): s + rng.normal(scale=0.1) for i, s in enumerate(split)}
    _, low, high = intervals.paired_interval(a, b)
    assert 0.5 < low < 1 < high < 1.5
    assert intervals.mean_interval(list(a.values()))[1] < 1 - 3  # alone, 95 % intervals are many units wide


def test_intervals_cover_as_often_as_they_say():
    """1,000 repetitions: a share of 95 % has a standard error of 0.7 %."""
    rng = np.random.default_rng(2)
    found = [intervals.mean_interval(rng.normal(3, 2, size=5)) for _ in range(1000)]
    assert np.mean([low <= 3 <= high for _, low, high in found]) == pytest.approx(0.95, abs=0.025)
    found = [intervals.share_interval(rng.binomial(200, 0.1), 200) for _ in range(1000)]
    assert np.mean([low <= 0.1 <= high for _, low, high in found]) == pytest.approx(0.95, abs=0.025)


def test_a_cell_of_a_record_has_an_interval_from_two_runs_on():
    cell = intervals.cell([1, 2, 3])
    mean, low, high = intervals.mean_interval([1, 2, 3])
    assert cell == {"mean": mean, "low": low, "high": high, "seeds": [1.0, 2.0, 3.0]}
    assert intervals.cell(iter([2])) == {"mean": 2.0, "low": None, "high": None, "seeds": [2.0]}
