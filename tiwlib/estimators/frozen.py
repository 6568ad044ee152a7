"""A ratio network on frozen features, as in the paper: a pretrained classifier's first stages under a small head."""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
from pathlib import Path

import torch
import torchvision
from diffusers.models.resnet import ResnetBlock2D
from safetensors.torch import load_file
from torch import Tensor, nn

from tiwlib.backbones import embed
from tiwlib.networks import RatioNet


class FrozenFeatures(nn.Module):
    """For images: (B, C, H, W), (B,) -> (B, 1); the first half of a ResNet-18, frozen, then a head with sigma.

    weights: torchvision's ResNet-18, a .safetensors or .pth file; the paper's extractor was trained on noisy
    images, one trained on clean ones knows little at large sigma. Grey images are repeated over three channels.
    A missing file, or one of another network, is a ValueError that names it.
    """

    WIDTH = 128  # channels after the second of four stages

    def __init__(self, weights: Path, dropout: float = 0.0):
        super().__init__()
        resnet = torchvision.models.resnet18(weights=None)
        resnet.load_state_dict(_read(Path(weights), resnet))
        self.features = nn.Sequential(
            resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool, resnet.layer1, resnet.layer2
        )
        # the running statistics of its normalisation are frozen too
        self.features.requires_grad_(False).eval()
        self.level = nn.Sequential(nn.Linear(self.WIDTH, self.WIDTH), nn.SiLU())
        self.block = ResnetBlock2D(
            in_channels=self.WIDTH,
            out_channels=self.WIDTH,
            temb_channels=self.WIDTH,
            groups=8,
            dropout=dropout,
        )
        self.last = nn.Linear(self.WIDTH, 1)

    def train(self, mode: bool = True) -> "FrozenFeatures":
        super().train(mode)
        self.features.eval()
        return self

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        level = self.level(embed(c_noise, self.WIDTH))  # (B, 128)
        h = self.features(x.expand(-1, 3, -1, -1))  # (B, 128, H/8, W/8)
        return self.last(nn.functional.silu(self.block(h, level)).mean((2, 3)))


def _read(path: Path, network: nn.Module) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(
            f"ratio_features={str(path)!r}: no such file; it takes torchvision's ResNet-18 weights, "
            "resnet18-f37072fd.pth for one"
        )
    try:
        weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a file that is something else
        # The text is left out: torch's goes on to advise a way of loading that would run a stranger's code.
        raise ValueError(
            f"ratio_features={str(path)!r}: cannot be read as weights alone ({type(error).__name__}); allowed are "
            "the tensors of a state_dict in a .safetensors or .pth file"
        ) from None
    expected = network.state_dict()
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError(f"ratio_features={str(path)!r}: holds {type(weights).__name__}, no weights by name")
    if differing := expected.keys() ^ weights.keys():
        raise ValueError(
            f"ratio_features={str(path)!r}: not a ResNet-18, {len(differing)} tensors differ by name"
        )
    for name, value in expected.items():
        if weights[name].shape != value.shape:
            raise ValueError(
                f"ratio_features={str(path)!r}: {name} has shape {tuple(weights[name].shape)}; a ResNet-18's has "
                f"{tuple(value.shape)}"
            )
    return weights


def frozen_ratio(weights: Path, dropout: float = 0.0) -> RatioNet:
    """log r(x, sigma) on frozen features."""
    return RatioNet(FrozenFeatures(weights, dropout))
