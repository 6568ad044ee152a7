"""The adapter for text-conditional U-Nets, on a tiny one with random weights."""

import pytest
import torch

from tiwlib.baselines.guidance import Attribute, Guided, Predictor, fit_predictors
from tiwlib.baselines.text import TextDenoiser, UNet2DConditionModel
from tiwlib.networks import seeded
from tiwlib.sampling import heun
from tiwlib.training import TrainingConfig

ALPHAS = (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2).cumprod(0)  # Stable Diffusion's a_t^2


def tiny(**changes):
    config = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "cross_attention_dim": 12,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    return seeded(UNet2DConditionModel, **{**config, **changes}, seed=0)


def texts():
    return torch.randn(2, 1, 5, 12, generator=torch.Generator().manual_seed(0)).unbind()


def latents(n=3):
    return torch.randn(n, 4, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_it_is_the_models_own_forward_in_the_notation_of_this_library(prediction, scale):
    """z_t = a x0 + b noise by hand at whole steps t; D from the model's own forward and the published conversions."""
    unet, (prompt, empty), x = tiny(), texts(), latents()
    denoiser = TextDenoiser(unet, ALPHAS, prompt, empty, prediction, scale)
    t = torch.tensor([0, 400, 999])
    a, b = (part[:, None, None, None].sqrt() for part in (ALPHAS[t], 1 - ALPHAS[t]))
    sigma = (b / a).flatten()
    z = a * x

    def output(text):
        return unet(z, t, text.expand(3, -1, -1)).sample

    o = output(prompt) if scale == 1 else output(empty) + scale * (output(prompt) - output(empty))
    expected = (z - b * o) / a if prediction == "epsilon" else a * z - b * o
    h, context = denoiser.encode(x, sigma)
    assert h.shape == ((3, 16, 4, 4) if scale == 1 else (3, 2, 16, 4, 4))
    decoded = denoiser.decode(h, context, x, sigma)
    assert torch.equal(decoded, denoiser(x, sigma))
    assert torch.allclose(decoded, expected, atol=2e-4, rtol=1e-3)  # float32; sigma reaches 14.6


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_gives_the_clean_latent(prediction):
    """Conversions against the definitions epsilon = noise and v = a noise - b x0."""
    x0, noise, (prompt, empty) = latents(), torch.randn(3, 4, 8, 8), texts()
    denoiser = TextDenoiser(tiny(), ALPHAS, prompt, empty, prediction)
    sigma = torch.tensor([0.05, 1.0, 10.0])
    s = sigma[:, None, None, None]
    a, b = 1 / (1 + s**2).sqrt(), s / (1 + s**2).sqrt()
    perfect = noise if prediction == "epsilon" else a * noise - b * x0
    x = x0 + s * noise
    h, context = denoiser.encode(x, sigma)
    denoiser.unet.conv_out.forward = lambda h: perfect
    assert torch.allclose(denoiser.decode(h, context, x, sigma), x0, atol=1e-5)


def test_the_time_step_inverts_the_schedule_and_lies_between_two_steps():
    prompt, empty = texts()
    denoiser = TextDenoiser(tiny(), ALPHAS, prompt, empty)
    sigmas = ((1 - ALPHAS) / ALPHAS).sqrt()
    t = torch.tensor([0, 1, 500, 998, 999])
    assert torch.allclose(denoiser.timestep(sigmas[t]), t.float(), atol=2e-3)
    assert 500 < denoiser.timestep(sigmas[500:502].mean()[None]).item() < 501
    grid = denoiser.grid(6)
    assert grid.shape == (7,) and grid[-1] == 0
    assert grid[0].item() == pytest.approx(sigmas[-1].item(), rel=1e-5)
    for wrong in (sigmas[0] / 2, sigmas[-1] * 2):
        with pytest.raises(ValueError, match=r"sigma=.*must lie in \[0.02917, 14.61\]"):
            denoiser(latents(1), wrong[None])


class Brightness:
    """The sign of the mean of a latent: a classifier of two groups."""

    n_groups = 2

    def predict(self, x):
        return (x.flatten(1).mean(1) > x.mean()).long()


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_distribution_guidance_takes_it_as_it_is(scale):
    prompt, empty = texts()
    denoiser = TextDenoiser(tiny(), ALPHAS, prompt, empty, scale=scale)
    grid = denoiser.grid(5)
    x = latents(12) * grid[0]
    with torch.no_grad():
        predictors, _ = fit_with(denoiser, x, grid)
        plain = heun(denoiser, x, grid)
        moved = heun(Guided(denoiser, predictors, 2.0, 1000.0), x, grid)
    assert moved.isfinite().all() and not torch.allclose(moved, plain, atol=1e-4)
    assert isinstance(predictors[0][0], Predictor)


def fit_with(denoiser, x, grid):
    attribute = Attribute(Brightness(), (0.5, 0.5))
    config = TrainingConfig(steps=30, batch_size=8)

    def drawn(network):
        return heun(network, x, grid)

    with torch.enable_grad():
        return fit_predictors(denoiser, [attribute], grid[2:4], drawn, hidden=0, config=config, seed=0)


def test_what_it_cannot_run_is_refused():
    prompt, empty = texts()
    with pytest.raises(ValueError, match="prediction='sample': must be 'epsilon' or 'v_prediction'"):
        TextDenoiser(tiny(), ALPHAS, prompt, empty, "sample")
    conditioned = tiny(class_embed_type="timestep")
    with pytest.raises(ValueError, match="takes more than a text embedding"):
        TextDenoiser(conditioned, ALPHAS, prompt, empty)
