"""Notebook 02 takes minutes: here it runs through at toy size.

`python tests/support/run_nbval.py --all` compares it with what is stored.
"""

import pytest

pytestmark = pytest.mark.slow
TINY = {"seeds": 2, "steps": 3, "drawn_images": 60, "alphas": [0.5, 1.0]}


def test_it_runs_through(metrics_of):
    assert metrics_of("02_what_each_objective_learns", TINY)
