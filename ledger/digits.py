"""Claims that the long-tailed digits decide: notebook 04, five seeds of every method."""

import pandas as pd

from ledger.claim import Claim
from ledger.evidence import (
    Unmeasured,
    Values,
    above,
    below,
    difference,
    near,
    of_runs,
    records,
    repeated,
)
from tiwlib.runs import results_root
from tiwlib.runs.tables import vanishing

UNFAIR = "total_variation"  # distance of the samples' group shares from the reference set's
FRECHET = "classifier_frechet"
NEARNESS = "nearest_training_image"
EQUAL_SHARES = 0.05  # five images of a hundred in another group: closer we call equal
RIVALS = {"dsm_ref": "DSM(ref)", "dsm_obs": "DSM(obs)", "iw_dsm": "IW-DSM"}


def trained(method: str, metric: str, sweep: str = "ledger", **where):
    """A metric of notebook 04's runs of a method, its own mixture and alpha 1 unless told otherwise."""
    where = {"method": method, "reference_fraction": None, "alpha": 1.0, **where}
    return of_runs(records(sweep, "04_train", **where), metric)


def half(metric: str):
    """Plain training on the batches of the weighted methods, half from the reference set."""
    return trained("dsm_obs", metric, reference_fraction=0.5)


def vanishing_weights(sweep: str = "ledger") -> Values:
    """Share of the biased images with a clean ratio below 0.01, from weights.csv of IW-DSM's runs."""
    found = records(sweep, "04_train", method="iw_dsm", reference_fraction=None, alpha=1.0)
    shares = {}
    for r in found:
        path = results_root() / r["run"] / "weights.csv"
        if not path.exists():
            raise Unmeasured(f"{r['run']} keeps no weights.csv")
        (share,) = vanishing(pd.read_csv(path)).values()
        shares[r["params"]["seed"], r["provenance"]["hashes"].get("split")] = share
    return Values(shares, [r["run"] for r in found])


def tiw_below(rival: str, setting: str = "digits-lt", sweep: str = "ledger") -> tuple[Claim, Claim]:
    """That TIW-DSM is better than a rival, by the shares of the groups and by the Frechet distance."""
    measures = {UNFAIR: "total variation of shares", FRECHET: "classifier Frechet distance"}
    return tuple(
        Claim(
            f"{setting.split('-')[0]}-tiw-{rival.replace('_', '-')}-{metric.replace('_', '-')}",
            f"TIW-DSM beats {RIVALS[rival]} in {measure}",
            "paper, in FID on CIFAR-10",
            setting,
            f"{measure}, TIW-DSM minus {RIVALS[rival]}",
            lambda metric=metric: difference(
                *(trained(method, metric, sweep, setting=setting) for method in ("tiw_dsm", rival))
            ),
            below(0),
            sweep,
        )
        for metric, measure in measures.items()
    )


def vanishing_claim(id: str, setting: str = "digits-lt", sweep: str = "ledger") -> Claim:
    return Claim(
        id,
        "Most time-independent weights of biased images vanish: more than 75 % are below 0.01",
        "paper",
        setting,
        "share of the biased images with r(x0, 0) below 0.01",
        lambda: repeated(vanishing_weights(sweep)),
        above(0.75),
        sweep,
    )


def alpha_one(method: str, alpha: float) -> Claim:
    """The ends of the paper's sweeps over the power of the weight."""
    label = {"tiw_dsm": "TIW-DSM", "iw_dsm": "IW-DSM"}[method]
    return Claim(
        f"digits-{method.replace('_', '-')}-alpha-{alpha}",
        f"{label} is fairer with the weight as it is than with its power {alpha}",
        "ours, at the paper's values of alpha",
        "digits-lt",
        f"total variation of shares, alpha 1 minus alpha {alpha}",
        lambda: difference(*(trained(method, UNFAIR, alpha=value) for value in (1.0, alpha))),
        below(0),
    )


CLAIMS = [
    *(claim for rival in RIVALS for claim in tiw_below(rival)),
    Claim(
        "digits-w-only",
        "The weight alone is useless: W-only ends where plain training on its batches does",
        "paper, in FID on CIFAR-10",
        "digits-lt",
        "total variation of shares, W-only minus DSM(obs), half",
        lambda: difference(trained("w_only", UNFAIR), half(UNFAIR)),
        near(0, EQUAL_SHARES),
    ),
    Claim(
        "digits-c-only",
        "The correction alone does as well as the full objective",
        "paper, in FID on CIFAR-10",
        "digits-lt",
        "total variation of shares, C-only minus TIW-DSM",
        lambda: difference(trained("c_only", UNFAIR), trained("tiw_dsm", UNFAIR)),
        near(0, EQUAL_SHARES),
    ),
    *(
        Claim(
            f"digits-tiw-iw-{metric.replace('_', '-')}",
            f"TIW-DSM has {what} than IW-DSM",
            "ours",
            "digits-lt",
            f"{measure}, TIW-DSM minus IW-DSM",
            lambda metric=metric: difference(*(trained(method, metric) for method in ("tiw_dsm", "iw_dsm"))),
            above(0),
        )
        for metric, what, measure in (
            ("recall", "a higher recall", "recall"),
            (NEARNESS, "samples farther from its training images", "distance to the nearest training image"),
        )
    ),
    Claim(
        "digits-debiases",
        "TIW-DSM's shares are fairer than those of plain training on the same batches",
        "ours",
        "digits-lt",
        "total variation of shares, TIW-DSM minus DSM(obs), half",
        lambda: difference(trained("tiw_dsm", UNFAIR), half(UNFAIR)),
        below(0),
    ),
    Claim(
        "digits-not-fair",
        "With five reference images a class TIW-DSM's shares are not yet fair",
        "ours",
        "digits-lt",
        "total variation of shares, TIW-DSM",
        lambda: repeated(trained("tiw_dsm", UNFAIR)),
        above(EQUAL_SHARES),
    ),
    Claim(
        "digits-ref-copies",
        "DSM(ref) copies its few training images",
        "ours",
        "digits-lt",
        "distance to the nearest training image, DSM(ref) minus TIW-DSM",
        lambda: difference(trained("dsm_ref", NEARNESS), trained("tiw_dsm", NEARNESS)),
        below(-0.1),
    ),
    Claim(
        "digits-ref-recall",
        "DSM(ref) misses most of the data, whatever its Frechet distance",
        "ours",
        "digits-lt",
        "recall, DSM(ref)",
        lambda: repeated(trained("dsm_ref", "recall")),
        below(0.2),
    ),
    *(alpha_one(method, alpha) for method, alpha in (("tiw_dsm", 0.25), ("tiw_dsm", 2.5), ("iw_dsm", 0.125))),
    vanishing_claim("weights-75"),
]
