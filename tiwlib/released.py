"""The formula of the paper's released code, kept apart from our objectives, to show what its faults cost.

Three things differ from theorem 1. The correction is the gradient of d, not of log d: smaller by the factor d. Its
sign is the opposite. And one axis too many in the weighted loss, (B, 1, 1, B, C, H, W), lets every sample carry the
batch's mean weight. Do not train with this: what it converges to is in notebook 06.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tiwlib.gaussians import ExactRatio
from tiwlib.noise import expand
from tiwlib.objectives import squared_error


@dataclass(frozen=True)
class Formula:
    """TIW-DSM on half-and-half batches, each fault of the released code on or off.

    gradient_of: "d" (released) or "log d" (the paper). sign: -1 (released) or 1 (the paper). shared_weight: every
    sample has the batch's mean weight (released) or its own. The interface is that of objectives.Method.
    """

    label: str
    gradient_of: str = "d"
    sign: int = -1
    shared_weight: bool = True
    ratio: str = "time_dependent"
    reference_fraction: float = 0.5

    def __post_init__(self):
        if self.gradient_of not in ("d", "log d"):
            raise ValueError(f"gradient_of={self.gradient_of!r}: must be 'd' or 'log d'")
        if self.sign not in (-1, 1):
            raise ValueError(f"sign={self.sign}: must be -1 or 1")

    def correction(self, ratio, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """d(x, sigma) (B,), and what stands in the place of grad_x log w = grad_x log d, (B, ...)."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            d = ratio.log_ratio(x, sigma).sigmoid()  # (B,)
            value = d if self.gradient_of == "d" else d.log()
            (gradient,) = torch.autograd.grad(value.sum(), x)
        return d.detach(), self.sign * gradient

    def loss(self, denoiser, x0, sigma, noise, ratio, reference_fraction=0.5, alpha=1, labels=None) -> Tensor:
        """lambda 2d ||D - (x0 + sigma^2 correction)||^2, shape (B,), with the faults that are on.

        The code knows w = 2d alone, so batches of another mixture than one half, a power alpha and folds are not its.
        """
        if reference_fraction != 0.5 or alpha != 1 or labels is not None:
            raise ValueError(
                f"reference_fraction={reference_fraction}, alpha={alpha}: {self.label} must have 0.5 and 1, "
                "and no labels"
            )
        s = expand(sigma, x0)
        x = x0 + s * noise
        d, correction = self.correction(ratio, x, sigma)
        w = 2 * d.mean() if self.shared_weight else 2 * d
        return w * squared_error(denoiser, x, sigma, x0 + s**2 * correction)

    def minimiser(self, exact: ExactRatio):
        """The denoiser D(x; sigma) at which the expected loss is least.

        E[x0 | x] of the half-and-half batch and sigma^2 correction: no weight moves it, shared or not.
        """
        batch = exact.p_bias.mix(exact.p_data, 0.5)

        def denoised(x: Tensor, sigma: Tensor) -> Tensor:
            _, correction = self.correction(exact, x, sigma)
            return batch.denoised(x, sigma) + expand(sigma, x) ** 2 * correction

        return denoised


RELEASED = Formula("released code")
SIGN_MENDED = Formula("released, sign mended", sign=1)
LOG_MENDED = Formula("released, log d", gradient_of="log d")
