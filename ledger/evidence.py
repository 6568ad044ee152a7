"""What a claim rests on: numbers read from the records that a sweep makes, each with its interval.

A measurement reads finished runs only and raises Missing where there are none. A record that is there but lacks the
number that is asked for is a KeyError that names both: a renamed key must not look like a run that was never made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import inf

from scipy import stats

from tiwlib.measures.intervals import BOUNDS, clipped, mean_interval, paired_interval
from tiwlib.runs import PROJECT, read_record
from tiwlib.runs.tables import benchmark
from workflow import plan

ANY, UNIT = (-inf, inf), (0.0, 1.0)


class Missing(Exception):
    """No finished run holds the number."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A number with its 95 % interval.

    values: the number of each seed, or none where it was computed without chance. yes_or_no: whether each of them is
    0 or 1, and `value` their share. bounds: the range of the quantity, which the interval does not leave. interval: how
    it was made. runs: what was read.
    """

    value: float
    low: float
    high: float
    values: tuple[float, ...] = ()
    yes_or_no: bool = False
    bounds: tuple[float, float] = ANY
    interval: str
    seeds: tuple[int, ...]
    runs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Values:
    """One number of each run (or each repetition in a run), under what makes two of them a pair: seed and split."""

    by_pair: Mapping[tuple, float]
    runs: tuple[str, ...]
    bounds: tuple[float, float] = ANY

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({pair[0] for pair in self.by_pair}))


# ---------------------------------------------------------------- reading


@cache
def planned(sweep: str) -> tuple[plan.Planned, ...]:
    return plan.load(PROJECT / "workflow" / f"{sweep}.yaml").runs


POWER = PROJECT / "workflow" / "power.yaml"  # further seeds, by `python -m ledger.power`


def but_for_the_seed(params: dict) -> dict:
    return {name: value for name, value in params.items() if name not in ("seed", "run")}


def added(sweep: str) -> tuple[plan.Planned, ...]:
    """The further seeds of a sweep's runs, as POWER plans them."""
    if not POWER.exists():
        return ()
    names, alike = {r.name for r in planned(sweep)}, [but_for_the_seed(r.params) for r in planned(sweep)]
    more = plan.load(POWER).runs
    return tuple(r for r in more if r.name not in names and but_for_the_seed(r.params) in alike)


def records(sweep: str, notebook: str, **where) -> list[dict]:
    """The finished runs among those that workflow/<sweep>.yaml plans with these parameters, and further seeds of them.

    Each is as from runs.read_record, with its name under `run`.

    Raises Missing where none is finished, ValueError where they differ in more than the seed.
    """
    runs = [r for r in (*planned(sweep), *added(sweep)) if r.notebook == notebook]
    runs = [r for r in runs if all(r.params.get(name, ...) == value for name, value in where.items())]
    finished = [{"run": f"{notebook}/{r.name}", **read_record(r.folder)} for r in runs if r.done()]
    if not finished:
        asked = ", ".join(f"{name} {value}" for name, value in where.items())
        raise Missing(f"no finished run of {notebook}" + (f" with {asked}" if asked else ""))
    for name in sorted(finished[0]["params"].keys() - {"seed", "run"}):
        if any(r["params"].get(name) != finished[0]["params"][name] for r in finished):
            raise ValueError(f"the runs of {notebook} with {where} differ in {name}: say which are meant")
    return finished


def number(record: dict, metric: str | Callable[[dict], object]):
    """A metric of a run by its name, or what `metric` takes out of all of them.

    A key that is not there is a KeyError that names the run and the key. None stands for a number that this run could
    not have (no groups, no features): Missing.
    """
    try:
        value = metric(record["metrics"]) if callable(metric) else record["metrics"][metric]
    except KeyError as error:
        raise KeyError(f"{record['run']}: its metrics.json has no {error.args[0]}") from error
    if value is None:
        raise Missing(f"{record['run']} does not measure {metric}")
    return value


def of_runs(found: list[dict], metric: str | Callable[[dict], float], bounds=ANY) -> Values:
    """A number of runs that have a seed each; the pair is seed and split. bounds: where `metric` is no name."""
    values = {
        (r["params"]["seed"], r["provenance"]["hashes"].get("split")): float(number(r, metric)) for r in found
    }
    bounds = BOUNDS.get(metric, ANY) if isinstance(metric, str) else bounds
    return Values(by_pair=values, runs=tuple(r["run"] for r in found), bounds=bounds)


