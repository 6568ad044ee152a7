"""Many runs put together: each made once, options chosen on a validation seed, means over seeds."""

import itertools
from collections.abc import Callable
from dataclasses import asdict

from torch import Tensor

from tiwlib.baselines.evaluation import evaluate
from tiwlib.baselines.interface import Baseline, Budget
from tiwlib.baselines.models import base_of
from tiwlib.data.problems import Problem
from tiwlib.measures.intervals import mean_interval
from tiwlib.runs import cache

CHOSEN_BY = ("fairness_discrepancy", "frechet")


def combinations(grid: dict[str, list]) -> list[dict]:
    """All combinations of the options' values: [{option: value}]. An option without a list of them is a ValueError."""
    for option, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"{option}={values!r}: must list at least one value to try")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def measured_once(
    baseline: Baseline, problem: Problem, budget: Budget, seed: int, *, n: int = 2000, target: tuple = ()
) -> tuple[dict, Tensor]:
    """Fit a method, draw n samples and measure them, or take all of that from the cache; as `evaluate` returns it.

    A comparison that was stopped goes on where it was. The base model is trained where one is required.
    """
    key = problem.key | {"baseline": f"{baseline.name} {baseline!r}", "budget": asdict(budget)}
    key |= {"seed": seed, "n": n, "target": list(target)}

    def fit() -> tuple[dict[str, Tensor], dict]:
        log = baseline.fit(problem, base_of(baseline, problem, budget, seed), budget, seed)
        sampling = {"n": n, "seed": seed, "steps": budget.sampling_steps, "target": target}
        measures, samples = evaluate(problem, baseline.denoiser(), log, **sampling)
        return {"samples": samples}, measures

    cached = cache.once("baseline", key, fit)
    return cached.info, cached.tensors["samples"]


def tune(
    build: Callable[..., Baseline],
    grid: dict[str, list],
    problem: Problem,
    budget: Budget,
    *,
    seed: int,
    n: int = 1000,
    target: tuple = (),
) -> list[dict]:
    """Fit a method with every combination of its options on a validation problem, and measure it.

    build: options -> Baseline. Returns a row for each: the options, CHOSEN_BY, or `failed` with the
    message of samples that diverged.
    """
    rows = []
    for options in combinations(grid):
        try:
            measures, _ = measured_once(build(**options), problem, budget, seed, n=n, target=target)
        except FloatingPointError as error:
            rows.append({**options, "failed": str(error)})
            continue
        rows.append({**options, **{name: measures[name] for name in CHOSEN_BY}})
    return rows


def chosen(rows: list[dict], unguided_frechet: float) -> dict:
    """The row of the lowest fairness discrepancy among those whose Frechet distance is no worse than the base's.

    Where none is, that of the lowest Frechet distance.
    """
    good = [row for row in rows if "failed" not in row]
    if not good:
        raise ValueError(
            f"grid: no combination of options gives samples; the last failed with {rows[-1]['failed']}"
        )
    fine = [row for row in good if row["frechet"] <= unguided_frechet]
    return (
        min(fine, key=lambda row: row["fairness_discrepancy"])
        if fine
        else min(good, key=lambda row: row["frechet"])
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
