"""What a claim rests on: numbers read from the records that a sweep makes, with an interval, and a rule.

A measurement reads finished runs only and raises Missing where there are none. A rule turns its interval into a
verdict: what the interval leaves open is not decided.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from tiwlib.measures.intervals import mean_interval, paired_interval, share_interval
from tiwlib.runs import PROJECT, read_record
from workflow import plan

HOLDS, FAILS, OPEN, UNTESTED = "holds", "does not hold here", "not decided here", "not tested here"


class Missing(Exception):
    """No finished run holds the number."""


class Unmeasured(Missing):
    """The run is there, but nothing in it measures this."""


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval; how that was made, of which seeds, read from which runs."""

    value: float
    low: float
    high: float
    interval: str
    seeds: list[int]
    runs: list[str]
    repeats: str = "seeds"  # what `seeds` counts: seeds, or turns of a clock


@dataclass(frozen=True)
class Values:
    """One number of each run (or each repetition in a run), under what makes two of them a pair: seed and split."""

    by_pair: dict[tuple, float]
    runs: list[str]

    @property
    def seeds(self) -> list[int]:
        return sorted({pair[0] for pair in self.by_pair})


# ---------------------------------------------------------------- reading


@cache
def planned(sweep: str) -> tuple[plan.Planned, ...]:
    return plan.load(PROJECT / "workflow" / f"{sweep}.yaml").runs


def records(sweep: str, notebook: str, **where) -> list[dict]:
    """The finished runs among those that workflow/<sweep>.yaml plans with these parameters: as runs.read_record.

    Raises Missing where none is finished, ValueError where they differ in more than the seed.
    """
    wanted = [r for r in planned(sweep) if r.notebook == notebook]
    wanted = [r for r in wanted if all(r.params.get(name, ...) == value for name, value in where.items())]
    found = [{"run": f"{notebook}/{r.name}", **read_record(r.folder)} for r in wanted if r.done()]
    if not found:
        asked = ", ".join(f"{name} {value}" for name, value in where.items())
        raise Missing(f"no finished run of {notebook}" + (f" with {asked}" if asked else ""))
    for name in sorted(found[0]["params"].keys() - {"seed", "run"}):
        if any(r["params"].get(name) != found[0]["params"][name] for r in found):
            raise ValueError(f"the runs of {notebook} with {where} differ in {name}: say which are meant")
    return found


def number(found: dict, metric: str | Callable[[dict], object]):
    """A metric of a run by its name, or what `metric` takes out of all of them."""
    metrics = found["metrics"]
    try:
        value = metric(metrics) if callable(metric) else metrics[metric]
    except (KeyError, ValueError) as error:
        raise Unmeasured(f"{found['run']} does not measure {error}") from error
    if value is None:
        raise Unmeasured(f"{found['run']} does not measure {metric}")
    return value


def of_runs(found: list[dict], metric: str | Callable[[dict], float]) -> Values:
    """A number of runs that have a seed each; the pair is the seed and the split."""
    values = {
        (r["params"]["seed"], r["provenance"]["hashes"].get("split")): float(number(r, metric)) for r in found
    }
    return Values(values, [r["run"] for r in found])


def within_run(found: list[dict], extract: Callable[[dict], dict[int, float]]) -> Values:
    """Numbers of one run that repeats over seeds itself: extract takes its metrics and gives seed -> number."""
    (r,) = found
    values = {(seed, None): float(value) for seed, value in number(r, extract).items()}
    if not values:
        raise Unmeasured(f"{r['run']} has no repetition of this")
    return Values(values, [r["run"]])


# ---------------------------------------------------------------- measuring


def repeated(values: Values) -> Measured:
    """Mean over seeds with Student's t."""
    if len(values.by_pair) < 2:
        raise Missing(f"{', '.join(values.runs)}: one seed, an interval needs two")
    interval = mean_interval(list(values.by_pair.values()))
    return Measured(*interval, "Student's t over seeds", values.seeds, values.runs)


def difference(a: Values, b: Values) -> Measured:
    """Mean of a - b over pairs of the same seed and split, with Student's t."""
    pairs = a.by_pair.keys() & b.by_pair.keys()
    if len(pairs) < 2:
        raise Missing(f"{len(pairs)} pairs of {a.runs[0]} and {b.runs[0]}, an interval needs two")
    interval = paired_interval(a.by_pair, b.by_pair)
    seeds = sorted({pair[0] for pair in pairs})
    return Measured(
        *interval, "Student's t over pairs of one seed and split", seeds, sorted({*a.runs, *b.runs})
    )


def counted(share: float, n: int, runs: list[str]) -> Measured:
    """A share of n independent samples, with Wilson's binomial interval."""
    interval = share_interval(round(share * n), n)
    return Measured(*interval, f"Wilson's, of {n:,} samples", [0], runs)


# ---------------------------------------------------------------- judging


@dataclass(frozen=True)
class Rule:
    """Holds where the whole interval lies in [low, high], fails where all of it lies outside, else it is open.

    text: where that is, in words.
    """

    low: float
    high: float
    text: str

    def verdict(self, measured: Measured) -> str:
        if self.low <= measured.low and measured.high <= self.high:
            return HOLDS
        if measured.high < self.low or measured.low > self.high:
            return FAILS
        return OPEN


def below(limit: float) -> Rule:
    return Rule(float("-inf"), limit, f"below {limit:g}")


def above(limit: float) -> Rule:
    return Rule(limit, float("inf"), f"above {limit:g}")


def near(target: float, margin: float) -> Rule:
    """For "is" and "equals": being near must be shown, an interval that is wide enough to hold the target is not."""
    return Rule(target - margin, target + margin, f"within {margin:g} of {target:g}")
