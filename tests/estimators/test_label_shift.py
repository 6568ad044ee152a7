"""Label shift by EM: it finds the shares, climbs, says when it has not converged, and rho stays within its bound."""

import pytest
import torch

from tiwlib.estimators.label_shift import bounded_log_rho, shares

BIASED = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
TRUE = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
CENTRES = torch.tensor([-2.0, 0.0, 2.0], dtype=torch.float64)


def likelihood(n=20_000, seed=0):
    """p(x | k) of n points of three overlapping Gaussians with the shares TRUE."""
    generator = torch.Generator().manual_seed(seed)
    cluster = torch.multinomial(TRUE, n, replacement=True, generator=generator)
    x = CENTRES[cluster] + torch.randn(n, generator=generator, dtype=torch.float64)
    return (-(x[:, None] - CENTRES).square() / 2).exp()


def test_em_recovers_the_shares():
    """The standard error of a share of 20,000 overlapping points is below 0.01."""
    found, _ = shares(likelihood(), BIASED, prior=0)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert (found - TRUE).abs().max() < 0.03


def test_clusters_that_are_known_are_counted_and_the_prior_is_pseudo_samples():
    known = torch.eye(3, dtype=torch.float64)[[0] * 4 + [1] * 3 + [2] * 3]
    assert torch.allclose(
        shares(known, BIASED, prior=0)[0], torch.tensor([0.4, 0.3, 0.3], dtype=torch.float64)
    )
    expected = (torch.tensor([4.0, 3.0, 3.0], dtype=torch.float64) + 10 * BIASED) / 20
    assert torch.allclose(shares(known, BIASED, prior=10)[0], expected, atol=1e-9)


@pytest.mark.parametrize("prior", [0, 5])
def test_every_step_climbs(prior):
    _, objective = shares(likelihood(200), BIASED, prior=prior)
    assert len(objective) > 5 and (objective.diff() > -1e-9).all() and objective[-1] > objective[0]


def test_a_factor_of_each_sample_changes_nothing():
    values, factor = likelihood(100), torch.linspace(0.1, 9, 100, dtype=torch.float64)
    found = [shares(part, BIASED, prior=1)[0] for part in (values, factor[:, None] * values)]
    assert torch.allclose(*found, atol=1e-9)


def test_em_that_has_not_converged_says_how_far_it_moved():
    with pytest.warns(
        UserWarning, match=r"EM has not converged: the last of 3 steps moved a share by 0\.0\d+"
    ):
        shares(likelihood(500), BIASED, prior=1, steps=3)


def test_rho_beyond_its_bound_is_moved_to_it_with_a_warning():
    reference = torch.tensor([0.0, 0.4, 0.6], dtype=torch.float64)
    biased = torch.tensor([0.5, 0.4999, 0.0001], dtype=torch.float64)
    with pytest.warns(
        UserWarning, match="rho of 2 of 3 clusters moved to bound=20 or its inverse: they were 0 to 6e.03"
    ):
        rho = bounded_log_rho(reference, biased, 20).exp()
    assert rho.tolist() == pytest.approx([1 / 20, 0.4 / 0.4999, 20])


@pytest.mark.parametrize(
    ("around", "prior", "n", "named"),
    [
        (BIASED[:2], 1, 5, "around="),
        (torch.tensor([0.5, 0.5, 0.0]), 1, 5, "around="),
        (BIASED, -1, 5, "prior=-1"),
        (BIASED, 1, 0, "of no sample"),
    ],
)
def test_bad_input_is_named(around, prior, n, named):
    with pytest.raises(ValueError, match=named):
        shares(likelihood(5)[:n], around, prior=prior)


def test_a_bound_that_allows_nothing_is_refused():
    with pytest.raises(ValueError, match="bound=1: must be above 1"):
        bounded_log_rho(TRUE, BIASED, 1)
