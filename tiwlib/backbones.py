"""Backbones of denoiser and ratio network: an MLP for points, diffusers' blocks for images.

A backbone is a function of (x, c_noise). A denoiser's offers its bottleneck too: forward = decode(encode).
"""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
from diffusers import UNet2DModel
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn


def embed(c_noise: Tensor, channels: int) -> Tensor:
    """Sines and cosines of c_noise (B,) at angular frequencies from 8 to 1/4: (B, channels)."""
    return get_timestep_embedding(8 * c_noise, channels, max_period=32, downscale_freq_shift=0)


class MLP(nn.Module):
    """For points: (B, d), (B,) -> (B, d_out); three residual layers, the noise level joins at each.

    Its bottleneck is what the first half of the layers, rounded up, hand on: (B, width).
    """

    def __init__(self, d: int, d_out: int, width: int = 128):
        super().__init__()
        self.width = width
        self.first = nn.Linear(d, width)
        self.level, self.hidden = (nn.ModuleList(nn.Linear(width, width) for _ in range(3)) for _ in range(2))
        self.last = nn.Linear(width, d_out)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return self.decode(*self.encode(x, c_noise))

    def encode(self, x: Tensor, c_noise: Tensor) -> tuple[Tensor, tuple]:
        level = embed(c_noise, self.width)  # (B, width)
        middle = (len(self.hidden) + 1) // 2
        return self._layers(self.first(x), level, slice(0, middle)), (level, middle)

    def decode(self, h: Tensor, context: tuple) -> Tensor:
        level, middle = context
        return self.last(self._layers(h, level, slice(middle, None)))

    def _layers(self, h: Tensor, level: Tensor, part: slice) -> Tensor:
        for hidden, condition in zip(self.hidden[part], self.level[part], strict=True):
            h = h + nn.functional.silu(hidden(nn.functional.silu(h + condition(level))))
        return h  # (B, width)


class UNet(nn.Module):
    """diffusers' UNet2DModel as a backbone: (B, C, H, W), (B,) -> (B, C, H, W).

    Its bottleneck is the output of the middle block, (B, C', H', W'). The plain and the attention blocks are
    known to `encode`, not those with a second path for a down-scaled image ("Skip...").
    """

    def __init__(self, model: UNet2DModel | None = None, **config):
        super().__init__()
        self.model = model or UNet2DModel(**config)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return self.model(x, c_noise).sample

    def encode(self, x: Tensor, c_noise: Tensor) -> tuple[Tensor, tuple]:
        model = self.model
        level = model.time_embedding(model.time_proj(c_noise).to(model.dtype))  # (B, channels)
        h = model.conv_in(x)
        skips = (h,)
        for block in model.down_blocks:
            h, more = block(h, level)
            skips += more
        return model.mid_block(h, level), (skips, level)

    def decode(self, h: Tensor, context: tuple) -> Tensor:
        model, (skips, level) = self.model, context
        for block in model.up_blocks:
            n = len(block.resnets)
            h, skips = block(h, skips[-n:], level), skips[:-n]
        return model.conv_out(model.conv_act(model.conv_norm_out(h)))


class Encoder(nn.Module):
    """For images: (B, C, H, W), (B,) -> (B, d_out); diffusers' residual blocks, halved once a stage, then a mean."""

    def __init__(
        self, in_channels: int, channels: tuple[int, ...] = (32, 64), dropout: float = 0.0, d_out: int = 1
    ):
        super().__init__()
        self.width = 4 * channels[0]
        self.level = nn.Sequential(nn.Linear(self.width, self.width), nn.SiLU())
        self.first = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        stages = zip(channels[:1] + channels[:-1], channels, strict=True)
        how = {"temb_channels": self.width, "groups": 8, "dropout": dropout, "down": True}
        self.blocks = nn.ModuleList(ResnetBlock2D(in_channels=a, out_channels=b, **how) for a, b in stages)
        self.last = nn.Linear(channels[-1], d_out)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        level = self.level(embed(c_noise, self.width))  # (B, width)
        h = self.first(x)
        for block in self.blocks:
            h = block(h, level)
        return self.last(nn.functional.silu(h).mean((2, 3)))
