"""Claims about the baselines: notebook 07, three seeds of every method on each problem.

The thresholds were set before the runs, and are judged here and nowhere else.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ledger.claim import Claim
from ledger.digits import dashed
from ledger.evidence import (
    ANY,
    UNIT,
    Measured,
    Missing,
    Values,
    difference,
    number,
    records,
    repeated,
    timed,
    within_run,
)
from ledger.rules import Rule, above, below, near
from tiwlib.measures.intervals import BOUNDS

SWEEPS = {
    "gmm": "baselines_all",
    **dict.fromkeys(("0v1", "low-high", "long-tail"), "baselines"),
    **dict.fromkeys(("digits-colour-90", "digits-lt"), "baselines_colour"),
}
PROBLEMS = ("gmm", "0v1", "low-high")  # those with one rare group
TIMED = (*PROBLEMS, "long-tail")  # those whose sampling time is recorded
LABELS = {
    "adp": "Distribution guidance",
    "invdiff": "InvDiff with inferred groups",
    "invdiff_oracle": "InvDiff with true groups",
    "ddm_balanced": "DDM, balanced by clusters,",
    "fine_tuning": "Fine-tuning with early stopping",
    "ambient": "Ambient-o with one threshold",
    "domain_guidance": "Domain guidance",
    "iw_dsm": "IW-DSM",
}
REFERENCE = ("fine_tuning", "ambient", "domain_guidance")  # need the reference set and no labels
POINTS = 0.05  # five points of a hundred
THRESHOLD = "ours, a threshold set before the runs"
AFTERWARDS = "ours, a threshold set after the runs"


def of_method(problem: str, method: str, measure: str, factor: float = 1.0, run: str = "") -> Values:
    """A measure of a method's runs on a problem, seed by seed, times a factor. run: "" is the problem's own."""
    low, high = BOUNDS.get(measure, ANY)
    bounds = (factor * low, factor * high)
    return of_cells(problem, method, measure, lambda value: factor * value, bounds, run)


def of_cells(
    problem: str, method: str, measure: str, to_number: Callable, bounds: tuple = ANY, run: str = ""
) -> Values:
    """`to_number` of a measure of a method, seed by seed. A record that was made without the method is Missing."""
    found = records(SWEEPS[problem], "07_baselines", problem=problem, run=run or problem)

    def extract(metrics: dict) -> dict[int, float]:
        try:
            cells = metrics["methods"][method]
        except KeyError:
            raise Missing(f"{found[0]['run']} has no row {method}") from None
        return {i: to_number(value) for i, value in enumerate(cells[measure]["seeds"])}

    return within_run(found, extract, bounds)


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
    def farthest(shares: list[float]) -> float:
        return max(abs(share - 1 / len(shares)) for share in shares)

    return claim(
        id=dashed("siblings", method, problem, "fair"),
        statement=f"{LABELS[method]} draws every group within five points of equal shares",
        source=THRESHOLD,
        problem=problem,
        quantity="largest distance of a group's share from equal ones",
        measure=lambda: repeated(of_cells(problem, method, "group_shares", farthest, UNIT)),
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
        statement=f"{LABELS[method]} halves the fairness discrepancy of plain training at least",
        source=THRESHOLD,
        problem=problem,
        quantity="discrepancy minus half of DSM(bias)'s",
        measure=lambda: difference(
            of_method(problem, method, "fairness_discrepancy"),
            of_method(problem, "dsm_bias", "fairness_discrepancy", 0.5),
        ),
        rule=below(0),
    )


def no_worse_within_groups(method: str, problem: str) -> Claim:
    """Group by group, for of both together a biased base model is far from balanced data whatever it draws."""

    def mean(distances: list[float]) -> float:
        if None in distances:
            raise Missing(f"{method} on {problem} draws fewer than two samples of a group")
        return float(np.mean(distances))

    return claim(
        id=dashed("siblings", method, problem, "quality"),
        statement=f"{LABELS[method]} is no farther from held-out data than its base model, group by group",
        source=AFTERWARDS,
        problem=problem,
        quantity="mean over groups of the Frechet distance (judge's features), minus the base model's",
        measure=lambda: difference(
            *(of_cells(problem, name, "group_frechet", mean, (0, np.inf)) for name in (method, "dsm_bias"))
        ),
        rule=below(0),
    )


def keeps_recall(method: str, problem: str, source: str = THRESHOLD) -> Claim:
    """Fair shares can be had by copies of the reference images, which cover little of the data."""
    return claim(
        id=dashed("siblings", method, problem, "recall"),
        statement=f"{LABELS[method]} covers as much of held-out data as plain training, within five points",
        source=source,
        problem=problem,
        quantity="recall minus DSM(bias)'s",
        measure=lambda: difference(
            of_method(problem, method, "recall"), of_method(problem, "dsm_bias", "recall")
        ),
        rule=above(-POINTS),
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
    found = {p: records(SWEEPS[p], "07_baselines", problem=p, run=p)[0] for p in TIMED}
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
    *(no_worse_within_groups("adp", problem) for problem in PROBLEMS),
    Claim(
        id="siblings-adp-sampling-time",
        statement="Distribution guidance takes at most 1.6 times the sampling time of its base model",
        source=THRESHOLD,
        setting=", ".join(TIMED),
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
    keeps_recall("iw_dsm", "0v1", AFTERWARDS),
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
    *(halved(method, problem) for method in REFERENCE for problem in ("gmm", "digits-colour-90")),
    *(keeps_recall(method, problem) for method in REFERENCE for problem in ("gmm", "digits-colour-90")),
    *(
        fairer(
            *(dashed("tiw", method), f"{LABELS[method]} is less fair than TIW-DSM"),
            *("digits-colour-90", "tiw_dsm", method),
        )
        for method in REFERENCE
    ),
]
