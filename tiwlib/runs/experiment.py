"""One experiment: fit the ratio, train the denoiser, draw samples."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from tiwlib import devices, estimators, objectives, ratio, runs, sampling, training
from tiwlib.batches import Observed
from tiwlib.data import bias
from tiwlib.data.problems import Problem, of_images
from tiwlib.networks import DenoiserNet, RatioNet, seeded
from tiwlib.noise import Clean, LogNormal
from tiwlib.objectives import Ratio
from tiwlib.ratio import FittedRatio
from tiwlib.runs import cache, cost
from tiwlib.runs.config import ExperimentConfig
from tiwlib.runs.states import Checkpoint

NOTEBOOK = "05_train"


class Experiment:
    """One method on one problem. hashes, costs: of what was fitted so far, for a record.

    name: of the run; the usual one if empty. folder: where the states of the training are kept, None for nowhere. A
    network that the problem's samples do not fit is a ValueError here, before anything is fitted.
    """

    def __init__(
        self,
        problem: Problem,
        config: ExperimentConfig,
        accelerator: Accelerator | None = None,
        *,
        name: str = "",
        folder: Path | None = None,
    ):
        self.config, self.method = config, objectives.method(config.method)
        self.name, self.folder = name or config.name(problem.name), folder
        self.accelerator = accelerator or devices.accelerator(config.device)
        self.device = self.accelerator.device
        with torch.device("meta"):  # takes no memory, and refuses what cannot be built
            problem.denoiser(config.network, config.width, config.dropout)
        self.problem = problem.on(self.device)
        self.hashes = {
            name: value for name, value in problem.key.items() if name not in ("sigma_data", "levels")
        }
        self.costs = {}

    def observed(self, labels: tuple | None = None) -> Observed:
        """What training draws from. labels: a number for each biased and each reference sample, ((Nb,), (Nr,))."""
        pi = self.method.fraction(self.config.reference_fraction)
        return Observed(self.problem.biased, self.problem.reference, pi, labels)

    @property
    def reference_fraction(self) -> float:
        """pi, the share of reference samples in a batch."""
        return self.observed().reference_fraction

    def ratio(self, member: int = 0, held: tuple | None = None) -> FittedRatio | None:
        """The ratio that the method asks for, or None: fitted once for its problem and cached.

        An estimator other than the plain one gives one ratio for all noise levels, which IW-DSM asks at sigma = 0.
        member: another one has other initial weights. held: as in ratio.fit. Its hash goes into `hashes`; the
        seconds and the memory of its fit, whichever run has made it, into `costs`.
        """
        kind = self.method.ratio
        if kind is None:
            return None
        if self.config.estimator != "plain":
            return self._estimated()
        problem, config = self.problem, self.config
        levels = problem.noise_distribution if kind == "time_dependent" else Clean()
        fitting = asdict(replace(config.fitting, flip=config.training.flip))  # the denoiser's augmentation
        features = cache.sha256(Path(config.ratio_features)) if config.ratio_features else None
        key = {**problem.key, **fitting, "kind": kind, "dropout": config.ratio_dropout, "features": features}
        key |= {"seed": config.seed, "member": member, "held": held and [part.tolist() for part in held]}
        network = seeded(
            problem.ratio_network,
            config.ratio_dropout,
            config.ratio_features,
            seed=config.seed + 1000 * member,
        )

        def fit() -> tuple[dict[str, Tensor], dict]:
            costs = {}
            with cost.stage(costs, "ratio", self.device):
                fitted = ratio.fit(
                    network, problem.biased, problem.reference, levels,
                    held=held, seed=config.seed, device=self.device, **fitting,
                )  # fmt: skip
            return fitted.tensors(), costs["ratio"]

        cached = cache.once("ratio", key, fit)
        self.hashes["ratio"], self.costs["ratio"] = cached.sha256, cached.info
        fitted = FittedRatio.from_tensors(network, cached.tensors)
        network.to(self.device)
        return fitted

    def _estimated(self) -> FittedRatio:
        """The ratio of an estimator beyond the paper's, with its own defaults."""
        name, seed, problem = self.config.estimator, self.config.seed, self.problem
        training = self.config.training
        base, key = None, {**problem.key, "estimator": name, "seed": seed}
        if estimators.estimator(name).requires_base:
            plain = replace(
                self.config,
                method="dsm_obs",
                estimator="plain",
                base_steps=None,
                alpha=1.0,
                reference_fraction=None,
                training=replace(training, steps=self.config.base_steps or training.steps),
            )
            base, trained = Experiment(problem, plain, self.accelerator).trained_once()
            self.costs["base"], key["base"] = trained.info, trained.sha256

        def fit() -> tuple[dict[str, Tensor], dict]:
            costs = {}
            with cost.stage(costs, "ratio", self.device):
                fitted = estimators.fit(name, problem, base, seed=seed, device=self.device)
            return fitted.tensors(), costs["ratio"]

        cached = cache.once("ratio", key, fit)
        self.hashes["ratio"], self.costs["ratio"] = cached.sha256, cached.info
        fitted = estimators.restore(name, problem, base, cached.tensors)
        fitted.network.to(self.device)
        return fitted

    def denoiser(self) -> DenoiserNet:
        """The untrained network; its weights follow from the seed alone."""
        config = self.config
        return seeded(self.problem.denoiser, config.network, config.width, config.dropout, seed=config.seed)

    def loss(self, ratio: Ratio | None = None) -> Callable[..., Tensor]:
        """The method's loss of (denoiser, x0, sigma, noise) with this ratio, the experiment's pi and alpha."""
        return self.method.loss(ratio, self.reference_fraction, self.config.alpha)

    def train(
        self,
        denoiser: DenoiserNet,
        ratio: Ratio | None = None,
        *,
        loss: Callable[..., Tensor] | None = None,
        labels: tuple | None = None,
    ) -> Iterator[training.Progress]:
        """Train in place, yielding the reports of training.train; a state that is in `folder` is resumed.

        loss: in place of the method's, given `labels` (see `observed`) too where there are some. Where another
        command trains this run, a RuntimeError.
        """
        config, first = self.config, self.accelerator.is_main_process
        if config.compiled:
            for network in (denoiser, ratio and ratio.network):
                if isinstance(network, (DenoiserNet, RatioNet)):
                    devices.compile_backbone(network)
        names = ("method", "alpha", "network", "width", "dropout")
        identity = {name: getattr(config, name) for name in names}
        identity |= {**self.hashes, "reference_fraction": self.reference_fraction}
        identity |= {"sigma_data": self.problem.sigma_data}
        states = Checkpoint(self.folder) if self.folder else None
        with runs.alone(self.folder, self.name) if first and states else nullcontext():
            yield from training.train(
                denoiser,
                loss or self.loss(ratio),
                self.observed(labels),
                self.problem.noise_distribution,
                config.training,
                seed=config.seed,
                checkpoint=states,
                identity=identity,
                accelerator=self.accelerator,
                title=self.method.label,
            )

    @property
    def stage(self) -> str:
        """What a record calls the time of training: a part of it only, where a state is resumed."""
        return "training_resumed" if self.folder and Checkpoint(self.folder).states() else "training"

    def trained(self, ratio: Ratio | None = None, **options) -> DenoiserNet:
        """A denoiser trained to its end. options: as in `train`."""
        denoiser = self.denoiser()
        for _ in self.train(denoiser, ratio, **options):
            pass
        return denoiser

    def trained_once(self, ratio: Ratio | None = None) -> tuple[DenoiserNet, cache.Cached]:
        """The trained denoiser, frozen, from the cache or put there; info: seconds, peak_memory_mb and losses."""
        config, denoiser = self.config, self.denoiser()
        key = (
            self.problem.key
            | self.hashes
            | {"method": config.method, "alpha": config.alpha, "seed": config.seed}
        )
        key |= {"reference_fraction": self.reference_fraction, "dropout": config.dropout}
        key |= {"sizes": [list(p.shape) for p in denoiser.parameters()], **asdict(config.training)}

        def fit() -> tuple[dict[str, Tensor], dict]:
            costs = {}
            with cost.stage(costs, "training", self.device):
                losses = [(report.step, report.loss) for report in self.train(denoiser, ratio)]
            return denoiser.state_dict(), {"losses": losses, **costs["training"]}

        cached = cache.once("denoiser", key, fit)
        denoiser.load_state_dict(cached.tensors)
        return denoiser.requires_grad_(False).eval().to(self.device), cached

    def sample(self, denoiser) -> Tensor:
        """n_samples, or this process's part of them: (n, *shape) on the CPU."""
        config, rank, among = self.config, self.accelerator.process_index, self.accelerator.num_processes
        first, end = (config.n_samples * r // among for r in (rank, rank + 1))
        with devices.autocast(self.device, config.training.precision):
            return sampling.sample(
                denoiser.to(self.device), end - first, self.problem.shape, first=first, seed=config.seed,
                steps=config.sampling_steps, sigma_data=self.problem.sigma_data, device=self.device,
            )  # fmt: skip

    def training_images(self) -> np.ndarray:
        """Indices of the images that the denoiser sees, among those of the problem."""
        split = self.problem.images.split
        if self.reference_fraction == 1:
            return split.reference
        return np.concatenate([split.biased, split.reference])

    def forget(self) -> None:
        """Drop the states: a repetition of the run trains again."""
        shutil.rmtree(self.folder, ignore_errors=True)


def of_record(record: dict) -> Experiment:
    """The experiment of a finished run; a parameter that the notebook has got since then has its default."""
    return from_parameters(runs.defaults(NOTEBOOK) | record["params"] | {"run": ""})


def from_parameters(params: dict, accelerator: Accelerator | None = None) -> Experiment:
    """The experiment of notebook 05's parameters, checked by runs.parameters, with its states in checkpoints()."""
    config = ExperimentConfig.from_parameters(params)
    if params["run"]:
        runs.checked_name(params["run"])
    if params["noise_std"] <= 0:
        raise ValueError(f"noise_std={params['noise_std']}: must be positive")
    levels = LogNormal(params["noise_mean"], params["noise_std"])
    problem = of_images(bias.from_parameters(params, runs.PROJECT), params["sigma_data"], levels)
    name = params["run"] or config.name(problem.name)
    return Experiment(problem, config, accelerator, name=name, folder=runs.checkpoints() / NOTEBOOK / name)
