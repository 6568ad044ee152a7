"""A clean ratio becomes the exact noisy one, E_bias[r(x0, 0) | x] = r(x, sigma): soft labels and posterior."""

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, special

from tiwlib.estimators.distilled import DistilledConfig, distil, soft_label_loss
from tiwlib.estimators.graph import CleanRatio
from tiwlib.estimators.posterior import posterior_mean
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, SIGMA_DATA, ExactRatio, GaussianMixture
from tiwlib.networks import point_ratio, seeded
from tiwlib.noise import LogNormal

MODES = ((-2.0,), (2.0,))
LINE = ExactRatio(
    GaussianMixture((0.5, 0.5), MODES), GaussianMixture((0.8, 0.2), MODES)
)  # the 2-D pair in 1-D
GRID = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]  # x0
ZERO = torch.zeros(len(GRID), dtype=torch.float64)
LOG_R0 = LINE.log_ratio(GRID, ZERO)


def expectation(values, x, sigma, density):
    """Integral over x0 of density(x0) N(x; x0, sigma^2) values(x0), by Simpson's rule."""
    kernel = (-((x - GRID[:, 0]) ** 2) / (2 * sigma**2)).exp()
    return integrate.simpson((density * kernel * values).numpy(), x=GRID[:, 0].numpy())


def minimiser(loss, x, sigma, density):
    """The logit at which the expected loss of the noisy point x is least: where its derivative is zero."""

    def slope(logit):
        logit = torch.full((len(GRID),), logit, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(loss(logit).sum(), logit)
        return expectation(gradient, x, sigma, density)

    return optimize.brentq(slope, -10, 10, xtol=1e-13)


@pytest.mark.parametrize("sigma", [0.5, 1.5, 4.0])
@pytest.mark.parametrize("x", [-3.0, 0.0, 0.7, 3.0])
def test_the_minimiser_of_the_soft_labels_is_the_exact_noisy_ratio(x, sigma):
    """On the half-and-half mixture, and on p_bias alone with the weights r0 and 1, as the issue's formula has it."""
    exact = LINE.log_ratio(
        torch.tensor([[x]], dtype=torch.float64), torch.tensor([sigma], dtype=torch.float64)
    ).item()
    p_bias = LINE.p_bias.log_prob(GRID, ZERO).exp()
    mixture = (p_bias + LINE.p_data.log_prob(GRID, ZERO).exp()) / 2
    assert minimiser(lambda logit: soft_label_loss(logit, LOG_R0), x, sigma, mixture) == pytest.approx(
        exact, abs=1e-9
    )

    def on_p_bias(logit):
        softplus = torch.nn.functional.softplus
        return LOG_R0.exp() * softplus(-logit) + softplus(logit)

    assert minimiser(on_p_bias, x, sigma, p_bias) == pytest.approx(exact, abs=1e-9)


def test_the_mean_of_log_r0_is_too_small():
    """Jensen: why the logarithm is never what is fitted."""
    p_bias = LINE.p_bias.log_prob(GRID, ZERO).exp()
    mass = expectation(torch.ones(len(GRID)), 0.5, 1.5, p_bias)
    mean = expectation(LOG_R0, 0.5, 1.5, p_bias) / mass
    at = torch.tensor([[0.5]], dtype=torch.float64), torch.tensor([1.5], dtype=torch.float64)
    assert mean < LINE.log_ratio(*at).item() - 0.01


def test_a_network_learns_the_soft_labels():
    """From the exact clean ratio of 400 samples: nearer to the exact noisy one than r = 1 is, by far."""
    x0 = torch.cat([P_BIAS.sample(300, torch.Generator().manual_seed(0)), EXACT_RATIO.p_data.sample(100)])
    label = torch.arange(400) >= 300
    clean = CleanRatio(
        x0=x0, label=label.double(), log_ratio=EXACT_RATIO.log_ratio(x0, torch.zeros(400)).double()
    )
    network = seeded(point_ratio, 2, SIGMA_DATA, seed=0)
    losses = distil(network, clean, LogNormal.for_data(SIGMA_DATA), DistilledConfig(steps=300, lr=3e-3))
    assert len(losses) == 300
    x = P_BIAS.sample(500, torch.Generator().manual_seed(1))
    sigma = torch.ones(500)
    exact = EXACT_RATIO.log_ratio(x, sigma)
    assert (network.log_ratio(x, sigma) - exact).square().mean() < 0.1 * exact.square().mean()


def atoms():
    """Five atoms, p_bias uniform on them, r0 of mean 1; the reference set holds them in proportion to r0."""
    centres = torch.tensor([[-2.0], [-1.0], [0.0], [1.0], [3.0]], dtype=torch.float64)
    copies = torch.tensor([1, 2, 2, 4, 6])
    r0 = 5 * copies.double() / copies.sum()
    x0 = torch.cat([centres, centres.repeat_interleave(copies, 0)])
    label = torch.cat([torch.zeros(5), torch.ones(15)])
    log_r0 = torch.cat([r0.log(), r0.log().repeat_interleave(copies)])
    return centres, r0, x0, label, log_r0


@pytest.mark.parametrize("std", [1e-3, 0.7])
def test_the_posterior_mean_over_atoms_is_exact(std):
    """Where the sets are the densities, E[r0 | x] is sum_k r0_k N(x; c_k) / sum_k N(x; c_k)."""
    centres, r0, x0, label, log_r0 = atoms()
    x, sigma = (
        torch.linspace(-4, 5, 50, dtype=torch.float64)[:, None],
        torch.full((50,), 0.8, dtype=torch.float64),
    )
    log_normal = -((x - centres.T) ** 2) / (2 * (std**2 + sigma**2))[:, None]
    exact = special.logsumexp((log_normal + r0.log()).numpy(), 1) - special.logsumexp(log_normal.numpy(), 1)
    ratio = posterior_mean(x0, label, log_r0, std)
    assert np.abs(ratio.log_ratio(x, sigma).numpy() - exact).max() < 1e-9


def test_without_noise_and_width_a_sample_has_its_own_ratio_and_far_noise_none():
    _, _, x0, label, log_r0 = atoms()
    ratio = posterior_mean(x0, label, log_r0, 1e-3)
    assert torch.allclose(ratio.log_ratio(x0, torch.zeros(20).double()), log_r0, atol=1e-9)
    assert ratio.log_ratio(x0, torch.full((20,), 1e5).double()).abs().max() < 1e-3
