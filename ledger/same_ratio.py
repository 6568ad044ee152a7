"""TIW-DSM against IW-DSM on one and the same ratio, in the 2-D example: benchmarks/same_ratio.py."""

from ledger.claim import Claim
from ledger.evidence import Measured, Values, difference, of_benchmark, repeated
from ledger.rules import above, below, near

SOURCE = "ours, the paper's question on equal ratios"
SEEN = f"{SOURCE}; written after a first look at the numbers"


def row(part: str, metric: str, **where) -> Values:
    return of_benchmark(f"same-ratio-{part}", metric, **where)


def noise(method: str, level: float) -> Values:
    """Variance of the gradient in half-and-half batches, in units of plain training's on unbiased samples."""
    return row("noise", "noise", method=method, level=level, fraction=0.5)


def score_error(method: str, fraction: float) -> Values:
    return row("trained", "score_error", method=method, fraction=fraction)


def apart_as_share() -> Measured:
    """How far the minimisers on a posterior ratio are from each other, over TIW-DSM's distance to the truth."""
    apart, error = (row("bias", metric, estimator="posterior") for metric in ("apart", "tiw_error"))
    shares = {pair: value / error.by_pair[pair] for pair, value in apart.by_pair.items()}
    return repeated(Values(by_pair=shares, runs=apart.runs, bounds=(0.0, float("inf"))))


def claim(id: str, part: str, statement: str, quantity: str, measure, rule, source: str = SOURCE) -> Claim:
    return Claim(
        id=f"same-ratio-{id}",
        statement=statement,
        source=source,
        setting="2-D, 50 reference points" if part == "bias" else "2-D, exact ratio",
        quantity=quantity,
        measure=measure,
        rule=rule,
        sweep=f"benchmarks/same_ratio.py {part}",
    )


CLAIMS = [
    claim(
        "noise-large",
        "noise",
        "On the exact ratio, at a sigma of 16, the gradient of IW-DSM varies more than TIW-DSM's",
        "variance of the gradient, IW-DSM minus TIW-DSM, in units of plain training's",
        lambda: difference(noise("iw_dsm", 16.0), noise("tiw_dsm", 16.0)),
        above(0),
        source=SEEN,
    ),
    claim(
        "noise-small",
        "noise",
        "On the exact ratio, at a sigma of 0.25, the gradients of IW-DSM and TIW-DSM vary alike",
        "variance of the gradient, IW-DSM minus TIW-DSM, in units of plain training's",
        lambda: difference(noise("iw_dsm", 0.25), noise("tiw_dsm", 0.25)),
        near(0, 0.01),
        source=SEEN,
    ),
    *(
        claim(
            f"trained-{name}",
            "trained",
            f"On the exact ratio and endless samples TIW-DSM's score is nearer to the truth than IW-DSM's, {where}",
            "squared error of the trained score, TIW-DSM minus IW-DSM",
            lambda fraction=fraction: difference(
                score_error("tiw_dsm", fraction), score_error("iw_dsm", fraction)
            ),
            below(0),
        )
        for name, fraction, where in (
            ("half", 0.5, "half of a batch reference samples"),
            ("biased", 0.0, "batches of biased samples alone"),
        )
    ),
    claim(
        "bias-apart",
        "bias",
        "On one posterior ratio the minimisers of IW-DSM and TIW-DSM differ by less than half of TIW-DSM's error",
        "squared distance of the two minimisers over that of TIW-DSM's to the truth",
        apart_as_share,
        below(0.5),
    ),
    claim(
        "bias-nearer",
        "bias",
        "On one posterior ratio TIW-DSM's minimiser is nearer to the truth than IW-DSM's",
        "squared error of the minimiser's score, TIW-DSM minus IW-DSM",
        lambda: difference(
            row("bias", "tiw_error", estimator="posterior"), row("bias", "iw_error", estimator="posterior")
        ),
        below(0),
    ),
]
