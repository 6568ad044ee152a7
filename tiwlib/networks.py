"""The denoiser D(x; sigma) with EDM's preconditioning, and the ratio network log r(x, sigma).

Both hold a `backbone`, a network of (x, c_noise): an MLP for points, diffusers' blocks for images.
"""

import torch
from torch import Tensor, nn

from tiwlib.backbones import MLP, Encoder, UNet
from tiwlib.noise import expand


class DenoiserNet(nn.Module):
    """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise), Karras et al. 2022, table 1.

    x: (B, d) or (B, C, H, W); sigma: (B,), positive. Returns the shape of x. sigma_data: the data's standard
    deviation, 0.5 for images in [-1, 1].
    """

    def __init__(self, backbone: nn.Module, sigma_data: float = 0.5):
        super().__init__()
        self.backbone, self.sigma_data = backbone, sigma_data

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """D(x; sigma) = decode(*encode(x, sigma), x, sigma)."""
        c_in, c_noise = self._inputs(x, sigma)
        return self._denoised(self.backbone(c_in * x, c_noise), x, sigma)

    def encode(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, tuple]:
        """The backbone's bottleneck h, (B, width) or (B, C, H', W'), and what else `decode` needs."""
        c_in, c_noise = self._inputs(x, sigma)
        return self.backbone.encode(c_in * x, c_noise)

    def decode(self, h: Tensor, context: tuple, x: Tensor, sigma: Tensor) -> Tensor:
        """D from a bottleneck h, which may have been moved: the shape of x."""
        return self._denoised(self.backbone.decode(h, context), x, sigma)

    def _inputs(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        c_in = 1 / (expand(sigma, x) ** 2 + self.sigma_data**2).sqrt()
        return c_in, sigma.log() / 4  # (B, 1, ..., 1), (B,)

    def _denoised(self, backbone: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        s, sd = expand(sigma, x), self.sigma_data
        c_skip = sd**2 / (s**2 + sd**2)
        c_out = s * sd / (s**2 + sd**2).sqrt()
        return c_skip * x + c_out * backbone


class RatioNet(nn.Module):
    """log r(x, sigma) = c_out F(c_in x; c_noise), the logit of P(reference | x, sigma); the backbone has one output.

    x: (B, d) or (B, C, H, W); sigma: (B,), zero allowed. Returns (B,).
    c_out = s / sqrt(sigma^2 + s^2), where s = sigma_data sqrt(dim) is the norm of a data point: noise above it
    hides which point it was, and log r fades as |mean_data - mean_bias| / sigma. Without c_out the network would
    have to learn that where training has hardly any samples, and there a sampler starts.
    """

    SIGMA_FLOOR = 1e-3  # log(0) has no embedding; below this level noise is invisible

    def __init__(self, backbone: nn.Module, sigma_data: float = 0.5):
        super().__init__()
        self.backbone, self.sigma_data = backbone, sigma_data

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log r(x, sigma), shape (B,)."""
        return self.logits(x, sigma)[:, 0]

    def logits(self, x: Tensor, sigma: Tensor) -> Tensor:
        """c_out F(c_in x; c_noise), (B, outputs of the backbone)."""
        norm = self.sigma_data * x[0].numel() ** 0.5
        c_out = norm / (sigma**2 + norm**2).sqrt()  # (B,)
        c_in = 1 / (expand(sigma, x) ** 2 + self.sigma_data**2).sqrt()
        c_noise = sigma.clamp_min(self.SIGMA_FLOOR).log() / 4  # (B,)
        return c_out[:, None] * self.backbone(c_in * x, c_noise)

    forward = log_ratio


def parameters_of(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def point_denoiser(d: int, sigma_data: float, width: int = 128) -> DenoiserNet:
    """For points of d coordinates."""
    return DenoiserNet(MLP(d, d, width), sigma_data)


def point_ratio(d: int, sigma_data: float, width: int = 64) -> RatioNet:
    """For points of d coordinates."""
    return RatioNet(MLP(d, 1, width), sigma_data)


def _image_denoiser(channels: int, size: int, widths: tuple[int, ...], attends: list[bool], **options):
    """A U-Net with a level for each of `widths`, with attention where `attends` says so. options: diffusers' own."""
    halvings = len(widths) - 1
    if size % 2**halvings:
        raise ValueError(f"size={size}: must be a multiple of {2**halvings}, the network halves it so often")
    model = UNet(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        down_block_types=tuple("AttnDownBlock2D" if attention else "DownBlock2D" for attention in attends),
        up_block_types=tuple("AttnUpBlock2D" if attention else "UpBlock2D" for attention in attends[::-1]),
        norm_eps=1e-6,
        **options,
    )
    return DenoiserNet(model)


def image_denoiser(channels: int, size: int, width: int = 32, dropout: float = 0.0) -> DenoiserNet:
    """For images (channels, size, size): halved until at most 8 pixels wide, or odd; attention there.

    A size that cannot be halved once is a ValueError.
    """
    levels = 2
    while size // 2 ** (levels - 1) > 8 and size % 2**levels == 0:
        levels += 1
    widths, attends = (width,) + (2 * width,) * (levels - 1), [False] * (levels - 1) + [True]
    options = {"layers_per_block": 2, "attention_head_dim": width, "norm_num_groups": 8, "dropout": dropout}
    return _image_denoiser(channels, size, widths, attends, **options)


def paper_denoiser(channels: int, size: int, dropout: float = 0.0) -> DenoiserNet:
    """The paper's size: as near to DDPM++ as diffusers' blocks come (`python benchmarks/networks.py` compares).

    At 32 pixels three levels of 256 channels, at 64 four of 128, 256, 256, 256; four layers a level, attention at
    16 pixels with one head, an embedding of 512 for the noise level. A size that cannot be halved so often is a
    ValueError.
    """
    widths = (256, 256, 256) if size <= 32 else (128, 256, 256, 256)
    attends = [size // 2**i == 16 for i in range(len(widths))]
    options = {"layers_per_block": 4, "attention_head_dim": 256, "norm_num_groups": 32, "dropout": dropout}
    return _image_denoiser(channels, size, widths, attends, time_embedding_dim=512, **options)


def image_ratio(channels: int, width: int = 32, dropout: float = 0.0, stages: int = 2) -> RatioNet:
    """For images with the given number of channels, halved `stages` times."""
    return RatioNet(Encoder(channels, (width,) + (2 * width,) * (stages - 1), dropout))


def seeded(build, *args, seed: int, **kwargs) -> nn.Module:
    """A network whose initial weights depend on `seed` alone; torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(*args, **kwargs)
