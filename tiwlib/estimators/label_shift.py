"""How often each cluster occurs in a set: label shift by EM (Saerens et al. 2002; Alexandari et al. 2020).

The assumption is p_data(x | k) = p_bias(x | k): bias moves the shares of clusters and leaves clusters as they are.
Then r(x) = sum_k rho_k p_bias(k | x) with rho_k = pi_k^ref / pi_k^bias: the reference samples decide K numbers.
"""

import warnings

import torch
from torch import Tensor

CONVERGED = 1e-6  # EM ends where no share moves by more


def shares(likelihood: Tensor, around: Tensor, *, prior: float, steps: int = 2000) -> tuple[Tensor, Tensor]:
    """The shares of K clusters in a set, (K,), and the log posterior before each step of EM, (steps,).

    likelihood: p(x_i | k) of the n samples up to a factor of x_i, (n, K). around, prior: mean and strength of a
    Dirichlet prior, `prior` pseudo-samples spread as `around`, (K,), positive; it is where EM begins. EM that still
    moves a share by more than CONVERGED at its end warns with that number. Bad values are ValueErrors.
    """
    n, clusters = likelihood.shape
    if around.shape != (clusters,) or not (around > 0).all():
        raise ValueError(f"around={around.tolist()}: must be {clusters} positive numbers")
    if n == 0:
        raise ValueError("likelihood: of no sample; shares need at least one")
    if not prior >= 0:
        raise ValueError(f"prior={prior}: must be at least 0")
    current, objective = around / around.sum(), []
    pseudo = prior * current
    for _ in range(steps):
        joint = current * likelihood  # (n, K)
        evidence = joint.sum(1)
        objective.append(evidence.log().sum() + torch.special.xlogy(pseudo, current).sum())
        before, current = current, ((joint / evidence[:, None]).sum(0) + pseudo) / (n + prior)
        if (moved := (current - before).abs().max().item()) <= CONVERGED:
            break
    else:
        warnings.warn(
            f"EM has not converged: the last of {steps} steps moved a share by {moved:.2g}, "
            f"more than {CONVERGED:.2g}",
            stacklevel=2,
        )
    return current, torch.stack(objective)


def bounded_log_rho(reference: Tensor, biased: Tensor, bound: float) -> Tensor:
    """log rho_k = log(pi_k^ref / pi_k^bias), (K,), within 1 / bound and bound.

    A cluster of references without biased samples has a rho of thousands, and one such weight ruins a training: a rho
    beyond the bound is moved to it, with a warning of how many and from where. bound: above 1, else a ValueError.
    """
    if not bound > 1:
        raise ValueError(f"bound={bound}: must be above 1")
    rho = reference / biased
    outside = rho[(rho > bound) | (rho < 1 / bound)]
    if len(outside):
        lowest, highest = outside.min().item(), outside.max().item()
        warnings.warn(
            f"rho of {len(outside)} of {len(rho)} clusters moved to bound={bound:g} or its inverse: they were "
            f"{lowest:.3g} to {highest:.3g}",
            stacklevel=2,
        )
    return rho.clamp(1 / bound, bound).log()
