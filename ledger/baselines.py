"""Claims about the sibling methods: notebook 08, three seeds of every method on each problem."""

from ledger.claim import Claim
from ledger.evidence import Measured, below, difference, near, records, repeated, within_run

PROBLEMS = {"gmm": "baselines_all", "0v1": "siblings", "low-high": "siblings"}
LABELS = {
    "adp": "Distribution guidance",
    "invdiff": "InvDiff with inferred groups",
    "invdiff_oracle": "InvDiff with true groups",
    "ddm_balanced": "DDM, balanced by clusters,",
    "ddm_released": "DDM as released",
    "ratio_guidance": "Ratio guidance",
    "tiw_dsm": "TIW-DSM",
}
POINTS = 0.05  # five points of a hundred
BARS = "ours, a bar set before the runs"


def of_method(problem: str, method: str, measure: str, factor: float = 1.0, run: str = ""):
    """A measure of a method's runs on a problem, seed by seed, times a factor. run: "" is the problem's own."""
    found = records(PROBLEMS[problem], "08_baselines", problem=problem, run=run or problem)
    return within_run(
        found, lambda m: {i: factor * v for i, v in enumerate(m["methods"][method][measure]["seeds"])}
    )


def fair(method: str, problem: str) -> Claim:
    return Claim(
        f"siblings-{method.replace('_', '-')}-{problem}-fair",
        f"{LABELS[method]} draws the rare group within five points of a half",
        BARS,
        problem,
        "share of the rare group",
        lambda: repeated(of_method(problem, method, "minority_share")),
        near(0.5, POINTS),
        PROBLEMS[problem],
    )


def fair_without_variance(problem: str) -> Claim:
    return Claim(
        f"siblings-invdiff-oracle-{problem}-lambda0",
        "InvDiff with true groups is fair within five points without its variance term",
        "ours",
        problem,
        "share of the rare group",
        lambda: repeated(of_method(problem, "invdiff_oracle", "minority_share", run=f"{problem}-lambda0")),
        near(0.5, POINTS),
        PROBLEMS[problem],
    )


def halved(method: str, problem: str) -> Claim:
    def measure() -> Measured:
        half = of_method(problem, "dsm_bias", "discrepancy", 0.5)
        return difference(of_method(problem, method, "discrepancy"), half)

    return Claim(
        f"siblings-{method.replace('_', '-')}-{problem}-halved",
        f"{LABELS[method]} halves the fairness discrepancy of its base model at least",
        BARS,
        problem,
        "discrepancy minus half of the base model's",
        measure,
        below(0),
        PROBLEMS[problem],
    )


def no_worse(method: str, problem: str) -> Claim:
    def measure() -> Measured:
        return difference(*(of_method(problem, name, "frechet") for name in (method, "dsm_bias")))

    return Claim(
        f"siblings-{method.replace('_', '-')}-{problem}-frechet",
        f"{LABELS[method]} is no farther from held-out balanced data than its base model",
        BARS,
        problem,
        "Frechet distance (judge's features) minus the base model's",
        measure,
        below(0),
        PROBLEMS[problem],
    )


def same_share(id: str, statement: str, method: str, rival: str, problem: str, source: str = "ours") -> Claim:
    def measure() -> Measured:
        return difference(*(of_method(problem, name, "minority_share") for name in (method, rival)))

    return Claim(
        f"siblings-{id}-{problem}",
        statement,
        source,
        problem,
        "difference in the share of the rare group",
        measure,
        near(0, POINTS),
        PROBLEMS[problem],
    )


def fairer(id: str, statement: str, problem: str, one: str, other: str, run: str = "") -> Claim:
    """That method `one`, of the given run, has a lower discrepancy than method `other` of the problem's own run."""

    def measure() -> Measured:
        return difference(
            of_method(problem, one, "discrepancy", run=run), of_method(problem, other, "discrepancy")
        )

    what = "difference in the fairness discrepancy"
    return Claim(
        f"siblings-{id}-{problem}", statement, "ours", problem, what, measure, below(0), PROBLEMS[problem]
    )


CLAIMS = [
    *(fair("adp", problem) for problem in ("gmm", "low-high")),
    *(halved("adp", problem) for problem in PROBLEMS),
    *(no_worse("adp", problem) for problem in PROBLEMS),
    *(fair("invdiff_oracle", problem) for problem in PROBLEMS),
    *(fair_without_variance(problem) for problem in ("0v1", "low-high")),
    *(
        fairer(
            "invdiff-oracle-variance",
            "InvDiff with true groups is fairer without its variance term than with it",
            problem,
            "invdiff_oracle",
            "invdiff_oracle",
            run=f"{problem}-lambda0",
        )
        for problem in ("0v1", "low-high")
    ),
    fairer("iw-tiw", "IW-DSM is fairer than TIW-DSM", "0v1", "iw_dsm", "tiw_dsm"),
    *(fair("invdiff", problem) for problem in ("gmm", "0v1")),
    halved("invdiff", "low-high"),
    *(fair("ddm_balanced", problem) for problem in ("gmm", "0v1")),
    *(
        same_share(
            "ddm-released", "DDM as released does not change the shares", "ddm_released", "dsm_bias", problem
        )
        for problem in PROBLEMS
    ),
    same_share(
        "ddm-balanced-fails",
        "Two clusters do not find low and high digits: DDM balanced by them changes nothing",
        "ddm_balanced",
        "dsm_bias",
        "low-high",
    ),
    *(
        same_share(
            "ratio-guidance",
            "Ratio guidance draws the shares of TIW-DSM, whose target it has",
            "ratio_guidance",
            "tiw_dsm",
            problem,
            "ours, from theorem 1",
        )
        for problem in PROBLEMS
    ),
]
