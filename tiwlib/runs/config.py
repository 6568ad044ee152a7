"""How one experiment is made: every choice with its type, checked before anything is fitted."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tiwlib import estimators, objectives
from tiwlib.data.problems import NETWORKS
from tiwlib.ratio import RatioConfig
from tiwlib.runs.cache import PROJECT
from tiwlib.training import TrainingConfig

SEEDS = 2**32  # NumPy's and torch's CPU generators take no more
SHOWN = 12 + 80  # samples in the two pictures of notebook 05
FITTING = RatioConfig(steps=150, lr=3e-4, batch_size=128)
# Notebook 05's usual values of the plain ratio network, which other estimators leave aside. ratio_steps is not here:
# files of parameters have one for the plain ratio, and `-p ratio posterior` may stand beside any of these files.
OF_THE_PLAIN_RATIO = {"ratio_lr": FITTING.lr, "ratio_dropout": 0.5}


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """What to train, how, and how much to draw. A value that makes no sense is a ValueError that names it.

    method: a name of objectives.METHODS. seed: of networks, training and samples, in 0..2^32-1. reference_fraction:
    pi in [0, 1], None for the method's own. alpha: power of the weight, at least 0. estimator: of the ratio, a name of
    estimators.ESTIMATORS; all but "plain" have options of their own. base_steps: how long the plain denoiser is trained
    on whose features some of them stand, None for as long as the denoiser itself. fitting: of the plain ratio network,
    whose flips are those of the training. ratio_dropout: None for the problem's usual one. ratio_features: a file of
    ResNet-18 weights for a ratio on frozen features, or "". network: "small", or "paper" for images. width: of a
    small denoiser, a multiple of 8, or None for the usual one. compiled: compile the networks first. device,
    num_processes: as in devices.accelerator, and processes that share a batch. n_samples are drawn at the end, at
    sampling_steps noise levels.
    """

    method: str = "tiw_dsm"
    seed: int = 0
    reference_fraction: float | None = None
    alpha: float = 1.0
    estimator: str = "plain"
    base_steps: int | None = None
    fitting: RatioConfig = FITTING
    ratio_dropout: float | None = None
    ratio_features: str = ""
    network: str = "small"
    width: int | None = None
    dropout: float = 0.0
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(steps=1000))
    compiled: bool = False
    device: str = ""
    num_processes: int = 1
    n_samples: int = 1000
    sampling_steps: int = 18

    def __post_init__(self):
        method = objectives.method(self.method)
        if method.ratio is None:
            method.loss(alpha=self.alpha)  # refuses a power without a weight
        estimators.estimator(self.estimator)  # refuses an unknown one
        alone = self.estimator == "plain" or method.ratio is not None
        self._refuse_unless(alone, "estimator", f"{method.label} needs no ratio; must be 'plain'")
        if self.base_steps is not None:
            based = estimators.estimator(self.estimator).requires_base
            self._refuse_unless(
                based, "base_steps", f"ratio={self.estimator!r} needs no denoiser; leave it out"
            )
            whole = isinstance(self.base_steps, int) and self.base_steps >= 1
            self._refuse_unless(whole, "base_steps", "must be a whole number, at least 1")
        other = self.estimator == "plain" or not self.ratio_features
        self._refuse_unless(other, "ratio_features", "only the plain ratio stands on a file of features")
        self._refuse_unless(0 <= self.seed < SEEDS, "seed", f"must lie in 0 to {SEEDS - 1}")
        self._refuse_unless(0 <= self.alpha < math.inf, "alpha", "must be finite and not negative")
        pi = self.reference_fraction
        self._refuse_unless(pi is None or 0 <= pi <= 1, "reference_fraction", "must lie in [0, 1]")
        self._refuse_unless(
            pi is None or method.reference_fraction != 1,
            "reference_fraction",
            f"{method.label} trains on the reference set alone; leave it out",
        )
        for name in ("dropout", "ratio_dropout"):
            self._refuse_unless(0 <= (getattr(self, name) or 0) < 1, name, "must lie in [0, 1)")
        self._refuse_unless(self.network in NETWORKS, "network", f"must be one of {', '.join(NETWORKS)}")
        wide = self.width is None or (self.width >= 8 and self.width % 8 == 0)
        self._refuse_unless(wide, "width", "must be a multiple of 8, at least 8")
        self._refuse_unless(self.n_samples >= 1, "n_samples", "must be at least 1")
        self._refuse_unless(self.sampling_steps >= 2, "sampling_steps", "must be at least 2")
        self._refuse_unless(
            not self.ratio_features or Path(self.ratio_features).is_file(), "ratio_features", "no such file"
        )
        refuse_missing_devices(self.num_processes, self.device)
        batch = self.training.batch_size
        if batch % self.num_processes or self.n_samples < self.num_processes:
            raise ValueError(
                f"batch_size={batch}, n_samples={self.n_samples}: must be a multiple of, and at least, "
                f"num_processes={self.num_processes}"
            )

    def _refuse_unless(self, condition: bool, name: str, allowed: str) -> None:
        if not condition:
            raise ValueError(f"{name}={getattr(self, name)!r}: {allowed}")

    def name(self, problem: str) -> str:
        """The usual name of a run on a problem of that name."""
        pi = [f"pi{self.reference_fraction:g}"] if self.reference_fraction is not None else []
        alpha = [f"alpha{self.alpha:g}"] if self.alpha != 1 else []
        ratio = [self.ratio_name] if self.estimator != "plain" else []
        return "-".join([problem, self.method, *ratio, *pi, *alpha, f"seed{self.seed}"])

    @property
    def ratio_name(self) -> str:
        """The estimator, and the length of its plain denoiser where that is one of its own: posterior-base400."""
        return self.estimator + (f"-base{self.base_steps}" if self.base_steps is not None else "")

    @classmethod
    def from_parameters(cls, params: dict) -> "ExperimentConfig":
        """From the parameters of notebook 05, checked by runs.parameters; paths are taken from the project."""
        if params["ratio"] != "plain":
            refuse_values_of_the_plain_ratio(params)
        if params["n_samples"] < SHOWN:
            raise ValueError(
                f"n_samples={params['n_samples']}: must be at least {SHOWN}: 12 samples are shown beside their "
                "nearest training images, and 80 more in a grid"
            )
        names = (
            "method",
            "seed",
            "reference_fraction",
            "alpha",
            "ratio_dropout",
            "network",
            "width",
            "dropout",
        )
        names += ("compiled", "device", "num_processes", "n_samples", "sampling_steps")
        training = (
            "steps",
            "batch_size",
            "micro_batch",
            "lr",
            "warmup",
            "lr_decay",
            "ema_half_life",
            "flip",
            "precision",
        )
        features, base_steps = params["ratio_features"], params["base_steps"]  # a float, where it is not None
        return cls(
            **{name: params[name] for name in names},
            base_steps=base_steps if base_steps is None or base_steps % 1 else int(base_steps),
            estimator=params["ratio"],
            ratio_features=str(PROJECT / features) if features else "",
            fitting=RatioConfig(steps=params["ratio_steps"], lr=params["ratio_lr"], batch_size=128),
            training=TrainingConfig(
                **{name: params[name] for name in (*training, "checkpoint_minutes")},
            ),
        )


def refuse_values_of_the_plain_ratio(params: dict) -> None:
    """Parameters of notebook 05 that only the plain ratio uses, and that are not the usual ones, are a ValueError."""
    for name, usual in OF_THE_PLAIN_RATIO.items():
        if params[name] != usual:
            raise ValueError(
                f"{name}={params[name]}: only the plain ratio uses it, not ratio={params['ratio']!r}; leave it out"
            )


def refuse_missing_devices(num_processes: int, device: str) -> None:
    """More processes than CUDA devices, where there are any, are a ValueError: two would share one."""
    if num_processes < 1:
        raise ValueError(f"num_processes={num_processes}: must be at least 1")
    there = torch.cuda.device_count()
    if device != "cpu" and 0 < there < num_processes:
        raise ValueError(
            f"num_processes={num_processes}: this machine has {there} CUDA devices, one process each"
        )
