"""A text-conditional U-Net of diffusers (Stable Diffusion's class) as a denoiser that guidance can move.

Such a network was trained on z_t = a_t x0 + b_t noise, with a_t^2 + b_t^2 = 1 and t in 0..T-1. In the notation of
this library x = x0 + sigma noise with sigma = b_t / a_t, so z_t = x / sqrt(1 + sigma^2), and with the network's
output o

    epsilon-prediction   D = x - sigma o
    v-prediction         D = x / (1 + sigma^2) - sigma / sqrt(1 + sigma^2) o

With classifier-free guidance, o = o_empty + scale (o_text - o_empty); h then holds both halves of each sample.
"""

import tiwlib.torchvision_cpu  # noqa: F401  before whatever imports torchvision

# isort: split
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from tiwlib.noise import expand, grid_between


class TextDenoiser(nn.Module):
    """D(x, sigma), encode and decode of a `UNet2DConditionModel` with a fixed prompt.

    unet: its weights are frozen. alphas_cumprod: (T,), a_t^2 of its noise schedule. prompt, empty: embeddings of
    the text and of no text, (1, tokens, features). prediction: "epsilon" or "v_prediction". scale: of
    classifier-free guidance, 1 for none. x is a latent (B, C, H, W), sigma (B,) must lie within the schedule's
    levels; sides must be multiples of the U-Net's down-scaling. sigma_data = 1.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        alphas_cumprod: Tensor,
        prompt: Tensor,
        empty: Tensor,
        prediction: str = "epsilon",
        scale: float = 1.0,
    ):
        super().__init__()
        if prediction not in ("epsilon", "v_prediction"):
            raise ValueError(f"prediction={prediction!r}: must be 'epsilon' or 'v_prediction'")
        if (
            unet.config.addition_embed_type
            or unet.config.class_embed_type
            or unet.config.encoder_hid_dim_type
        ):
            raise ValueError(
                "unet: takes more than a text embedding (class, size or image); allowed is a U-Net with text alone"
            )
        self.unet, self.prediction, self.scale = unet.requires_grad_(False).eval(), prediction, scale
        self.sigma_data = 1.0
        self.register_buffer("log_sigmas", ((1 - alphas_cumprod) / alphas_cumprod).log() / 2)  # (T,)
        self.register_buffer("text", torch.cat([prompt, empty]) if scale != 1 else prompt)

    def sigma_range(self) -> tuple[float, float]:
        """The lowest and the highest level of the schedule."""
        return self.log_sigmas[0].exp().item(), self.log_sigmas[-1].exp().item()

    def grid(self, steps: int) -> Tensor:
        """A grid for `sampling.heun` within the schedule's levels, then 0: (steps + 1,)."""
        low, high = self.sigma_range()
        return grid_between(high, low, steps).to(self.log_sigmas.device)

    def timestep(self, sigma: Tensor) -> Tensor:
        """t (B,), between two steps in proportion to log sigma. Outside of the schedule it is a ValueError."""
        at = sigma.log().to(self.log_sigmas)  # (B,)
        low, high = self.log_sigmas[0] - 1e-4, self.log_sigmas[-1] + 1e-4
        if not ((at >= low) & (at <= high)).all():
            low, high = self.sigma_range()
            raise ValueError(f"sigma={sigma.tolist()}: must lie in [{low:.4g}, {high:.4g}]")
        above = torch.searchsorted(self.log_sigmas, at).clamp(1, len(self.log_sigmas) - 1)
        left, right = self.log_sigmas[above - 1], self.log_sigmas[above]
        return above - 1 + ((at - left) / (right - left)).clamp(0, 1)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.decode(*self.encode(x, sigma), x, sigma)

    def encode(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, tuple]:
        """The middle block's output h (B, C', H', W'), or (B, 2, C', H', W') with guidance, and the rest."""
        unet, copies = self.unet, len(self.text)
        z = (x / (1 + expand(sigma, x) ** 2).sqrt()).repeat_interleave(copies, 0).to(unet.dtype)
        t = self.timestep(sigma).repeat_interleave(copies, 0)
        text = self.text.repeat(len(x), 1, 1).to(unet.dtype)
        level = unet.time_embedding(unet.time_proj(t).to(unet.dtype))
        level = unet.time_embed_act(level) if unet.time_embed_act is not None else level
        h = unet.conv_in(2 * z - 1 if unet.config.center_input_sample else z)
        skips = (h,)
        for block in unet.down_blocks:
            h, more = block(h, level, **_text(block, text))
            skips += more
        h = unet.mid_block(h, level, **_text(unet.mid_block, text))
        return (h.unflatten(0, (-1, copies)) if copies > 1 else h), (skips, level, text)

    def decode(self, h: Tensor, context: tuple, x: Tensor, sigma: Tensor) -> Tensor:
        """D from a bottleneck h, which may have been moved: the shape of x."""
        unet, (skips, level, text), copies = self.unet, context, len(self.text)
        h = h.flatten(0, 1) if copies > 1 else h
        for block in unet.up_blocks:
            n = len(block.resnets)
            h, skips = block(h, skips[-n:], level, **_text(block, text)), skips[:-n]
        if unet.conv_norm_out:
            h = unet.conv_act(unet.conv_norm_out(h))
        output = unet.conv_out(h).to(x.dtype)
        if copies > 1:
            wanted, empty = output.unflatten(0, (-1, 2)).unbind(1)
            output = empty + self.scale * (wanted - empty)
        s = expand(sigma, x)
        if self.prediction == "epsilon":
            return x - s * output
        return x / (1 + s**2) - s / (1 + s**2).sqrt() * output


def _text(block: nn.Module, text: Tensor) -> dict:
    """The text for a block that looks at it."""
    return {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}
