"""Many runs put together: options chosen on a validation seed, means over seeds, bars that must be met."""

import itertools
from dataclasses import dataclass

import numpy as np

from tiwlib.baselines.evaluation import evaluate
from tiwlib.baselines.interface import Budget
from tiwlib.baselines.problems import Problem
from tiwlib.measures.intervals import mean_interval


def combinations(grid: dict[str, list]) -> list[dict]:
    """All combinations of the options' values: [{option: value}]."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def tune(
    build, grid: dict[str, list], problem: Problem, base, budget: Budget, *, n: int = 1000, target=()
) -> list[dict]:
    """Fit a method with every combination of its options on a validation problem, and measure it.

    build: options -> Sibling. Returns a row for each: the options, discrepancy, frechet, or `failed` with the
    message of samples that diverged.
    """
    rows = []
    for options in combinations(grid):
        method = build(**options)
        log = method.fit(problem, base, budget, problem.seed)
        try:
            drawn = {"n": n, "seed": problem.seed, "steps": budget.sampling_steps, "target": target}
            found, _ = evaluate(problem, method.denoiser(), log, **drawn)
        except FloatingPointError as error:
            rows.append({**options, "failed": str(error)})
            continue
        rows.append({**options, **{name: found[name] for name in ("discrepancy", "frechet")}})
    return rows


def chosen(rows: list[dict], unguided_frechet: float) -> dict:
    """The row of the lowest discrepancy among those whose Frechet distance is no worse than the base's.

    Where none is, that of the lowest Frechet distance.
    """
    good = [row for row in rows if "failed" not in row]
    if not good:
        raise ValueError(
            f"grid: no combination of options gives samples; the last failed with {rows[-1]['failed']}"
        )
    fine = [row for row in good if row["frechet"] <= unguided_frechet]
    return (
        min(fine, key=lambda row: row["discrepancy"]) if fine else min(good, key=lambda row: row["frechet"])
    )


def summary(rows: list[dict]) -> dict[str, dict]:
    """Means over seeds of one method's measures: measure -> {"mean", "low", "high", "seeds"}.

    rows: of `evaluate`, one for each seed. Lists (shares by group) give lists; low and high are None where there
    are fewer than two seeds; a group without samples is left out of its mean.
    """
    return {name: _mean([row[name] for row in rows]) for name in rows[0]}


def _mean(values: list) -> dict:
    if isinstance(values[0], list):
        columns = [_mean(list(column)) for column in zip(*values, strict=True)]
        return {part: [column[part] for column in columns] for part in ("mean", "low", "high")} | {
            "seeds": values
        }
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return {"mean": known[0] if known else None, "low": None, "high": None, "seeds": values}
    mean, low, high = mean_interval(known)
    return {"mean": mean, "low": low, "high": high, "seeds": values}


@dataclass(frozen=True)
class Bar:
    """What a method must show on a problem: `measured` is the mean over seeds, and must not exceed `bound`."""

    method: str
    problem: str
    what: str
    measured: float
    bound: float

    @property
    def met(self) -> bool:
        return bool(self.measured <= self.bound)


# Which method must bring the group shares within 5 points of equal ones, or halve the discrepancy, where.
WITHIN = {
    "adp": ("gmm", "low-high"),
    "invdiff_oracle": ("gmm", "0v1", "low-high", "long-tail"),
    "invdiff": ("gmm", "0v1"),
    "ddm_balanced": ("gmm", "0v1"),
}
HALVED = {"adp": ("gmm", "0v1", "low-high"), "invdiff": ("low-high",)}
NO_WORSE = {"adp": ("gmm", "0v1", "low-high")}
LONGEST = {"adp": 1.6}


def bars(problem: str, methods: dict[str, dict], relative_seconds: dict[str, float]) -> list[Bar]:
    """The bars of those methods that were run on a problem. methods: name -> `summary`, the base among them."""
    base, found = methods["dsm_bias"], []
    for name, measures in methods.items():
        shares = np.asarray(measures["shares"]["mean"])
        if problem in WITHIN.get(name, ()):
            farthest = float(np.abs(shares - 1 / len(shares)).max())
            found.append(Bar(name, problem, "largest distance of a share from equal ones", farthest, 0.05))
        for measure, where, factor in (("discrepancy", HALVED, 0.5), ("frechet", NO_WORSE, 1.0)):
            if problem in where.get(name, ()):
                bound = factor * base[measure]["mean"]
                what = f"{measure}, at most {factor:g} of the base model's"
                found.append(Bar(name, problem, what, measures[measure]["mean"], bound))
        if name in LONGEST and name in relative_seconds:
            what = "sampling time over the base model's"
            found.append(Bar(name, problem, what, relative_seconds[name], LONGEST[name]))
    return found
