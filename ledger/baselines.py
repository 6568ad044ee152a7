"""Claims about the baselines: notebook 07, three seeds of every method on each problem.

The thresholds were set before the runs, and are judged here and nowhere else.
"""

from collections.abc import Callable
from dataclasses import replace

from ledger.claim import Claim
from ledger.digits import dashed
from ledger.evidence import (
    ANY,
    UNIT,
    Measured,
    Values,
    difference,
    number,
    records,
    repeated,
    timed,
    within_run,
)
from ledger.rules import Rule, below, near
from tiwlib.measures.intervals import BOUNDS

SWEEPS = {"gmm": "baselines_all", "0v1": "baselines", "low-high": "baselines", "long-tail": "baselines"}
PROBLEMS = ("gmm", "0v1", "low-high")  # those with one rare group
LABELS = {
    "adp": "Distribution guidance",
    "invdiff": "InvDiff with inferred groups",
    "invdiff_oracle": "InvDiff with true groups",
    "ddm_balanced": "DDM, balanced by clusters,",
}
POINTS = 0.05  # five points of a hundred
THRESHOLD = "ours, a threshold set before the runs"


def of_method(problem: str, method: str, measure: str, factor: float = 1.0, run: str = "") -> Values:
    """A measure of a method's runs on a problem, seed by seed, times a factor. run: "" is the problem's own."""
    found = records(SWEEPS[problem], "07_baselines", problem=problem, run=run or problem)

    def extract(metrics: dict) -> dict[int, float]:
        return {i: factor * v for i, v in enumerate(metrics["methods"][method][measure]["seeds"])}

    low, high = BOUNDS.get(measure, ANY)
    return within_run(found, extract, (factor * low, factor * high))


def claim(
    *, problem: str, measure: Callable[[], Measured], rule: Rule, source: str = "ours", **about
) -> Claim:
    return Claim(setting=problem, sweep=SWEEPS[problem], measure=measure, rule=rule, source=source, **about)


def fair(method: str, problem: str) -> Claim:
    return claim(
        id=dashed("siblings", method, problem, "fair"),
        statement=f"{LABELS[method]} draws the rare group within five points of a half",
        source=THRESHOLD,
        problem=problem,
        quantity="share of the rare group",
        measure=lambda: repeated(of_method(problem, method, "minority_share")),
        rule=near(0.5, POINTS),
    )


def every_group_fair(method: str, problem: str) -> Claim:
    def measure() -> Measured:
        found = records(SWEEPS[problem], "07_baselines", problem=problem, run=problem)

        def farthest(metrics: dict) -> dict[int, float]:
            by_seed = metrics["methods"][method]["group_shares"]["seeds"]
            return {
                i: max(abs(share - 1 / len(shares)) for share in shares) for i, shares in enumerate(by_seed)
            }

        return repeated(within_run(found, farthest, UNIT))

    return claim(
        id=dashed("siblings", method, problem, "fair"),
        statement=f"{LABELS[method]} draws every group within five points of equal shares",
        source=THRESHOLD,
        problem=problem,
        quantity="largest distance of a group's share from equal ones",
        measure=measure,
        rule=below(POINTS),
    )


def fair_without_variance(problem: str) -> Claim:
    return claim(
        id=f"siblings-invdiff-oracle-{problem}-lambda0",
        statement="InvDiff with true groups is fair within five points without its variance term",
        problem=problem,
        quantity="share of the rare group",
        measure=lambda: repeated(
            of_method(problem, "invdiff_oracle", "minority_share", run=f"{problem}-lambda0")
        ),
        rule=near(0.5, POINTS),
    )


def halved(method: str, problem: str) -> Claim:
    return claim(
        id=dashed("siblings", method, problem, "halved"),
        statement=f"{LABELS[method]} halves the fairness discrepancy of its base model at least",
        source=THRESHOLD,
        problem=problem,
        quantity="discrepancy minus half of the base model's",
        measure=lambda: difference(
            of_method(problem, method, "fairness_discrepancy"),
            of_method(problem, "dsm_bias", "fairness_discrepancy", 0.5),
        ),
        rule=below(0),
    )


