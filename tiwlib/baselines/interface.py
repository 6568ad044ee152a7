"""What a baseline is: what it requires, how it is fitted, what it draws with."""

from dataclasses import asdict, dataclass, field
from typing import ClassVar

from tiwlib.data.problems import Problem
from tiwlib.ratio import RatioConfig
from tiwlib.runs.config import ExperimentConfig
from tiwlib.training import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Requires:
    """What a method must be given besides the biased set. A table that ranks methods shows it.

    reference   a small unbiased set
    labels      the group of each biased sample, for training
    classifier  one that names the group of a sample
    target      the group shares that are wanted
    base        a model trained before: "dsm_bias" (on the biased set alone) or "dsm_obs" (with the reference set)
    guess       what the user must know or guess, in words
    """

    reference: bool = False
    labels: bool = False
    classifier: bool = False
    target: bool = False
    base: str | None = None
    guess: str = ""

    def __str__(self) -> str:
        named = [name for name in ("reference", "labels", "classifier", "target") if getattr(self, name)]
        named += ["base model"] if self.base else []
        named += [f"a guess ({self.guess})"] if self.guess else []
        return ", ".join(named) or "nothing"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much may be spent, the same for all methods of a comparison.

    steps: of a denoiser trained from nothing. tune_steps: of what is trained on top of a base model. batch_size:
    samples a step, for both. lr, tune_lr: their learning rates; lr_decay: both fall to zero at the end. ratio_steps,
    ratio_lr: of a ratio network. sampling_steps: levels of the Heun sampler, at least 2.
    """

    steps: int = 2000
    tune_steps: int = 1000
    batch_size: int = 128
    lr: float = 1e-3
    tune_lr: float = 1e-3
    lr_decay: bool = False
    ratio_steps: int = 400
    ratio_lr: float = 1e-3
    sampling_steps: int = 20

    def __post_init__(self):
        for name, value in asdict(self).items():
            if name != "lr_decay" and value <= 0:
                raise ValueError(f"{name}={value}: must be positive")
        if self.sampling_steps < 2:
            raise ValueError(f"sampling_steps={self.sampling_steps}: must be at least 2")

    def training(self) -> TrainingConfig:
        """Of a denoiser trained from nothing."""
        return self._config(self.steps, self.lr)

    def tuning(self) -> TrainingConfig:
        """Of what is trained on top of a base model."""
        return self._config(self.tune_steps, self.tune_lr)

    def _config(self, steps: int, lr: float) -> TrainingConfig:
        return TrainingConfig(
            steps=steps, batch_size=self.batch_size, lr=lr, lr_decay=self.lr_decay, log_every=50
        )

    def experiment(self, method: str, seed: int) -> ExperimentConfig:
        """Of one of our own methods, trained from nothing on the CPU."""
        fitting = RatioConfig(steps=self.ratio_steps, lr=self.ratio_lr, batch_size=self.batch_size)
        return ExperimentConfig(
            method=method, seed=seed, fitting=fitting, training=self.training(), device="cpu"
        )


@dataclass(frozen=True, kw_only=True)
class Log:
    """What fitting a method has cost, its base model not counted: that one has a row of its own.

    steps: of all its networks. seconds: wall time. losses: (step, loss) of its last training. extra_parameters:
    weights that sampling needs beyond the denoiser's. evaluations: networks evaluated at each call of the
    denoiser, forward.
    """

    steps: int = 0
    seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    extra_parameters: int = 0
    evaluations: float = 1.0


class Baseline:
    """One method. Sub-classes are dataclasses of their options, with a name, a label and `requires`.

    A value of an option that makes no sense whatever the problem is a ValueError where the method is made, long before
    its base model is trained; what depends on the problem is one in `check`,
    and what depends on the budget in `check_budget`.

    tried: option -> values, of which notebook 07 chooses on the validation seed. After `fit`, `denoiser()` is
    D(x, sigma) for the one sampler.
    """

    name: str
    label: str
    requires: Requires
    tried: ClassVar[dict[str, list]] = {}

    def fit(self, problem: Problem, base, budget: Budget, seed: int) -> Log:
        """Fit on a problem. base: the model that `requires.base` names, or None. Raises as the checks do."""
        self.check(problem, base)
        self.check_budget(budget)
        log, self.fitted = self._fit(problem, base, budget, seed)
        return log

    def denoiser(self):
        """D(x, sigma) of the fitted method."""
        if not hasattr(self, "fitted"):
            raise ValueError(f"method={self.name}: is not fitted yet; call fit first")
        return self.fitted

    def check(self, problem: Problem, base=None) -> None:
        """Raise ValueError where the problem, or the caller, does not give what the method requires."""
        for name in ("reference", "labels", "classifier"):
            if getattr(self.requires, name) and getattr(problem, name) is None:
                raise ValueError(f"problem={problem.name}: has no {name}, which {self.label} requires")
        if self.requires.base and base is None:
            raise ValueError(f"base=None: {self.label} requires the model {self.requires.base}")

    def check_budget(self, budget: Budget) -> None:
        """Raise ValueError where the options do not go with the budget, whatever the problem."""
