"""Noise levels by round trip, the sampler on problems with a known answer."""

import math

import pytest
import torch

from tiwlib import gaussians, sampling
from tiwlib.closed_form import minimiser
from tiwlib.gaussians import EXACT_RATIO, GaussianMixture, minority_share
from tiwlib.networks import DenoiserNet, RatioNet
from tiwlib.noise import LogNormal, expand, loss_weight, sampling_grid, vp_sigma, vp_time
from tiwlib.objectives import METHODS


def test_vp_time_inverts_vp_sigma():
    t = torch.linspace(1e-4, 1, 200, dtype=torch.float64)
    assert (vp_time(vp_sigma(t)) - t).abs().max() < 1e-12


def test_vp_sigma_is_the_papers_formula():
    assert vp_sigma(torch.tensor(1.0, dtype=torch.float64)).item() == pytest.approx(
        math.sqrt(math.exp(10.05) - 1)
    )


def test_log_normal_distribution_has_edms_moments():
    torch.manual_seed(0)
    log_sigma = LogNormal().sample(100_000).log()
    assert abs(log_sigma.mean() + 1.2) < 0.016  # 4 standard errors of the mean
    assert abs(log_sigma.std() - 1.2) < 0.012
    scaled = LogNormal.for_data(2.0)
    assert scaled.P_mean == pytest.approx(-1.2 + math.log(4)) and scaled.P_std == 1.2


def test_loss_weight_makes_the_untrained_loss_one():
    """c_out^2 lambda = 1 at every sigma: the reason for EDM's weight."""
    sigma, sd = torch.logspace(-2, 2, 20, dtype=torch.float64), 0.7
    c_out = sigma * sd / (sigma**2 + sd**2).sqrt()
    assert torch.allclose(c_out**2 * loss_weight(sigma, sd), torch.ones(20, dtype=torch.float64))


def test_expand_refuses_another_shape():
    with pytest.raises(ValueError, match=r"sigma has shape \(3, 1\)"):
        expand(torch.ones(3, 1), torch.ones(3, 2))


def test_grid_is_edms():
    grid = sampling_grid(18, dtype=torch.float64)
    assert grid.shape == (19,) and grid[-1] == 0
    assert grid[0] == pytest.approx(80) and grid[-2] == pytest.approx(0.002)
    i = 7
    expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    assert grid[i] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="steps=1"):
        sampling_grid(1)


def transported(steps):
    """N(mu, s^2) moved by Heun from sigma 20 to 0.0005, and by x_0 = mu + (x_T - mu) s_0 / s_T exactly."""
    mu, s = torch.tensor([[0.3, -1.0]], dtype=torch.float64), 0.5
    density = GaussianMixture((1.0,), ((0.3, -1.0),), s)
    grid = sampling_grid(steps, sigma_data=0.125, dtype=torch.float64)[:-1]  # without the Euler step to zero
    x_T = 20 * torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = mu + (x_T - mu) * ((s**2 + grid[-1] ** 2) / (s**2 + 20**2)) ** 0.5
    return sampling.heun(density.denoised, x_T, grid), exact


def test_heun_transports_a_gaussian_at_second_order_and_exactly_in_the_limit():
    (coarse, exact), (fine, _) = transported(257), transported(513)
    ratio = (coarse - exact).abs().max() / (fine - exact).abs().max()
    assert ratio == pytest.approx(4, rel=0.05)  # half the step, a quarter of the error
    limit = (4 * fine - coarse) / 3  # Richardson: what is left is of third order
    assert (limit - exact).abs().max() < 1e-6
    assert (fine - exact).abs().max() < 1e-4


@pytest.mark.parametrize("levels", [[2.0, 0.0], [4.0, 1.0, 0.0], [4.0, 3.0, 1.5, 0.5, 0.0]])
def test_heun_is_exact_where_the_slope_is_linear_in_sigma_up_to_the_last_level(levels):
    """D = x - sigma (a + b sigma): dx/dsigma = a + b sigma, which trapezoids integrate; Euler goes on to zero."""
    a, b, grid = 0.3, -0.2, torch.tensor(levels, dtype=torch.float64)
    x = torch.tensor([[0.5, -0.5]], dtype=torch.float64)
    sigma_T, last = levels[0], levels[-2]
    exact = x + a * (last - sigma_T) + b / 2 * (last**2 - sigma_T**2)

    def denoiser(x, sigma):
        return x - expand(sigma, x) * (a + b * expand(sigma, x))

    expected = exact - last * (a + b * last)
    assert torch.allclose(sampling.heun(denoiser, x, grid), expected, rtol=1e-12)