def within_run(found: list[dict], extract: Callable[[dict], Mapping[int, float]], bounds=ANY) -> Values:
    """Numbers of one run that repeats over seeds itself: extract takes its metrics and gives seed -> number."""
    (record,) = found
    values = {(seed, None): float(value) for seed, value in number(record, extract).items()}
    return Values(by_pair=values, runs=(record["run"],), bounds=bounds)


def of_benchmark(name: str, metric: str, **where) -> Values:
    """A column of the rows of benchmarks/results/<name>.json that have these values; the pair is the seed.

    A row that looks at the samples of a run of notebook 05, or trains as one does, names it in `run`. No such row is
    Missing, and so is a row without the number; two of one seed are a ValueError, which asks for another value in
    `where`.
    """
    try:
        rows = benchmark(name, **where)
    except FileNotFoundError:
        raise Missing(f"no benchmarks/results/{name}.json") from None
    if rows.empty:
        asked = ", ".join(f"{column} {value}" for column, value in where.items())
        raise Missing(f"no row of {name} with {asked}")
    if rows.seed.duplicated().any():
        raise ValueError(f"{name}: several rows of one seed with {where}: say which are meant")
    if rows[metric].isna().any():
        raise Missing(f"a row of {name} does not measure {metric}")
    values = {(int(seed), None): float(value) for seed, value in zip(rows.seed, rows[metric], strict=True)}
    looked_at = rows.run.dropna() if "run" in rows else ()
    runs = (f"benchmarks/{name}", *(f"05_train/{run}" for run in looked_at))
    return Values(by_pair=values, runs=runs, bounds=BOUNDS.get(metric, ANY))


# ---------------------------------------------------------------- measuring


def repeated(values: Values) -> Measured:
    """Mean over seeds with Student's t."""
    if len(values.by_pair) < 2:
        raise Missing(f"{', '.join(values.runs)}: one seed, an interval needs two")
    value, low, high = mean_interval(list(values.by_pair.values()))
    low, high = clipped((low, high), values.bounds)
    return Measured(
        value=value, low=low, high=high, values=tuple(values.by_pair.values()), bounds=values.bounds,
        interval="Student's t over seeds", seeds=values.seeds, runs=values.runs,
    )  # fmt: skip


def difference(a: Values, b: Values) -> Measured:
    """Mean of a - b over pairs of the same seed and split, with Student's t."""
    pairs = sorted(a.by_pair.keys() & b.by_pair.keys())
    if len(pairs) < 2:
        raise Missing(f"{len(pairs)} pairs of {a.runs[0]} and {b.runs[0]}, an interval needs two")
    bounds = (a.bounds[0] - b.bounds[1], a.bounds[1] - b.bounds[0])
    value, low, high = paired_interval(a.by_pair, b.by_pair)
    low, high = clipped((low, high), bounds)
    return Measured(
        value=value, low=low, high=high, values=tuple(a.by_pair[pair] - b.by_pair[pair] for pair in pairs),
        bounds=bounds, interval="Student's t over pairs of one seed and split",
        seeds=tuple(sorted({pair[0] for pair in pairs})), runs=tuple(sorted({*a.runs, *b.runs})),
    )  # fmt: skip


def share_below(values: Values, limit: float) -> Measured:
    """Share of single runs whose number lies below the limit, with Clopper and Pearson's interval."""
    each = tuple(float(value < limit) for value in values.by_pair.values())
    counted = stats.binomtest(int(sum(each)), len(each))
    low, high = counted.proportion_ci()
    return Measured(
        value=counted.statistic, low=float(low), high=float(high), values=each, yes_or_no=True, bounds=UNIT,
        interval="Clopper and Pearson's, of a share of runs", seeds=values.seeds, runs=values.runs,
    )  # fmt: skip


def computed(cell: dict, run: str) -> Measured:
    """A share that is computed without chance: cell has share, low and high, the error of the computation."""
    return Measured(
        value=cell["share"], low=cell["low"], high=cell["high"], bounds=UNIT, interval="error of the computation",
        seeds=(0,), runs=(run,),
    )  # fmt: skip


def timed(values: Values) -> Measured:
    """Mean over the turns of a clock in one run: they repeat the clock, not the run: one seed."""
    mean = repeated(values)
    return Measured(
        **{name: getattr(mean, name) for name in ("value", "low", "high", "values", "bounds", "runs")},
        interval=f"Student's t over {len(mean.values)} timings of one run", seeds=(0,),
    )  # fmt: skip
