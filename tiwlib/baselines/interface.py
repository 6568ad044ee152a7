"""What every method of the comparison is to the rest: what it requires, how it is fitted, what it draws with."""

from dataclasses import asdict, dataclass, field

from tiwlib.baselines.problems import Problem


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Budget:
    """How much may be spent, the same for all methods of a comparison.

    steps: of a denoiser trained from nothing. tune_steps: of what is trained on top of a base model. batch_size:
    samples a step, for both. lr, tune_lr: their learning rates. ratio_steps, ratio_lr: of a ratio network.
    sampling_steps: levels of the Heun sampler. Adam's rate warms up over 50 steps, the EMA's half-life is a
    fourteenth of the steps.
    """

    steps: int = 2000
    tune_steps: int = 1000
    batch_size: int = 128
    lr: float = 1e-3
    tune_lr: float = 1e-3
    ratio_steps: int = 400
    ratio_lr: float = 1e-3
    sampling_steps: int = 20

    def __post_init__(self):
        for name, value in asdict(self).items():
            if value <= 0:
                raise ValueError(f"{name}={value}: must be positive")


@dataclass(frozen=True)
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


class Sibling:
    """One method. Sub-classes are frozen dataclasses of their options, with a name, a label and `requires`.

    After `fit`, `denoiser()` is D(x, sigma) for the one sampler.
    """

    name: str
    label: str
    requires: Requires

    def fit(self, problem: Problem, base, budget: Budget, seed: int) -> Log:
        """Fit on a problem. base: the model that `requires.base` names, or None. Raises as `check` does."""
        self.check(problem, base)
        log, self.fitted = self._fit(problem, base, budget, seed)
        return log

    def denoiser(self):
        """D(x, sigma) of the fitted method."""
        if not hasattr(self, "fitted"):
            raise ValueError(f"method={self.name}: is not fitted yet; call fit first")
        return self.fitted

    def check(self, problem: Problem, base=None) -> None:
        """Raise ValueError where the problem, or the caller, does not give what the method requires."""
        given = {
            "reference": problem.reference is not None,
            "labels": problem.labels is not None,
            "classifier": problem.classifier is not None,
        }
        missing = [name for name, there in given.items() if getattr(self.requires, name) and not there]
        if missing:
            raise ValueError(f"problem={problem.name}: has no {missing[0]}, which {self.label} requires")
        if self.requires.base and base is None:
            raise ValueError(f"base=None: {self.label} requires the model {self.requires.base}")