def no_worse(method: str, problem: str) -> Claim:
    return claim(
        id=dashed("siblings", method, problem, "frechet"),
        statement=f"{LABELS[method]} is no farther from held-out balanced data than its base model",
        source=THRESHOLD,
        problem=problem,
        quantity="Frechet distance (judge's features) minus the base model's",
        measure=lambda: difference(
            of_method(problem, method, "frechet"), of_method(problem, "dsm_bias", "frechet")
        ),
        rule=below(0),
    )


def same_share(id: str, statement: str, method: str, rival: str, problem: str, **about) -> Claim:
    return claim(
        id=f"siblings-{id}-{problem}",
        statement=statement,
        problem=problem,
        quantity="difference in the share of the rare group",
        measure=lambda: difference(
            of_method(problem, method, "minority_share"), of_method(problem, rival, "minority_share")
        ),
        rule=near(0, POINTS),
        **about,
    )


def fairer(id: str, statement: str, problem: str, one: str, other: str, run: str = "") -> Claim:
    """That method `one`, of the given run, has a lower discrepancy than method `other` of the problem's own run."""
    return claim(
        id=f"siblings-{id}-{problem}",
        statement=statement,
        problem=problem,
        quantity="difference in the fairness discrepancy",
        measure=lambda: difference(
            of_method(problem, one, "fairness_discrepancy", run=run),
            of_method(problem, other, "fairness_discrepancy"),
        ),
        rule=below(0),
    )


def sampling_time(method: str) -> Measured:
    """The method's sampling time over its base model's, on each of the problems: a median of five rounds there."""
    found = {p: records(sweep, "07_baselines", problem=p, run=p)[0] for p, sweep in SWEEPS.items()}
    times = {(i, p): number(r, relative_time(method)) for i, (p, r) in enumerate(found.items())}
    values = Values(by_pair=times, runs=tuple(r["run"] for r in found.values()), bounds=(0.0, ANY[1]))
    return replace(timed(values), interval=f"Student's t over {len(times)} problems, one run of each")


def relative_time(method: str) -> Callable[[dict], float]:
    return lambda metrics: metrics["relative_sampling_time"][method]


WITHOUT_VARIANCE = "InvDiff with true groups is fairer without its variance term than with it"
SAME_TARGET = "Ratio guidance draws the shares of TIW-DSM, whose target it has"
RELEASED = "DDM as released does not change the shares"
CLUSTERS = "Two clusters do not find low and high digits: DDM balanced by them changes nothing"

CLAIMS = [
    *(fair("adp", problem) for problem in ("gmm", "low-high")),
    *(halved("adp", problem) for problem in PROBLEMS),
    *(no_worse("adp", problem) for problem in PROBLEMS),
    Claim(
        id="siblings-adp-sampling-time",
        statement="Distribution guidance takes at most 1.6 times the sampling time of its base model",
        source=THRESHOLD,
        setting=", ".join(SWEEPS),
        quantity="sampling time over the base model's",
        measure=lambda: sampling_time("adp"),
        rule=below(1.6),
        sweep="baselines",
    ),
    *(fair("invdiff_oracle", problem) for problem in PROBLEMS),
    every_group_fair("invdiff_oracle", "long-tail"),
    *(fair_without_variance(problem) for problem in ("0v1", "low-high")),
    *(
        fairer(
            *("invdiff-oracle-variance", WITHOUT_VARIANCE, problem, "invdiff_oracle", "invdiff_oracle"),
            run=f"{problem}-lambda0",
        )
        for problem in ("0v1", "low-high")
    ),
    fairer("iw-tiw", "IW-DSM is fairer than TIW-DSM", "0v1", "iw_dsm", "tiw_dsm"),
    *(fair("invdiff", problem) for problem in ("gmm", "0v1")),
    halved("invdiff", "low-high"),
    *(fair("ddm_balanced", problem) for problem in ("gmm", "0v1")),
    *(same_share("ddm-released", RELEASED, "ddm_released", "dsm_bias", problem) for problem in PROBLEMS),
    same_share("ddm-balanced-fails", CLUSTERS, "ddm_balanced", "dsm_bias", "low-high"),
    *(
        same_share(
            *("ratio-guidance", SAME_TARGET, "ratio_guidance", "tiw_dsm", problem),
            source="ours, from theorem 1",
        )
        for problem in PROBLEMS
    ),
]
