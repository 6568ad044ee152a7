"""Clusters against the exact mixtures: with the true modes and shares nothing is left to estimate."""

import pytest
import torch

from tiwlib.estimators.clusters import (
    GaussianClusters,
    NamedClusters,
    fit_gaussians,
    learn_names,
    with_outputs,
)
from tiwlib.gaussians import EXACT_RATIO, MODES, P_BIAS, P_DATA, SIGMA_DATA
from tiwlib.networks import point_ratio, seeded
from tiwlib.noise import LogNormal
from tiwlib.objectives import weight_and_correction

SHARES = torch.tensor(P_BIAS.weights, dtype=torch.float64)
LOG_RHO = (torch.tensor(P_DATA.weights, dtype=torch.float64) / SHARES).log()


def true_clusters():
    return GaussianClusters(torch.tensor(MODES, dtype=torch.float64), P_BIAS.std, SHARES, LOG_RHO)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0, 5.0, 80.0])
def test_the_true_modes_and_shares_give_the_exact_ratio_and_its_gradient(level):
    x = 4 * torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + level
    sigma = torch.full((200,), level, dtype=torch.float64)
    ratio = true_clusters()
    assert (ratio.log_ratio(x, sigma) - EXACT_RATIO.log_ratio(x, sigma)).abs().max() < 1e-9
    _, gradient = weight_and_correction(ratio, x, sigma, 0)
    assert (gradient - EXACT_RATIO.grad_log_ratio(x, sigma)).abs().max() < 1e-9


def test_with_the_true_modes_the_ratio_is_exact_up_to_rho():
    """Another rho of the same modes is the exact ratio of a pair with those shares."""
    from tiwlib.gaussians import ExactRatio, GaussianMixture

    rho = torch.tensor([0.3, 3.8], dtype=torch.float64)
    ratio = GaussianClusters(torch.tensor(MODES, dtype=torch.float64), 1.0, SHARES, rho.log())
    p_data = GaussianMixture(tuple((rho * SHARES).tolist()), MODES)
    x, sigma = P_BIAS.sample(100, dtype=torch.float64), torch.ones(100, dtype=torch.float64)
    exact = ExactRatio(p_data, P_BIAS).log_ratio(x, sigma)
    assert (ratio.log_ratio(x, sigma) - exact).abs().max() < 1e-9


def test_gaussians_are_found_in_samples():
    """Of 2,000 points, 400 of them around (2, 2): means are known to 0.05, the standard deviation to 0.02."""
    centres, std = fit_gaussians(P_BIAS.sample(2000, torch.Generator().manual_seed(0)), 2)
    centres = centres[centres[:, 0].argsort()]
    assert (centres - torch.tensor(MODES)).abs().max() < 0.2 and abs(std - 1) < 0.05


def test_as_many_clusters_as_samples_are_points_and_more_are_refused():
    x0 = P_BIAS.sample(6, torch.Generator().manual_seed(0))
    centres, std = fit_gaussians(x0, 6)
    assert std < 1e-6 and torch.allclose(centres.sort(0).values, x0.sort(0).values, atol=1e-6)
    with pytest.raises(ValueError, match="clusters=7: must be at most 6, the number of samples"):
        fit_gaussians(x0, 7)


def test_a_network_learns_the_names_of_noisy_clusters_whatever_their_shares():
    """Its logits are log likelihoods: with the shares of p_bias its ratio comes near the exact one."""
    network = with_outputs(seeded(point_ratio, 2, SIGMA_DATA, seed=0), 2)
    x0 = P_BIAS.sample(2000, torch.Generator().manual_seed(0))
    how = {"steps": 200, "batch_size": 128, "lr": 3e-3}
    losses = learn_names(network, x0, (x0.sum(1) > 0).long(), LogNormal.for_data(SIGMA_DATA), **how)
    assert sum(losses[-20:]) < sum(losses[:20])
    ratio = NamedClusters(network, SHARES.float(), LOG_RHO.float())
    x, sigma = torch.tensor([[-2.0, -2.0], [2.0, 2.0]]), torch.full((2,), 1.0)
    exact = EXACT_RATIO.log_ratio(x, sigma)
    assert (ratio.log_ratio(x, sigma) - exact).abs().max() < 0.15
    assert not any(p.requires_grad for p in network.parameters()) and not network.training
