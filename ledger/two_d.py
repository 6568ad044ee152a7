"""Claims that the two-dimensional example decides: notebooks 01 and 03, where the truth is known."""

from ledger.claim import Claim
from ledger.evidence import (
    Values,
    below,
    counted,
    difference,
    near,
    records,
    repeated,
    within_run,
)

MONTE_CARLO = 0.015  # four standard errors of a share of notebook 01's 20,000 samples


def plane(label: str):
    """Minority share of each repetition of a trained method, notebook 01."""
    found = records("ledger", "01_density_ratio_2d")
    return within_run(
        found, lambda metrics: {r["seed"]: r["share"] for r in metrics["shares"] if r["method"] == label}
    )


def closed_form(label: str):
    """Minority share of an objective's minimiser with the exact ratio, notebook 01."""
    (found,) = records("ledger", "01_density_ratio_2d")
    metrics = found["metrics"]
    return counted(metrics["closed_form"][label], metrics["closed_form_samples"], [found["run"]])


def ratio_error_share():
    """Integrated squared error of the time-dependent ratio over that of the time-independent one, notebook 03."""
    found = records("ledger", "03_ratio_accuracy", setting="gaussians")
    return within_run(found, lambda metrics: dict(enumerate(metrics["error_share"]["seeds"])))


def share_error(label: str):
    """|minority share - 0.5| of each repetition."""
    values = plane(label)
    return Values({pair: abs(v - 0.5) for pair, v in values.by_pair.items()}, values.runs)


CLAIMS = [
    Claim(
        "theorem-1",
        "The minimiser of TIW-DSM is the score of the unbiased density",
        "paper, theorem 1",
        "2-D, exact ratio",
        "minority share, 0.5 unbiased",
        lambda: closed_form("TIW-DSM"),
        near(0.5, MONTE_CARLO),
    ),
    Claim(
        "theorem-1-trained",
        "Trained, with a learned ratio, TIW-DSM draws from the unbiased density",
        "paper, theorem 1",
        "2-D, 500 reference points",
        "minority share, 0.5 unbiased",
        lambda: repeated(plane("TIW-DSM")),
        near(0.5, 0.05),
    ),
    Claim(
        "obs-biased",
        "Plain training on half-and-half batches keeps their bias",
        "paper",
        "2-D",
        "minority share, DSM(obs)",
        lambda: repeated(plane("DSM(obs)")),
        below(0.45),
    ),
    Claim(
        "w-only-minimiser",
        "The weight alone does not debias: W-only has the minimiser of plain training",
        "ours, from theorem 1",
        "2-D, exact ratio",
        "minority share, 0.35 observed",
        lambda: closed_form("W-only"),
        near(0.35, MONTE_CARLO),
    ),
    Claim(
        "c-only-minimiser",
        "The correction alone has the minimiser of the full objective",
        "ours, from theorem 1",
        "2-D, exact ratio",
        "minority share, 0.5 unbiased",
        lambda: closed_form("C-only"),
        near(0.5, MONTE_CARLO),
    ),
    Claim(
        "ratio-error-smaller",
        "A time-dependent ratio errs less than a time-independent one",
        "paper",
        "2-D",
        "integrated squared error, as a share of the other's",
        lambda: repeated(ratio_error_share()),
        below(1),
    ),
    Claim(
        "ratio-error-39",
        "Its integrated squared error is 39.1 % of the time-independent one's",
        "paper, one run",
        "2-D",
        "integrated squared error, as a share of the other's",
        lambda: repeated(ratio_error_share()),
        near(0.391, 0.1),
    ),
    Claim(
        "tiw-iw-plane",
        "TIW-DSM comes closer to the unbiased share than IW-DSM",
        "paper, on images",
        "2-D, 500 reference points",
        "error of the minority share, TIW-DSM minus IW-DSM",
        lambda: difference(share_error("TIW-DSM"), share_error("IW-DSM")),
        below(0),
    ),
]
