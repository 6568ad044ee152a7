"""Models trained from nothing: DSM, IW-DSM and TIW-DSM, and the base models that the others build upon.

Each is trained once for a problem, budget and seed, and kept: the row DSM(obs) of a table and the base of ratio
guidance are the same network.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tiwlib import batches, objectives, ratio, runs, training
from tiwlib.baselines.interface import Budget, Log, Requires, Sibling
from tiwlib.baselines.problems import Problem
from tiwlib.networks import DenoiserNet, seeded
from tiwlib.noise import Clean, LogNormal


def code() -> str:
    """Hash of the code that a model trained from nothing depends on."""
    folder = Path(__file__).parents[1]
    names = ["networks", "backbones", "noise", "objectives", "ratio", "training", "batches"]
    names += ["siblings/interface", "siblings/models", "siblings/problems"]
    return runs.digest([runs.sha256(folder / f"{name}.py") for name in names])


def once(name: str, key: dict, network: nn.Module, fit: Callable[[], Log]) -> Log:
    """Load the network that `key` names, or fit it in place and keep it, whole or not at all."""
    path = runs.checkpoints() / "siblings" / f"{name}-{runs.digest(key | {'code': code()})[:16]}.safetensors"
    if not path.exists():
        log = fit()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        state = {n: value.contiguous() for n, value in network.state_dict().items()}
        save_file(state, partial, {"log": json.dumps(asdict(log))})
        partial.replace(path)
    network.load_state_dict(load_file(path))
    network.requires_grad_(False).eval()
    with safe_open(path, framework="pt") as file:
        return Log(**json.loads(file.metadata()["log"]))


def size(network: nn.Module) -> int:
    """Number of weights, trainable or frozen."""
    return sum(p.numel() for p in network.parameters())


def noise_distribution(problem: Problem) -> LogNormal:
    """EDM's distribution of sigma at the problem's scale."""
    return LogNormal.for_data(problem.sigma_data)


@dataclass(frozen=True)
class Labelled:
    """Samples with labels, drawn together: x0 (N, ...), labels (N, ...). What `training.train` draws from.

    weights: (N,), in proportion to which samples are drawn; None for all alike. Drawing a sample more often has
    the minimiser of a heavier loss, and less noise.
    """

    x0: Tensor
    labels: Tensor
    weights: Tensor | None = None
    reference_fraction: float = 0.0

    def batch(self, n: int) -> tuple[Tensor, Tensor]:
        """n of them with replacement, by torch's global generator."""
        if self.weights is None:
            rows = torch.randint(len(self.x0), (n,))
        else:
            rows = torch.multinomial(self.weights, n, replacement=True)
        return self.x0[rows], self.labels[rows]


def schedule(budget: Budget, steps: int, lr: float) -> training.Schedule:
    """The one schedule of all trainings here."""
    return training.Schedule(steps, budget.batch_size, lr, ema_half_life=max(1.0, steps / 14), log_every=50)


def train(
    network: nn.Module, method, observed, noise_distribution, plan: training.Schedule, seed: int, **options
):
    """Run the one loop to its end; returns [(step, loss)] and the seconds it took."""
    began = time.perf_counter()
    reports = training.train(network, method, observed, noise_distribution, plan, seed=seed, **options)
    losses = [(report.step, report.loss) for report in reports]
    network.requires_grad_(False).eval()
    return losses, time.perf_counter() - began


def ratio_once(problem: Problem, kind: str, budget: Budget, seed: int) -> tuple[ratio.FittedRatio, float]:
    """The ratio of a problem, "time_dependent" or "time_independent", and the seconds that its fit took."""
    options = {
        "steps": budget.ratio_steps,
        "lr": budget.ratio_lr,
        "batch_size": budget.batch_size,
        "seed": seed,
    }
    key = {"kind": kind, **problem.key, **options, "code": code()}
    folder = runs.checkpoints() / "siblings"
    path = folder / f"ratio-{runs.digest(key)[:16]}.safetensors"
    timing = path.with_suffix(".json")
    began = time.perf_counter()
    network = seeded(problem.ratio_network, seed=seed)
    levels = noise_distribution(problem) if kind == "time_dependent" else Clean()
    fitted = ratio.fit_once(path, network, problem.biased, problem.reference, levels, **options)
    if not timing.exists():
        runs.write_json(timing, {"seconds": time.perf_counter() - began})
    return fitted, json.loads(timing.read_text())["seconds"]


def trained_once(problem: Problem, name: str, budget: Budget, seed: int) -> tuple[DenoiserNet, Log]:
    """The denoiser of a problem trained from nothing by a method of `objectives.METHODS`, or "dsm_bias"."""
    method = objectives.method("dsm_obs" if name == "dsm_bias" else name)
    nothing = problem.biased[:0]
    reference, pi = problem.reference, method.fraction(method.reference_fraction)
    if name == "dsm_bias":  # plain DSM on the biased set alone: what there is without a reference set
        observed = batches.Observed(nothing, problem.biased, 1.0)
    else:
        observed = batches.Observed(problem.biased, reference, pi)
    network = seeded(problem.network, seed=seed)

    def fit() -> Log:
        fitted, seconds, steps = None, 0.0, budget.steps
        if method.ratio:
            fitted, seconds = ratio_once(problem, method.ratio, budget, seed)
            steps += budget.ratio_steps
        plan = schedule(budget, budget.steps, budget.lr)
        losses, took = train(network, method, observed, noise_distribution(problem), plan, seed, ratio=fitted)
        return Log(steps, seconds + took, losses)

    sizes = [list(p.shape) for p in network.parameters()]
    parts = ["steps", "batch_size", "lr"] + (["ratio_steps", "ratio_lr"] if method.ratio else [])
    plan = {part: getattr(budget, part) for part in parts}  # not what is trained on top of it
    key = {"method": name, **problem.key, "budget": plan, "seed": seed, "sizes": sizes}
    return network, once(name, key, network, fit)


@dataclass
class Trained(Sibling):
    """A method of this library as a row: trained from nothing, nothing added at sampling time."""

    name: str
    label: str
    requires: Requires

    def _fit(self, problem: Problem, base, budget: Budget, seed: int):
        network, log = trained_once(problem, self.name, budget, seed)
        return log, network
