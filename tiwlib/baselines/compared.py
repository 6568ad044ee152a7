"""The comparison of notebook 07 from its parameters: which methods, on which problem, with which options."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from tiwlib import baselines
from tiwlib.baselines.comparison import combinations
from tiwlib.baselines.problems import GROUPS
from tiwlib.data.problems import Problem
from tiwlib.data.settings import SETTINGS

PRICED = (
    "tiw_dsm",
    "ratio_guidance",
    "adp",
    "invdiff_oracle",
    "domain_guidance",
)  # one for each way to sample


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Methods on one problem, with the same budget, sampler and judge.

    methods: names of BASELINES, "dsm_bias" first. n: samples of each method. target: (G,) shares that are wanted, ()
    for equal ones. options: name -> its options, of which `tune` sets those that are chosen. grids: name -> option ->
    the values to try. network: of the problems of digits as points, "mlp" or "unet".
    """

    name: str
    methods: list[str]
    budget: baselines.Budget
    n: int
    target: tuple[float, ...] = ()
    options: dict[str, dict] = field(default_factory=dict)
    grids: dict[str, dict[str, list]] = field(default_factory=dict)
    network: str = "mlp"

    def problem(self, seed: int) -> Problem:
        """The problem with the split of a seed. One with another number of groups than the target is a ValueError."""
        options = {"network": self.network} if self.name in GROUPS else {}
        problem = baselines.problem(self.name, seed, **options)
        groups = len(problem.group_names)
        if self.target and len(self.target) != groups:
            raise ValueError(f"target={self.target}: must have a share for each of the {groups} groups")
        return problem

    def wanted(self, problem: Problem) -> np.ndarray:
        """The group shares that are wanted, (G,)."""
        groups = len(problem.group_names)
        return np.array(self.target or (1 / groups,) * groups)

    def baseline(self, name: str, **tried) -> baselines.Baseline:
        """A method with its options; tried: values in their place."""
        return baselines.baseline(name, **{**self.options.get(name, {}), **tried})

    def fitted(self, name: str, problem: Problem, seed: int, **budget) -> baselines.Baseline:
        """A method, fitted on top of its base model. budget: fields of Budget that differ."""
        baseline = self.baseline(name)
        base = baselines.base_of(baseline, problem, self.budget, seed)
        baseline.fit(problem, base, replace(self.budget, **budget), seed)
        return baseline

    def measured(self, name: str, problem: Problem, seed: int, n: int | None = None) -> tuple[dict, Tensor]:
        """What `evaluate` measures of a method, and its samples; made once and cached."""
        options = {"n": n or self.n, "target": self.target}
        return baselines.measured_once(self.baseline(name), problem, self.budget, seed, **options)

    def tune(self, problem: Problem, seed: int, n: int) -> Iterator[tuple[str, list[dict]]]:
        """Try the options of each method that has a grid; yields (name, rows of `baselines.tune`).

        Each method takes the options that `chosen` picks, held against DSM(bias). The share of InvDiff is swept and
        not chosen: that would need the groups.
        """
        unguided = self.measured("dsm_bias", problem, seed, n)[0]["frechet"]
        for name, grid in self.grids.items():

            def build(name=name, **tried):
                return self.baseline(name, **tried)

            options = {"seed": seed, "n": n, "target": self.target}
            rows = baselines.tune(build, grid, problem, self.budget, **options)
            if name != "invdiff":
                best = baselines.chosen(rows, unguided)
                self.options[name] = self.options.get(name, {}) | {option: best[option] for option in grid}
            yield name, rows

    def table(self, rows: dict[str, list[dict]]) -> dict[str, dict]:
        """What figures and the record take: name -> label, requires, and measure -> mean, low, high, seeds.

        rows: name -> what was measured, a row for each seed.
        """
        table = {name: baselines.summary(measured) for name, measured in rows.items()}
        for name, measures in table.items():
            baseline = self.baseline(name)
            measures |= {"label": baseline.label, "requires": str(baseline.requires)}
        return table

    def relative_cost(self, problem: Problem, seed: int) -> dict[str, float]:
        """Sampling time over the base model's of the methods in PRICED.

        It does not depend on the weights: where a method trains on top of a base model, one step is enough.
        """
        names = ["dsm_bias", *(name for name in PRICED if name in self.methods)]
        denoisers = {name: self.fitted(name, problem, seed, tune_steps=1).denoiser() for name in names}
        base = denoisers.pop("dsm_bias")
        n, steps = min(self.n, 500), self.budget.sampling_steps
        return baselines.relative_cost(problem, base, denoisers, n=n, steps=steps)


def from_parameters(params: dict) -> Comparison:
    """The comparison that the parameters of notebook 07 describe. A wrong value is a ValueError that names it."""
    problem, target = params["problem"], tuple(params["target"])
    methods = params["methods"] or list(baselines.BASELINES)
    seeds, validation_seed = params["seeds"], params["validation_seed"]
    if seeds < 1 or validation_seed < seeds or methods[0] != "dsm_bias" or len(set(methods)) < len(methods):
        raise ValueError(
            f"seeds={seeds}, validation_seed={validation_seed}, methods={methods}: must be at least one seed, a "
            f"validation seed beyond them, and methods each named once, dsm_bias first"
        )
    if params["n_samples"] < 4:
        raise ValueError(f"n_samples={params['n_samples']}: must be at least 4, for distances between sets")
    budget = {name: params[name] for name in baselines.Budget.__dataclass_fields__ if name in params}
    r, variance = params["invdiff_r"], params["invdiff_variance"]
    options = {
        "adp": {"target": target},
        "ratio_guidance": {"strength": params["strength"]},
        "invdiff": {"share": params["invdiff_share"], "r": r, "variance": variance},
        "invdiff_oracle": {"r": r, "variance": variance},
        "ddm_released": {"w": params["ddm_w"]},
        "ddm_balanced": {"clusters": params["ddm_clusters"]},
    }
    comparison = Comparison(
        name=problem,
        methods=methods,
        budget=baselines.Budget(**budget, lr_decay=problem in SETTINGS),
        n=params["n_samples"],
        target=target,
        options=options,
        grids=_grids(methods, params),
        network=params["network"],
    )
    _refuse_bad_options(comparison)
    return comparison


def _refuse_bad_options(comparison: Comparison) -> None:
    """Make every method with its options and with all that is tried of them: a bad value shows before any training."""
    for name in (*comparison.methods, *comparison.options):
        for tried in ({}, *combinations(comparison.grids.get(name, {}))):
            baseline = comparison.baseline(name, **tried)
            if name in comparison.methods:
                baseline.check_budget(comparison.budget)


def _grids(methods: list[str], params: dict) -> dict[str, dict[str, list]]:
    """What is tried on the validation seed: a method's own values, and the parameters' for two of them."""
    given = {"adp": params["adp_grid"], "invdiff": {"share": params["invdiff_shares"]}}
    grids = {name: given.get(name) or baselines.baseline(name).tried for name in methods}
    return {name: grid for name, grid in grids.items() if grid}
