"""Shapes, seeds and the fading of the ratio."""

import pytest
import torch
from diffusers import UNet2DModel
from torch.utils.flop_counter import FlopCounterMode

from tiwlib.networks import (
    RatioNet,
    image_denoiser,
    image_ratio,
    paper_denoiser,
    parameters_of,
    point_denoiser,
    point_ratio,
    seeded,
)
from tiwlib.runs.pretrained import load_pretrained, save_pretrained


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (1, 28), (3, 32), (3, 64)])
def test_image_networks_keep_the_shape(channels, size):
    x, sigma = torch.randn(2, channels, size, size), torch.tensor([0.1, 3.0])
    assert image_denoiser(channels, size, 8)(x, sigma).shape == x.shape
    assert image_ratio(channels, 8)(x, sigma).shape == (2,)


def test_point_networks_keep_the_shape():
    x, sigma = torch.randn(5, 2), torch.rand(5)
    assert point_denoiser(2, 1.0, 16)(x, sigma).shape == (5, 2)
    assert point_ratio(2, 1.0, 16)(x, sigma).shape == (5,)


def test_the_seed_makes_the_weights_and_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one, same, other = (seeded(point_ratio, 2, 1.0, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    first = [next(n.parameters()) for n in (one, same, other)]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


def test_an_untrained_log_ratio_fades_as_the_noise_hides_the_data():
    """At sigma = 100 times the norm of a data point, log r is 100 times smaller, whatever the backbone says."""
    network = RatioNet(lambda x, c_noise: torch.ones(len(x), 1))
    norm = 0.5 * 64**0.5
    log_r = network(torch.randn(3, 1, 8, 8), torch.tensor([0.0, norm, 100 * norm]))
    assert torch.allclose(log_r, torch.tensor([1.0, 0.5**0.5, 0.01]), rtol=1e-4)


def test_the_denoiser_depends_on_the_noise_level():
    network = seeded(point_denoiser, 2, 1.0, 16, seed=0)
    x = torch.ones(2, 2)
    backbone = network.backbone(x, torch.tensor([-1.0, 1.0]))
    assert not torch.allclose(backbone[0], backbone[1])


@pytest.mark.parametrize(("build", "arguments"), [(image_denoiser, (1, 8, 8)), (image_ratio, (1, 8))])
def test_image_networks_depend_on_the_noise_level(build, arguments):
    network = seeded(build, *arguments, seed=0).eval()
    backbone = network.backbone(torch.ones(2, 1, 8, 8), torch.tensor([-1.0, 1.0]))
    assert (backbone[0] - backbone[1]).abs().max() > 1e-5  # far above rounding, also in an untrained network


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="size=25: must be a multiple of 2"):
        image_denoiser(3, 25)
    with pytest.raises(ValueError, match="size=50: must be a multiple of 8"):
        paper_denoiser(3, 50)


@pytest.mark.parametrize(("size", "levels"), [(8, 2), (16, 2), (28, 3), (32, 3), (36, 3), (50, 2), (64, 4)])
def test_images_are_halved_down_to_eight_pixels_or_an_odd_number(size, levels):
    assert len(image_denoiser(1, size, 8).backbone.model.config.block_out_channels) == levels


def test_parameters_are_counted():
    assert parameters_of(torch.nn.Linear(3, 4)) == 16


@pytest.mark.parametrize(("size", "levels"), [(32, 3), (64, 4)])
def test_the_paper_size_is_ddpmpp_s_within_five_percent(size, levels):
    """The original at 32 pixels: 55.7 M parameters, 42 GFLOP an image forward. Nothing is computed: meta tensors."""
    with torch.device("meta"):
        denoiser = paper_denoiser(3, size, dropout=0.13)
        x, sigma = torch.empty(1, 3, size, size), torch.ones(1)
    with FlopCounterMode(display=False) as flops:
        assert denoiser(x, sigma).shape == x.shape
    assert len(denoiser.backbone.model.down_blocks) == levels
    if size == 32:
        assert parameters_of(denoiser) == pytest.approx(55.7e6, rel=0.05)
        assert flops.get_total_flops() == pytest.approx(42e9, rel=0.05)
    heads = [
        block.attentions[0].heads
        for block in denoiser.backbone.model.down_blocks
        if hasattr(block, "attentions")
    ]
    assert heads == [1]


@pytest.mark.parametrize("sigma_data", [0.5, 0.8])
def test_a_finished_network_is_a_diffusers_folder(tmp_path, sigma_data):
    denoiser = seeded(image_denoiser, 1, 8, 8, seed=0).eval()
    denoiser.sigma_data = sigma_data
    folder = save_pretrained(denoiser, tmp_path / "denoiser")
    x, sigma = torch.randn(2, 1, 8, 8), torch.tensor([0.1, 3.0])
    assert torch.equal(load_pretrained(folder)(x, sigma), denoiser(x, sigma))
    plain = UNet2DModel.from_pretrained(folder)
    assert torch.equal(plain(x, sigma.log() / 4).sample, denoiser.backbone(x, sigma.log() / 4))
    assert not list(folder.glob("*.bin"))  # no pickle
    with pytest.raises(ValueError, match="holds no preconditioning.json"):
        load_pretrained(tmp_path)
