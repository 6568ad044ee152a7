"""Every objective against the closed form: with the exact ratio, its minimiser is what the theory says.

In one dimension, on a grid of noisy points x and clean points x0, the expected loss is a quadrature over the joint
density of a batch. The denoiser is a table with one free value for each x, so the loss is a parabola in every
value, and its bottom follows from the slope at two values. The library's own objectives are what is differentiated.
"""

from dataclasses import dataclass
from functools import partial

import pytest
import torch

from tiwlib.closed_form import LOG_MENDED, MINIMISERS, RELEASED, SIGN_MENDED, minimiser
from tiwlib.gaussians import SIGMA_DATA, ExactRatio, GaussianMixture
from tiwlib.measures.equal_ratios import gradient_noise, importance_minimiser
from tiwlib.noise import expand, loss_weight
from tiwlib.objectives import METHODS, iw_dsm, log_weight, method, tiw_dsm, weight_and_correction

P_BIAS = GaussianMixture((0.8, 0.2), ((-2.0,), (2.0,)))
P_DATA = GaussianMixture((0.5, 0.5), ((-2.0,), (2.0,)))
EXACT = ExactRatio(P_DATA, P_BIAS)
SIGMA = 1.3
TOLERANCE = 1e-9  # trapezoid sums of smooth densities converge spectrally; float64 leaves about 1e-12

X = torch.linspace(-4, 4, 33, dtype=torch.float64)  # noisy points
X0 = torch.linspace(-11, 11, 441, dtype=torch.float64)  # clean points, the quadrature's nodes


@dataclass
class Table:
    """A denoiser with one value for each noisy point: D(X[i]) = values[i], whatever the noise level."""

    values: torch.Tensor
    sigma_data: float = 0.5

    def __call__(self, x, sigma):
        return self.values.repeat_interleave(len(X0))[:, None]


def minimiser_of(loss, pi: float) -> torch.Tensor:
    """D*(X) of a per-sample loss, shape (33,), under batches with a share pi of reference samples."""
    x0 = X0.repeat(len(X))[:, None]
    x = X.repeat_interleave(len(X0))[:, None]
    sigma = torch.full((len(x),), SIGMA, dtype=torch.float64)
    noise = (x - x0) / SIGMA
    batch_density = P_BIAS.mix(P_DATA, pi).log_prob(x0, 0 * sigma).exp()
    probability = batch_density * (-0.5 * noise[:, 0] ** 2).exp()

    def slope(value: float) -> torch.Tensor:
        values = torch.full_like(X, value, requires_grad=True)
        per_sample = loss(Table(values), x0, sigma, noise)
        assert per_sample.shape == (len(x0),)
        (grad,) = torch.autograd.grad((probability * per_sample).sum(), values)
        return grad

    at_zero, at_one = slope(0.0), slope(1.0)
    return -at_zero / (at_one - at_zero)


def at_grid(denoiser) -> torch.Tensor:
    """D(X) at the noise level of the quadrature, shape (33,)."""
    return denoiser(X[:, None], torch.full((len(X),), SIGMA, dtype=torch.float64))[:, 0]


def loss_of(name: str, ratio=EXACT, reference_fraction=0.5, alpha=1.0):
    return METHODS[name].loss(ratio if METHODS[name].ratio else None, reference_fraction, alpha)


