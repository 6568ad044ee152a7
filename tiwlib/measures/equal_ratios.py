"""IW-DSM beside TIW-DSM on one ratio, in mixtures: where a wrong clean ratio takes IW-DSM, and the gradients' variance.

For any clean weight w0, right or wrong, Tweedie's formula for the density p_batch w0 says

    E[w0 x0 | x] / E[w0 | x] = E[x0 | x] + sigma^2 grad log E[w0 | x].

On the left stands the minimiser of IW-DSM, on the right that of TIW-DSM with w(x, sigma) = E[w0 | x]: with that weight
both have one minimiser, and whatever sets them apart is the variance of their gradients.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tiwlib.closed_form import EVALUATION_SEED
from tiwlib.gaussians import SIGMA_DATA, GaussianMixture
from tiwlib.objectives import Ratio, log_weight


def posterior(density: GaussianMixture, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """p(x0 | x), a mixture too: log weights (B, K), means (B, K, d), the standard deviation of its modes (B,).

    x: (B, d). sigma: (B,), positive.
    """
    means = torch.as_tensor(density.means, dtype=x.dtype)  # (K, d)
    total = density.std**2 + sigma**2  # (B,)
    offset = x[:, None] - means  # (B, K, d)
    log_weights = torch.as_tensor(density.weights, dtype=x.dtype).log()
    log_joint = log_weights - offset.square().sum(2) / (2 * total[:, None])
    means = means + (density.std**2 / total)[:, None, None] * offset
    return log_joint.log_softmax(1), means, density.std * sigma / total.sqrt()


# Of Gauss and Hermite's quadrature, in each dimension of each mode: leaves 3e-5 with the 2-D pair's exact weights.
NODES = 16


def importance_minimiser(
    ratio: Ratio, batch: GaussianMixture, reference_fraction: float, *, alpha: float = 1.0
) -> Callable[[Tensor, Tensor], Tensor]:
    """The denoiser D(x; sigma) = E[w0^alpha x0 | x] / E[w0^alpha | x] at which IW-DSM ends with any ratio.

    batch: the density of a batch. reference_fraction: the pi that the weight is made with.
    """
    points, masses = np.polynomial.hermite_e.hermegauss(NODES)

    @torch.no_grad()
    def part(x: Tensor, sigma: Tensor) -> Tensor:
        d = x.shape[1]
        z, log_mass = (
            torch.cartesian_prod(*[torch.from_numpy(values).to(x)] * d).reshape(-1, d)  # (J, d)
            for values in (points, np.log(masses))
        )
        log_p, mean, std = posterior(batch, x, sigma)
        x0 = mean[:, :, None] + std[:, None, None, None] * z  # (B, K, J, d)
        log_r = ratio.log_ratio(x0.flatten(0, 2), x0.new_zeros(x0[..., 0].numel()))
        log_w = alpha * log_weight(log_r, reference_fraction).reshape(x0.shape[:3])
        share = (log_p[..., None] + log_mass.sum(1) + log_w).flatten(1).softmax(1)  # (B, K J)
        return (share[..., None] * x0.flatten(1, 2)).sum(1)

    def denoised(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.cat([part(*both) for both in zip(x.split(16), sigma.split(16), strict=True)])

    return denoised


def gradient_noise(
    loss: Callable[..., Tensor],
    denoiser: Callable[[Tensor, Tensor], Tensor],
    batch: GaussianMixture,
    level: float,
    *,
    n: int = 100_000,
    seed: int = EVALUATION_SEED,
) -> float:
    """E ||g||^2, g the gradient of a loss per sample in the denoiser's output: what one sample adds to a step.

    denoiser: where it is taken. At the loss's minimiser E[g | x] = 0 for every noisy x, so this is the variance of g.
    level: the sigma of all n samples of the batch density. The same samples are drawn for every loss with one seed.
    """
    generator = torch.Generator().manual_seed(seed)
    x0 = batch.sample(n, generator, dtype=torch.float64)  # (n, d)
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    sigma = torch.full((n,), level, dtype=x0.dtype)
    output = denoiser(x0 + level * noise, sigma).requires_grad_()

    def at(x: Tensor, sigma: Tensor) -> Tensor:
        return output

    at.sigma_data = SIGMA_DATA
    (gradient,) = torch.autograd.grad(loss(at, x0, sigma, noise).sum(), output)  # (n, d)
    return gradient.square().sum(1).mean().item()
