"""The exact object against autograd, numerical integration and itself."""

import pytest
import torch

from tiwlib.gaussians import EXACT_RATIO, MODES, P_BIAS, P_DATA, GaussianMixture, minority_share, nearer_mode

SIGMAS = (0.0, 0.1, 1.0, 5.0, 80.0)


def points(n=64, scale=4.0):
    return scale * torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("density", [P_BIAS, P_DATA])
def test_score_is_the_gradient_of_the_log_density(density, sigma):
    x = points().requires_grad_()
    s = torch.full((len(x),), sigma, dtype=torch.float64)
    (grad,) = torch.autograd.grad(density.log_prob(x, s).sum(), x)
    assert (density.score(x.detach(), s) - grad).abs().max() < 1e-10  # float64, a few hundred ulps


@pytest.mark.parametrize("sigma", SIGMAS)
def test_gradient_of_the_ratio_agrees_with_autograd(sigma):
    x = points().requires_grad_()
    s = torch.full((len(x),), sigma, dtype=torch.float64)
    (grad,) = torch.autograd.grad(EXACT_RATIO.log_ratio(x, s).sum(), x)
    assert (EXACT_RATIO.grad_log_ratio(x.detach(), s) - grad).abs().max() < 1e-10


@pytest.mark.parametrize("sigma", (0.0, 1.0))
def test_density_integrates_to_one(sigma):
    axis = torch.linspace(-12, 12, 481, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    s = torch.full((len(x),), sigma, dtype=torch.float64)
    mass = P_BIAS.log_prob(x, s).exp().sum() * (axis[1] - axis[0]) ** 2
    assert (
        abs(mass - 1) < 1e-6
    )  # the trapezoid rule is exact to rounding for smooth densities; tails beyond 12


def test_noisy_density_is_the_convolution():
    """p^sigma(x) as the average of p(x - sigma n) over Gaussian n, by quadrature in two dimensions."""
    sigma, x = 0.7, torch.tensor([[0.3, -1.1]], dtype=torch.float64)
    axis = torch.linspace(-8, 8, 321, dtype=torch.float64)
    n = torch.cartesian_prod(axis, axis)
    kernel = (-0.5 * n.square().sum(1)).exp() / (2 * torch.pi) * (axis[1] - axis[0]) ** 2
    clean = P_BIAS.log_prob(x - sigma * n, torch.zeros(len(n))).exp()
    exact = P_BIAS.log_prob(x, torch.tensor([sigma])).exp()
    assert torch.allclose((kernel * clean).sum(), exact[0], rtol=1e-6)  # sigma is float32-representable only


def test_samples_have_the_shares_and_moments():
    x = P_BIAS.sample(200_000, torch.Generator().manual_seed(0), dtype=torch.float64)
    assert abs(minority_share(x) - 0.2) < 0.004 + 0.003  # 4 standard errors, and 0.23 % of each mode's tail
    assert torch.allclose(x.mean(0), torch.tensor([-1.2, -1.2], dtype=torch.float64), atol=0.02)


def test_the_nearer_mode_is_that_of_the_smaller_distance():
    x = P_DATA.sample(10_000, torch.Generator().manual_seed(1), dtype=torch.float64)
    distances = torch.cdist(x, torch.tensor(MODES, dtype=x.dtype))  # (n, 2)
    assert torch.equal(nearer_mode(x), distances.argmin(1)) and minority_share(x) == pytest.approx(
        (distances[:, 1] < distances[:, 0]).double().mean().item()
    )


def test_ratio_at_the_modes_without_noise():
    modes = torch.tensor([[-2.0, -2.0], [2.0, 2.0]], dtype=torch.float64)
    r = EXACT_RATIO.log_ratio(modes, torch.zeros(2)).exp()
    assert torch.allclose(
        r, torch.tensor([0.625, 2.5], dtype=torch.float64), atol=1e-3
    )  # e^-16 of the other mode


def test_mix_is_the_mixture_density():
    x, s = points(), torch.full((64,), 0.5, dtype=torch.float64)
    mixed = P_BIAS.mix(P_DATA, 0.3).log_prob(x, s).exp()
    parts = 0.7 * P_BIAS.log_prob(x, s).exp() + 0.3 * P_DATA.log_prob(x, s).exp()
    assert torch.allclose(mixed, parts, rtol=1e-12)
    assert torch.equal(P_BIAS.mix(P_DATA, 1.0).log_prob(x, s), P_DATA.log_prob(x, s))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (((0.5, 0.6), ((0.0,), (1.0,))), "weights"),
        (((0.5, 0.5), ((0.0,),)), "means"),
        (((1.0,), ((0.0,),), 0.0), "std"),
    ],
)
def test_impossible_mixtures_are_refused(arguments, named):
    with pytest.raises(ValueError, match=named):
        GaussianMixture(*arguments)
    with pytest.raises(ValueError, match="fraction=2"):
        P_BIAS.mix(P_DATA, 2)