def test_preconditioning_is_exact_for_a_gaussian():
    """With the backbone at zero, D = c_skip x: the posterior mean of N(0, sigma_data^2)."""
    sd = 0.8
    density = GaussianMixture((1.0,), ((0.0, 0.0),), sd)
    denoiser = DenoiserNet(lambda x, c_noise: torch.zeros_like(x), sd)
    x, sigma = torch.randn(9, 2, dtype=torch.float64), torch.logspace(-2, 2, 9, dtype=torch.float64)
    assert torch.allclose(denoiser(x, sigma), density.denoised(x, sigma), rtol=1e-12)


class Recording:
    """A backbone that notes what it is given and answers zero, (B, 1)."""

    def __call__(self, x, c_noise):
        self.x, self.c_noise = x, c_noise
        return torch.zeros(len(x), 1, dtype=x.dtype)


@pytest.mark.parametrize(("network", "ask"), [(DenoiserNet, "forward"), (RatioNet, "log_ratio")])
@pytest.mark.parametrize("sigma_data", [0.5, 2.0])
def test_preconditioning_feeds_the_backbone_unit_variance_and_a_quarter_of_log_sigma(
    network, ask, sigma_data
):
    """200,000 numbers: the standard error of their deviation is 0.0016."""
    backbone, sigma = Recording(), torch.full((200_000,), 3.0, dtype=torch.float64)
    x = (sigma_data**2 + 9) ** 0.5 * torch.randn(200_000, 1, dtype=torch.float64)
    getattr(network(backbone, sigma_data), ask)(x, sigma)
    assert abs(backbone.x.std() - 1) < 0.01
    assert torch.allclose(backbone.c_noise, sigma.log() / 4)


def test_a_ratio_takes_clean_samples_for_those_at_the_floor():
    """log 0 has no embedding: below 0.001 the level is 0.001, above it is itself."""
    backbone, sigma = Recording(), torch.tensor([0.0, 5e-4, 1e-3, 0.01, 1.0], dtype=torch.float64)
    RatioNet(backbone, 0.5).log_ratio(torch.ones(5, 2, dtype=torch.float64), sigma)
    levels = torch.tensor([1e-3, 1e-3, 1e-3, 0.01, 1.0], dtype=torch.float64)
    assert torch.allclose(backbone.c_noise, levels.log() / 4)


@pytest.mark.parametrize("name", METHODS)
def test_samples_of_the_closed_form_optimum_have_the_right_share(name):
    """0.35 without a correction, 0.50 with one; 20,000 samples, four standard errors, 0.003 for the modes' tails."""
    denoiser = minimiser(name, EXACT_RATIO, METHODS[name].fraction(0.5))
    x = sampling.sample(denoiser, 20_000, (2,), steps=40, batch_size=20_000, dtype=torch.float64)
    expected = 0.35 if name in ("dsm_obs", "w_only") else 0.5
    assert abs(minority_share(x) - expected) < 4 * (0.25 / 20_000) ** 0.5 + 0.003


def test_a_sample_does_not_depend_on_its_batch():
    together = sampling.starting_noise(range(5), (3,), seed=7)
    alone = sampling.starting_noise([3], (3,), seed=7)
    assert torch.equal(together[3], alone[0])
    assert not torch.equal(together[3], sampling.starting_noise([3], (3,), seed=8)[0])
    whole = sampling.sample(gaussians.P_DATA, 6, (2,), batch_size=6, dtype=torch.float64)
    parts = sampling.sample(gaussians.P_DATA, 6, (2,), batch_size=4, dtype=torch.float64)
    assert torch.allclose(whole, parts, rtol=1e-12)
    rest = sampling.sample(gaussians.P_DATA, 2, (2,), first=4, dtype=torch.float64)
    assert torch.allclose(whole[4:], rest, rtol=1e-12)


@pytest.mark.parametrize(("n", "sizes"), [(10, [4, 4, 4]), (8, [4, 4]), (3, [3])])
def test_every_batch_has_one_size_for_a_compiled_network(n, sizes):
    """The last batch is filled where there is a whole one before it; a few samples alone are not."""
    seen = []

    class Watched:
        def __call__(self, x, sigma):
            seen.append(len(x))
            return gaussians.P_DATA(x, sigma)

    x = sampling.sample(Watched(), n, (2,), steps=2, batch_size=4, dtype=torch.float64)
    assert x.shape == (n, 2) and seen == [size for size in sizes for _ in range(3)]