@pytest.mark.parametrize("pi", [0.0, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("name", METHODS)
def test_the_minimiser_is_what_the_theory_says(name, pi):
    pi = 1.0 if name == "dsm_ref" else pi
    by_quadrature = minimiser_of(loss_of(name, reference_fraction=pi), pi)
    unbiased = name in ("dsm_ref", "iw_dsm", "tiw_dsm", "c_only")
    expected = at_grid(P_DATA if unbiased else P_BIAS.mix(P_DATA, pi))
    assert (by_quadrature - expected).abs().max() < TOLERANCE
    assert (at_grid(minimiser(name, EXACT, pi)) - expected).abs().max() < TOLERANCE


def test_every_method_has_a_closed_form_and_an_unknown_one_is_refused():
    assert MINIMISERS.keys() == METHODS.keys()
    with pytest.raises(ValueError, match="method='tiw': has no closed form; known are dsm_ref, dsm_obs"):
        minimiser("tiw", EXACT, 0.5)


@pytest.mark.parametrize("alpha", [0.25, 2.0])
@pytest.mark.parametrize("name", ["tiw_dsm", "c_only"])
def test_alpha_aims_at_the_density_times_weight_to_alpha(name, alpha):
    """score = score of the batch + alpha grad log w, the gradient taken here by finite differences."""
    pi, h = 0.5, 1e-5
    sigma = torch.full((len(X),), SIGMA, dtype=torch.float64)

    def log_target(x):
        batch = P_BIAS.mix(P_DATA, pi)
        log_w = P_DATA.log_prob(x, sigma) - batch.log_prob(x, sigma)
        return batch.log_prob(x, sigma) + alpha * log_w

    score = (log_target(X[:, None] + h) - log_target(X[:, None] - h)) / (2 * h)
    expected = X + SIGMA**2 * score
    by_quadrature = minimiser_of(loss_of(name, alpha=alpha), pi)
    assert (by_quadrature - expected).abs().max() < 1e-7  # central differences: h^2 and 1e-16 / h
    assert (at_grid(minimiser(name, EXACT, pi, alpha=alpha)) - expected).abs().max() < 1e-7


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_alpha_in_importance_weighting_aims_at_the_clean_density_times_weight_to_alpha(alpha):
    pi = 0.5
    by_quadrature = minimiser_of(loss_of("iw_dsm", alpha=alpha), pi)
    zero = torch.zeros(len(X0))
    clean = P_BIAS.mix(P_DATA, pi).log_prob(X0[:, None], zero)
    target = clean + alpha * (P_DATA.log_prob(X0[:, None], zero) - clean)
    posterior = (target - 0.5 * ((X[:, None] - X0) / SIGMA) ** 2).softmax(1)  # (33, 441)
    assert (by_quadrature - posterior @ X0).abs().max() < TOLERANCE
    closed = at_grid(importance_minimiser(EXACT, P_BIAS.mix(P_DATA, pi), pi, alpha=alpha))
    assert (by_quadrature - closed).abs().max() < GAUSS_HERMITE
    with pytest.raises(ValueError, match=f"alpha={alpha}, weight_fraction=0.5.*no exact weights"):
        minimiser("iw_dsm", EXACT, pi, alpha=alpha)


GAUSS_HERMITE = 3e-4  # 16 nodes a mode; the weight turns over within half a width of a mode


class Flipped:
    """The exact ratio with its gradient reversed: the value at x stays, the slope changes sign."""

    def log_ratio(self, x, sigma):
        value = EXACT.log_ratio(x, sigma)
        return 2 * value.detach() - value


class Half:
    """A ratio that is wrong: half of the exact logit."""

    def log_ratio(self, x, sigma):
        return EXACT.log_ratio(x, sigma) / 2


def test_importance_weighting_ends_where_a_wrong_ratio_takes_it():
    by_quadrature = minimiser_of(loss_of("iw_dsm", Half()), 0.5)
    assert (by_quadrature - at_grid(P_DATA)).abs().max() > 0.1
    closed = at_grid(importance_minimiser(Half(), P_BIAS.mix(P_DATA, 0.5), 0.5))
    assert (by_quadrature - closed).abs().max() < GAUSS_HERMITE
    # the exact ratio with the weight of another mixture is a wrong one too
    by_quadrature = minimiser_of(loss_of("iw_dsm", reference_fraction=0.5), 1 / 21)
    closed = at_grid(importance_minimiser(EXACT, P_BIAS.mix(P_DATA, 1 / 21), 0.5))
    assert (by_quadrature - closed).abs().max() < GAUSS_HERMITE < (closed - at_grid(P_DATA)).abs().max()
    with pytest.raises(ValueError, match="weight_fraction=0.5"):
        minimiser("iw_dsm", EXACT, 1 / 21, weight_fraction=0.5)


class MeanWeight:
    """The time-dependent ratio that a clean one stands for: w(x, sigma) = E[w(x0, 0) | x] in half-and-half batches.

    w = 2 d gives log r = log w - log(2 - w). The mean is a sum over X0.
    """

    def __init__(self, clean):
        zero = torch.zeros(len(X0))
        self.log_w = log_weight(clean.log_ratio(X0[:, None], zero), 0.5)  # (441,)
        self.log_batch = P_BIAS.mix(P_DATA, 0.5).log_prob(X0[:, None], zero)

    def log_ratio(self, x, sigma):
        posterior = (self.log_batch - 0.5 * ((x - X0) / sigma[:, None]) ** 2).log_softmax(1)  # (B, 441)
        w = (posterior + self.log_w).logsumexp(1).exp()
        return w.log() - (2 - w).log()


@pytest.mark.parametrize("clean", [EXACT, Half()])
def test_on_one_clean_ratio_both_methods_have_one_minimiser_however_wrong_it_is(clean):
    """Tweedie's formula for the batch density times w0: E[w0 x0 | x] / E[w0 | x] = E[x0 | x] + sigma^2 grad log w."""
    importance = minimiser_of(loss_of("iw_dsm", clean), 0.5)
    time_dependent = at_grid(minimiser("tiw_dsm", EXACT, 0.5, ratio=MeanWeight(clean)))
    assert (importance - time_dependent).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", ["dsm_obs", "iw_dsm", "tiw_dsm", "c_only"])
def test_the_noise_of_a_gradient_is_its_variance_by_quadrature(name):
    """E ||g||^2 over the joint density of x0 and x, the formulas of the gradients written down again.

    g = 2 lambda w (D - target): the mean over 400,000 samples is known to one percent.
    """
    pi, fine = 0.5, torch.linspace(-12, 12, 961, dtype=torch.float64)
    zero, sigma = torch.zeros(961), torch.full((961,), SIGMA, dtype=torch.float64)
    batch = P_BIAS.mix(P_DATA, pi)
    log_w0, log_w = (log_weight(EXACT.log_ratio(fine[:, None], s), pi) for s in (zero, sigma))
    mass = batch.log_prob(fine[:, None], zero).exp() * (fine[1] - fine[0])  # (961,) of x0
    kernel = (-0.5 * ((fine[:, None] - fine) / SIGMA) ** 2).softmax(0)  # (x, x0): columns sum to one
    unbiased, mean = (density.denoised(fine[:, None], sigma)[:, 0] for density in (P_DATA, batch))
    to_x0 = (mean if name == "dsm_obs" else unbiased)[:, None] - fine  # (x, x0)
    about_mean = mean[:, None] - fine  # D* minus the corrected target: sigma^2 grad log w cancels
    gradient = {
        "dsm_obs": to_x0,
        "iw_dsm": log_w0.exp() * to_x0,
        "tiw_dsm": log_w.exp()[:, None] * about_mean,
        "c_only": about_mean,
    }[name]
    lam = loss_weight(sigma[:1], SIGMA_DATA).item()
    exact = ((2 * lam * gradient) ** 2 * kernel * mass).sum().item()
    denoiser = minimiser(name, EXACT, pi)
    noise = gradient_noise(loss_of(name), denoiser, batch, SIGMA, n=400_000)
    assert noise == pytest.approx(exact, rel=0.015)


def test_a_correction_of_the_wrong_sign_would_be_noticed():
    flipped = minimiser_of(loss_of("tiw_dsm", Flipped()), 0.5)
    assert (flipped - at_grid(P_DATA)).abs().max() > 0.1


def test_a_weight_made_with_another_mixture_would_be_noticed_and_has_a_closed_form():
    """The weight of half-and-half batches, w = 2 d, on batches of which one sample in 21 is a reference one."""
    by_quadrature = minimiser_of(loss_of("tiw_dsm", reference_fraction=0.5), 1 / 21)
    assert (by_quadrature - at_grid(P_DATA)).abs().max() > 0.1
    expected = at_grid(minimiser("tiw_dsm", EXACT, 1 / 21, weight_fraction=0.5))
    assert (by_quadrature - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize(
    ("formula", "gradient_of", "sign"),
    [(RELEASED, "d", -1), (SIGN_MENDED, "d", 1), (LOG_MENDED, "log d", -1)],
)
def test_the_authors_formula_ends_where_its_correction_says(formula, gradient_of, sign):
    """Batch score plus the gradient of d = p_data / (p_data + p_bias), or of its logarithm, by finite differences."""
    sigma, h = torch.full((len(X),), SIGMA, dtype=torch.float64), 1e-5

    def value(x):
        p_data, p_bias = (density.log_prob(x, sigma).exp() for density in (P_DATA, P_BIAS))
        d = p_data / (p_data + p_bias)
        return d if gradient_of == "d" else d.log()

    gradient = (value(X[:, None] + h) - value(X[:, None] - h)) / (2 * h)
    expected = at_grid(P_BIAS.mix(P_DATA, 0.5)) + SIGMA**2 * sign * gradient
    by_quadrature = minimiser_of(partial(formula.loss, ratio=EXACT), 0.5)
    assert (by_quadrature - expected).abs().max() < 1e-7
    assert (at_grid(formula.minimiser(EXACT)) - expected).abs().max() < 1e-7


@pytest.mark.parametrize("name", ["iw_dsm", "tiw_dsm"])
def test_permuted_weights_would_be_noticed(name):
    order = torch.randperm(len(X) * len(X0), generator=torch.Generator().manual_seed(0))

    class Permuted:
        def log_ratio(self, x, sigma):
            value = EXACT.log_ratio(x, sigma)
            return value + (value[order] - value).detach()  # others' weights, its own gradient

    permuted = minimiser_of(loss_of(name, Permuted()), 0.5)
    assert (permuted - at_grid(P_DATA)).abs().max() > 0.1


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_each_loss_is_its_formula_sample_by_sample(alpha):
    """lambda w^alpha ||D - (x0 + sigma^2 alpha grad log w)||^2 written out again, each sample alone."""
    torch.manual_seed(0)
    x0, noise = torch.randn(5, 1, dtype=torch.float64), torch.randn(5, 1, dtype=torch.float64)
    sigma, pi = torch.tensor([0.2, 0.5, 1.0, 2.0, 5.0], dtype=torch.float64), 0.3

    class Constant:
        sigma_data = 0.5

        def __call__(self, x, sigma):
            return torch.full_like(x, 0.1)

    def w_of(x, s):
        r = (P_DATA.log_prob(x[None], s[None]) - P_BIAS.log_prob(x[None], s[None])).exp()
        return r / (pi * r + 1 - pi)

    for i in range(5):
        x, s, h = x0[i] + sigma[i] * noise[i], sigma[i], 1e-6
        lam = (s**2 + 0.25) / (s * 0.5) ** 2
        w, w_clean = w_of(x, s), w_of(x0[i], 0 * s)
        grad = (w_of(x + h, s).log() - w_of(x - h, s).log()) / (2 * h)
        expected = {
            "dsm_obs": lam * (0.1 - x0[i]) ** 2,
            "iw_dsm": lam * w_clean**alpha * (0.1 - x0[i]) ** 2,
            "tiw_dsm": lam * w**alpha * (0.1 - (x0[i] + s**2 * alpha * grad)) ** 2,
            "w_only": lam * w**alpha * (0.1 - x0[i]) ** 2,
            "c_only": lam * (0.1 - (x0[i] + s**2 * alpha * grad)) ** 2,
        }
        for name, value in expected.items():
            loss = loss_of(name, EXACT, pi, alpha if METHODS[name].ratio else 1.0)
            losses = loss(Constant(), x0, sigma, noise)
            assert losses[i].item() == pytest.approx(value.item(), rel=1e-7), name


@pytest.mark.parametrize("pi", [0.0, 0.3, 0.5, 1.0])
def test_weight_and_correction_follow_the_mixture_formula(pi):
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    sigma = torch.full((7,), 0.8, dtype=torch.float64)
    w, correction = weight_and_correction(EXACT, x, sigma, pi)
    r = EXACT.log_ratio(x, sigma).exp()
    grad_log_r = EXACT.grad_log_ratio(x, sigma)
    assert torch.allclose(w, r / (pi * r + 1 - pi), rtol=1e-12)
    assert torch.allclose(
        correction, grad_log_r * ((1 - pi) / (pi * r + 1 - pi))[:, None], rtol=1e-9, atol=1e-14
    )
    assert not w.requires_grad and not correction.requires_grad


def test_half_and_half_gives_twice_the_discriminator():
    logit = torch.linspace(-5, 5, 11, dtype=torch.float64)
    assert torch.allclose(log_weight(logit, 0.5).exp(), 2 * logit.sigmoid(), rtol=1e-12)


def test_no_gradient_reaches_the_ratio_and_it_works_under_no_grad():
    scale = torch.ones(1, dtype=torch.float64, requires_grad=True)

    class Scaled:
        def log_ratio(self, x, sigma):
            return scale * EXACT.log_ratio(x, sigma)

    ones = torch.ones(len(X) * len(X0), dtype=torch.float64)
    batch = (
        Table(torch.zeros_like(X, requires_grad=True)),
        X0.repeat(len(X))[:, None],
        ones,
        0.1 * ones[:, None],
    )
    options = {"ratio": Scaled(), "reference_fraction": 0.5}
    loss = tiw_dsm(*batch, **options).sum() + iw_dsm(*batch, **options).sum()
    loss.backward()
    assert scale.grad is None
    with torch.no_grad():
        weight_and_correction(EXACT, torch.zeros(2, 1), torch.ones(2), 0.5)


def test_images_keep_one_weight_a_sample():
    """The released code's fault: one axis too many makes every sample's weight the batch's sum."""
    x0, noise = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8)
    sigma = torch.tensor([0.1, 1.0, 2.0, 3.0])

    class Mean:
        def log_ratio(self, x, sigma):
            return x.flatten(1).mean(1)

    class Zero:
        sigma_data = 0.5

        def __call__(self, x, sigma):
            return torch.zeros_like(x)

    losses = tiw_dsm(Zero(), x0, sigma, noise, ratio=Mean(), reference_fraction=0.0)
    assert losses.shape == (4,)
    for i in range(4):
        x = x0[i] + sigma[i] * noise[i]
        target = x0[i] + sigma[i] ** 2 / 192  # grad of the mean over 192 values
        alone = x.mean().exp() * loss_weight(sigma[i], 0.5) * target.square().mean()
        assert losses[i].item() == pytest.approx(alone.item(), rel=1e-4)


def test_a_loss_needs_its_ratio_and_a_power_needs_a_weight():
    with pytest.raises(ValueError, match="ratio=None: TIW-DSM needs a time-dependent ratio"):
        METHODS["tiw_dsm"].loss()
    with pytest.raises(ValueError, match="ratio=None: IW-DSM needs a time-independent ratio"):
        METHODS["iw_dsm"].loss()
    with pytest.raises(ValueError, match=r"alpha=2.0: DSM\(obs\) has no weight to take to a power"):
        METHODS["dsm_obs"].loss(alpha=2.0)


@pytest.mark.parametrize(("name", "asked", "trained"), [
    ("dsm_ref", None, 1.0), ("dsm_ref", 0.3, 1.0), ("dsm_obs", None, None), ("dsm_obs", 0.3, 0.3),
    ("tiw_dsm", None, 0.5), ("tiw_dsm", 0.3, 0.3), ("tiw_dsm", 0.0, 0.0),
])  # fmt: skip
def test_the_share_of_reference_samples_is_the_one_asked_for_but_in_dsm_ref(name, asked, trained):
    assert METHODS[name].fraction(asked) == trained


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(ValueError, match="method='tiw': must be one of dsm_ref, dsm_obs"):
        method("tiw")
    assert method("tiw_dsm") is METHODS["tiw_dsm"]


@pytest.mark.parametrize("pi", [-0.1, 1.1])
def test_an_impossible_mixture_is_refused(pi):
    with pytest.raises(ValueError, match="reference_fraction"):
        log_weight(torch.zeros(1), pi)


def test_expand_is_the_only_broadcast():
    assert expand(torch.ones(4), torch.ones(4, 3, 8, 8)).shape == (4, 1, 1, 1)
