"""Claims on estimators of the ratio for few references: notebook 05 on digits-lt, five seeds, beside the plain one."""

from ledger.claim import Claim
from ledger.digits import FRECHET, VARIATION, trained
from ledger.evidence import Values, difference, repeated
from ledger.rules import above, below

SETTING, SWEEP, ESTIMATOR = "digits-lt", "estimators", "posterior"
SOURCE = "ours, a threshold set before the runs"


def estimated(metric: str, method: str = "tiw_dsm") -> Values:
    """A metric of the runs with the other estimator."""
    return trained(method, metric, SWEEP, ratio=ESTIMATOR)


def claim(id: str, statement: str, quantity: str, measure, rule, source: str = SOURCE) -> Claim:
    return Claim(
        id=f"estimator-{id}",
        statement=statement,
        source=source,
        setting=SETTING,
        quantity=quantity,
        measure=measure,
        rule=rule,
        sweep=SWEEP,
    )


CLAIMS = [
    claim(
        "fairer",
        "With 50 reference images TIW-DSM is fairer with the posterior ratio than with the paper's discriminator",
        "total variation of shares, posterior minus plain",
        lambda: difference(estimated(VARIATION), trained("tiw_dsm", VARIATION)),
        below(0),
    ),
    claim(
        "fair",
        "With 50 reference images and the posterior ratio TIW-DSM has a total variation of at most 0.07",
        "total variation of shares, TIW-DSM with the posterior ratio",
        lambda: repeated(estimated(VARIATION)),
        below(0.07),
    ),
    claim(
        "frechet",
        "With the posterior ratio TIW-DSM has a lower Frechet distance than DSM(ref)",
        "Frechet distance, TIW-DSM with the posterior ratio minus DSM(ref)",
        lambda: difference(estimated(FRECHET), trained("dsm_ref", FRECHET)),
        below(0),
    ),
    claim(
        "recall",
        "With the posterior ratio TIW-DSM has a recall of at least 0.70",
        "recall, TIW-DSM with the posterior ratio",
        lambda: repeated(estimated("recall")),
        above(0.7),
    ),
    claim(
        "same-ratio",
        "On one and the same ratio TIW-DSM is fairer than IW-DSM",
        "total variation of shares, TIW-DSM minus IW-DSM, both with the posterior ratio",
        lambda: difference(estimated(VARIATION), estimated(VARIATION, "iw_dsm")),
        below(0),
        source="ours, the paper's question on equal ratios",
    ),
]
