"""The training objectives: a loss per sample, shape (B,), for a denoiser D(x; sigma) at x = x0 + sigma noise."""

from dataclasses import dataclass

from torch import Tensor

from tiwlib.gaussians import ExactRatio
from tiwlib.noise import expand, loss_weight
from tiwlib.ratio import log_weight, weight_and_correction


def squared_error(denoiser, x: Tensor, sigma: Tensor, target: Tensor) -> Tensor:
    """lambda(sigma) ||D(x; sigma) - target||^2 / dim, shape (B,)."""
    error = (denoiser(x, sigma) - target).square().flatten(1).mean(1)  # (B,)
    return loss_weight(sigma, denoiser.sigma_data) * error


def dsm(denoiser, x0: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """lambda ||D - x0||^2. Its minimiser is the score of the density that x0 is drawn from."""
    x = x0 + expand(sigma, x0) * noise
    return squared_error(denoiser, x, sigma, x0)


def iw_dsm(
    denoiser, x0: Tensor, sigma: Tensor, noise: Tensor, ratio, reference_fraction: float, alpha: float = 1
) -> Tensor:
    """lambda w(x0, 0)^alpha ||D - x0||^2: importance weights of clean samples; minimiser p_data at alpha = 1."""
    log_w = log_weight(ratio.log_ratio(x0, sigma * 0), reference_fraction).detach()  # (B,)
    return (alpha * log_w).exp() * dsm(denoiser, x0, sigma, noise)


def tiw_dsm(
    denoiser,
    x0: Tensor,
    sigma: Tensor,
    noise: Tensor,
    ratio,
    reference_fraction: float,
    weight: bool = True,
    correction: bool = True,
    alpha: float = 1,
) -> Tensor:
    """lambda w(x, sigma) ||D - (x0 + sigma^2 grad_x log w(x, sigma))||^2 (paper, theorem 1).

    alpha: w is taken to this power, in the weight and in its gradient, so that the minimiser is the score of
    p_batch^sigma w^alpha, p_data^sigma at alpha = 1. weight=False leaves w = 1 (C-only, the same minimiser);
    correction=False leaves the target x0 (W-only, the minimiser of plain DSM).
    """
    s = expand(sigma, x0)
    x = x0 + s * noise
    w, grad_log_w = weight_and_correction(ratio, x, sigma, reference_fraction)  # (B,), (B, ...)
    target = x0 + s**2 * alpha * grad_log_w if correction else x0
    loss = squared_error(denoiser, x, sigma, target)
    return w**alpha * loss if weight else loss


@dataclass(frozen=True)
class Method:
    """One way to train: its objective, the ratio that it asks for, and the batches that it sees.

    ratio: None, "time_independent" or "time_dependent". reference_fraction: the share pi of reference samples
    in a batch, one half for whatever knows its weights, as in the paper; None stands for D_obs as it is.
    told: the share that the weight believes in, where that is not the batch's; only notebook 06 has such a fault.
    """

    label: str
    objective: str
    ratio: str | None = None
    reference_fraction: float | None = None
    options: tuple[tuple[str, bool], ...] = ()
    told: float | None = None

    def fraction(self, asked: float | None = None) -> float | None:
        """The share pi to train with: `asked` if given, but DSM(ref) sees the reference set alone."""
        return self.reference_fraction if asked is None or self.reference_fraction == 1 else asked

    def believed(self, reference_fraction: float) -> float:
        """The share pi that the weight is made with: the batch's, unless it was told another."""
        return reference_fraction if self.told is None else self.told

    def loss(
        self, denoiser, x0, sigma, noise, ratio=None, reference_fraction=0.5, alpha=1, labels=None
    ) -> Tensor:
        """The per-sample loss, shape (B,), which is checked. labels: the fold of each sample (cross_fitting)."""
        ratio = ratio if labels is None else ratio.of(labels)
        if self.ratio is None:
            if alpha != 1:
                raise ValueError(
                    f"alpha={alpha}: {self.label} has no weight to take to a power; it must be 1"
                )
            loss = dsm(denoiser, x0, sigma, noise)
        else:
            function = {"iw_dsm": iw_dsm, "tiw_dsm": tiw_dsm}[self.objective]
            pi, extra = self.believed(reference_fraction), dict(self.options)
            loss = function(denoiser, x0, sigma, noise, ratio, pi, alpha=alpha, **extra)
        if loss.shape != x0.shape[:1]:
            raise ValueError(f"the loss of {self.label} has shape {tuple(loss.shape)}: must be ({len(x0)},)")
        return loss


METHODS = {
    "dsm_ref": Method("DSM(ref)", "dsm", reference_fraction=1.0),
    "dsm_obs": Method("DSM(obs)", "dsm"),
    "iw_dsm": Method("IW-DSM", "iw_dsm", "time_independent", 0.5),
    "tiw_dsm": Method("TIW-DSM", "tiw_dsm", "time_dependent", 0.5),
    "w_only": Method("W-only", "tiw_dsm", "time_dependent", 0.5, (("correction", False),)),
    "c_only": Method("C-only", "tiw_dsm", "time_dependent", 0.5, (("weight", False),)),
}


def method(name: str) -> Method:
    """The method of that name; an unknown one is a ValueError that lists them."""
    if name not in METHODS:
        raise ValueError(f"method={name!r}: must be one of {', '.join(METHODS)}")
    return METHODS[name]


def minimiser(method: Method, exact: ExactRatio, reference_fraction: float, ratio=None, alpha: float = 1):
    """The denoiser D(x; sigma) at which a method's expected loss is least, in closed form.

    exact: the pair of mixtures. ratio: what the correction is taken from, the exact ratio by default. Plain and
    weight-only losses are least at E[x0 | x] of the batch density; the correction adds sigma^2 alpha grad log w;
    importance weights of clean samples, which are exact here, make the batch p_data (known for alpha = 1 only).
    """
    if method.objective == "iw_dsm" and (alpha != 1 or ratio):
        raise ValueError(
            f"alpha={alpha}, ratio={ratio}: IW-DSM's minimiser is known for the exact ratio, alpha 1"
        )
    batch = exact.p_bias.mix(exact.p_data, reference_fraction)
    if method.objective == "iw_dsm":
        return exact.p_data.denoised
    if method.objective == "dsm" or not dict(method.options).get("correction", True):
        return batch.denoised

    def corrected(x: Tensor, sigma: Tensor) -> Tensor:
        believed = method.believed(reference_fraction)
        _, grad_log_w = weight_and_correction(ratio or exact, x, sigma, believed)
        return batch.denoised(x, sigma) + expand(sigma, x) ** 2 * alpha * grad_log_w

    return corrected
