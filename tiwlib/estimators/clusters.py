"""Clusters of noisy samples, p_bias(k | x, sigma), and the ratio that follows when bias moves only their shares.

r(x, sigma) = sum_k rho_k p_bias(k | x, sigma). Gaussian clusters are closed form at every level; clusters of any
other kind are named by a network that has learned them from samples with noise.
"""

import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from tqdm.auto import tqdm

from tiwlib.networks import RatioNet
from tiwlib.noise import NoiseDistribution, expand


class ClusterRatio(nn.Module):
    """r(x, sigma) = sum_k rho_k p_bias(k | x, sigma). shares: pi^bias, (K,), positive, sum to one. log_rho: (K,)."""

    def __init__(self, shares: Tensor, log_rho: Tensor):
        super().__init__()
        self.register_buffer("shares", shares)
        self.register_buffer("log_rho", log_rho)

    def log_likelihood(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log p(x | k, sigma), but for a term that all clusters share: (B, K)."""
        raise NotImplementedError

    def log_posterior(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log p_bias(k | x, sigma), (B, K)."""
        return (self.shares.log() + self.log_likelihood(x, sigma)).log_softmax(1)

    def log_ratio(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log r(x, sigma), shape (B,)."""
        return (self.log_rho + self.log_posterior(x, sigma)).logsumexp(1)


class GaussianClusters(ClusterRatio):
    """Clusters N(c_k, s^2 I); with noise p_k^sigma = N(c_k, (s^2 + sigma^2) I). centres: (K, *shape). std: s >= 0."""

    def __init__(self, centres: Tensor, std: Tensor | float, shares: Tensor, log_rho: Tensor):
        super().__init__(shares, log_rho)
        self.register_buffer("centres", centres)
        self.register_buffer("std", torch.as_tensor(std, dtype=centres.dtype))

    def log_likelihood(self, x: Tensor, sigma: Tensor) -> Tensor:
        centres = self.centres.flatten(1)  # (K, dim)
        variance = (self.std**2 + sigma**2)[:, None]  # (B, 1)
        # -||x - c_k||^2 / 2 without the square of x: no (B, K, dim) in memory
        return (x.flatten(1) @ centres.T - centres.square().sum(1) / 2) / variance


class NamedClusters(ClusterRatio):
    """Clusters that a network names: its K logits are log p(x | k, sigma) but for a term of x and sigma."""

    def __init__(self, network: RatioNet, shares: Tensor, log_rho: Tensor):
        super().__init__(shares, log_rho)
        self.network = network

    def log_likelihood(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.network.logits(x, sigma)


def with_outputs(network: RatioNet, outputs: int) -> RatioNet:
    """The ratio network with another last layer, of so many outputs."""
    network.backbone.last = nn.Linear(network.backbone.last.in_features, outputs)
    return network


def refuse_too_many(clusters: int, samples: int) -> None:
    """More clusters than samples are a ValueError."""
    if clusters > samples:
        raise ValueError(f"clusters={clusters}: must be at most {samples}, the number of samples")


def refuse_points(clusters: int, x0: Tensor) -> None:
    """As many Gaussians as there are different samples are a ValueError: of width 0, they have no density."""
    different = len(x0.flatten(1).unique(dim=0))
    if clusters >= different:
        raise ValueError(
            f"clusters={clusters}: must be fewer than {different}, the number of different samples"
        )


def nearest_centres(points: Tensor, clusters: int, seed: int = 0) -> Tensor:
    """k-means: the cluster of each point (N, F), int64 (N,). More clusters than points are a ValueError."""
    refuse_too_many(clusters, len(points))
    labels = KMeans(clusters, n_init=4, random_state=seed).fit_predict(points.double().numpy())
    return torch.from_numpy(labels).long()


def fit_gaussians(x0: Tensor, clusters: int, *, steps: int = 50, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Centres (K, *shape) and the one std of the Gaussians that make samples (N, *shape) likely: EM from k-means."""
    points = x0.flatten(1).double()
    q = one_hot(nearest_centres(points, clusters, seed), clusters).double()  # (N, K)
    for step in range(steps + 1):
        shares = q.mean(0).clamp_min(1e-300)
        centres = q.T @ points / (len(points) * shares)[:, None]  # (K, dim)
        square = torch.cdist(points, centres).square()  # (N, K)
        variance = (q * square).sum() / points.numel()
        if variance == 0:  # every sample is a centre
            break
        if step < steps:
            q = (shares.log() - square / (2 * variance)).softmax(1)
    return centres.reshape(clusters, *x0.shape[1:]).to(x0), variance.sqrt().to(x0)


def learn_names(
    network: RatioNet,
    x0: Tensor,
    cluster: Tensor,
    noise_distribution: NoiseDistribution,
    *,
    steps: int,
    batch_size: int,
    lr: float,
    seed: int = 0,
    device="cpu",
) -> list[float]:
    """Fit a network of K outputs to the clusters of noisy samples by cross-entropy; returns the loss of each step.

    x0: (N, *shape). cluster: (N,). Clusters are drawn alike often, so that logits are log likelihoods.
    """
    optimiser = torch.optim.AdamW(network.to(device).parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    weight = (1 / torch.bincount(cluster).clamp_min(1))[cluster].double()  # (N,)
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in tqdm(range(steps), desc="clusters", unit="step", leave=False):
            rows = torch.multinomial(weight, batch_size, replacement=True)
            x, sigma = x0[rows].to(device), noise_distribution.sample(batch_size, device)
            x = x + expand(sigma, x) * torch.randn_like(x)
            loss = cross_entropy(network.logits(x, sigma), cluster[rows].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
    network.requires_grad_(False).eval()
    return losses
