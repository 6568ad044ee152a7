"""Claims that the long-tailed digits decide: notebook 05, five seeds of every method."""

import pandas as pd

from ledger.claim import Claim
from ledger.evidence import UNIT, Values, difference, of_runs, records, repeated
from ledger.rules import above, below, near
from tiwlib.measures.floor import fair_floor
from tiwlib.objectives import METHODS
from tiwlib.runs import results_root
from tiwlib.runs.tables import vanishing

VARIATION, FRECHET = (
    "total_variation",
    "frechet",
)  # total variation: of the groups' shares from the reference set's
MARGIN = 0.05  # five images of a hundred in another group: nearer than that we call two methods equally fair
FAIR = fair_floor((0.1,) * 10, 1000)[1]  # what 95 % of perfectly fair draws of a run's images stay below
RIVALS = ("dsm_ref", "dsm_obs", "iw_dsm")
LABELS = {name: method.label for name, method in METHODS.items()}


def trained(method: str, metric: str, sweep: str = "ledger", **where) -> Values:
    """A metric of notebook 05's runs of a method, with its own mixture and alpha 1 unless asked otherwise."""
    where = {"method": method, "reference_fraction": None, "alpha": 1.0, "base_steps": None, **where}
    return of_runs(records(sweep, "05_train", **where), metric)


def half(metric: str) -> Values:
    """Plain training on the batches of the weighted methods, half from the reference set."""
    return trained("dsm_obs", metric, reference_fraction=0.5)


def vanishing_weights(setting: str, sweep: str) -> Values:
    """Share of the biased images with a clean ratio below 0.01, from weights.csv of IW-DSM's runs."""
    where = {"setting": setting, "method": "iw_dsm", "reference_fraction": None, "alpha": 1.0}
    found = records(sweep, "05_train", **where)
    shares = {}
    for r in found:
        (share,) = vanishing(pd.read_csv(results_root() / r["run"] / "weights.csv")).values()
        shares[r["params"]["seed"], r["provenance"]["hashes"].get("split")] = share
    return Values(by_pair=shares, runs=tuple(r["run"] for r in found), bounds=UNIT)


def dashed(*names: str) -> str:
    return "-".join(names).replace("_", "-")


def tiw_below(rival: str, setting: str = "digits-lt", sweep: str = "ledger") -> list[Claim]:
    """That TIW-DSM is better than a rival, by the shares of the groups and by the Frechet distance."""
    measures = {VARIATION: "total variation of shares", FRECHET: "classifier Frechet distance"}
    ids = {VARIATION: "total-variation", FRECHET: "classifier-frechet"}
    return [
        Claim(
            id=dashed(setting.split("-")[0], "tiw", rival, ids[metric]),
            statement=f"TIW-DSM beats {LABELS[rival]} in {measure}",
            source="paper, in FID on CIFAR-10",
            setting=setting,
            quantity=f"{measure}, TIW-DSM minus {LABELS[rival]}",
            measure=lambda metric=metric: difference(
                trained("tiw_dsm", metric, sweep, setting=setting),
                trained(rival, metric, sweep, setting=setting),
            ),
            rule=below(0),
            sweep=sweep,
        )
        for metric, measure in measures.items()
    ]


def vanishing_claim(id: str, setting: str = "digits-lt", sweep: str = "ledger") -> Claim:
    return Claim(
        id=id,
        statement="Most time-independent weights of biased images vanish: more than 75 % are below 0.01",
        source="paper",
        setting=setting,
        quantity="share of the biased images with r(x0, 0) below 0.01",
        measure=lambda: repeated(vanishing_weights(setting, sweep)),
        rule=above(0.75),
        sweep=sweep,
        of_samples=False,
    )


def alpha_one(method: str, alpha: float) -> Claim:
    """The ends of the paper's sweeps over the power of the weight."""
    return Claim(
        id=dashed("digits", method, f"alpha-{alpha}"),
        statement=f"{LABELS[method]} is fairer with the weight as it is than with its power {alpha}",
        source="ours, at the paper's values of alpha",
        setting="digits-lt",
        quantity=f"total variation of shares, alpha 1 minus alpha {alpha}",
        measure=lambda: difference(trained(method, VARIATION), trained(method, VARIATION, alpha=alpha)),
        rule=below(0),
    )


def at_size(setting: str) -> list[Claim]:
    """What the parts of the objective do with another reference set."""

    def values(method: str, **where) -> Values:
        return trained(method, VARIATION, "reference_size", setting=setting, **where)

    return [
        Claim(
            id=f"{setting}-w-only",
            statement="The weight alone is useless: W-only ends where plain training on its batches does",
            source="paper, in FID on CIFAR-10",
            setting=setting,
            quantity="total variation of shares, W-only minus DSM(obs), half",
            measure=lambda: difference(values("w_only"), values("dsm_obs", reference_fraction=0.5)),
            rule=near(0, MARGIN),
            sweep="reference_size",
        ),
        Claim(
            id=f"{setting}-c-only",
            statement="The correction alone does as well as the full objective",
            source="paper, in FID on CIFAR-10",
            setting=setting,
            quantity="total variation of shares, C-only minus TIW-DSM",
            measure=lambda: difference(values("c_only"), values("tiw_dsm")),
            rule=near(0, MARGIN),
            sweep="reference_size",
        ),
    ]


def of_tiw_and_iw(id: str, metric: str, statement: str, quantity: str) -> Claim:
    return Claim(
        id=id,
        statement=f"TIW-DSM has {statement} than IW-DSM",
        source="ours",
        setting="digits-lt",
        quantity=f"{quantity}, TIW-DSM minus IW-DSM",
        measure=lambda: difference(trained("tiw_dsm", metric), trained("iw_dsm", metric)),
        rule=above(0),
    )


CLAIMS = [
    *(claim for rival in RIVALS for claim in tiw_below(rival)),
    Claim(
        id="digits-w-only",
        statement="The weight alone is useless: W-only ends where plain training on its batches does",
        source="paper, in FID on CIFAR-10",
        setting="digits-lt",
        quantity="total variation of shares, W-only minus DSM(obs), half",
        measure=lambda: difference(trained("w_only", VARIATION), half(VARIATION)),
        rule=near(0, MARGIN),
    ),
    Claim(
        id="digits-c-only",
        statement="The correction alone does as well as the full objective",
        source="paper, in FID on CIFAR-10",
        setting="digits-lt",
        quantity="total variation of shares, C-only minus TIW-DSM",
        measure=lambda: difference(trained("c_only", VARIATION), trained("tiw_dsm", VARIATION)),
        rule=near(0, MARGIN),
    ),
    of_tiw_and_iw("digits-tiw-iw-recall", "recall", "a higher recall", "recall"),
    of_tiw_and_iw(
        "digits-tiw-iw-nearest-training-image",
        "nearest",
        "samples farther from its training images",
        "distance to the nearest training image",
    ),
    Claim(
        id="digits-debiases",
        statement="TIW-DSM's shares are fairer than those of plain training on the same batches",
        source="ours",
        setting="digits-lt",
        quantity="total variation of shares, TIW-DSM minus DSM(obs), half",
        measure=lambda: difference(trained("tiw_dsm", VARIATION), half(VARIATION)),
        rule=below(0),
    ),
    Claim(
        id="digits-not-fair",
        statement="With five reference images a class TIW-DSM's shares are not yet those of a fair sampler",
        source="ours",
        setting="digits-lt",
        quantity="total variation of shares, TIW-DSM",
        measure=lambda: repeated(trained("tiw_dsm", VARIATION)),
        rule=above(FAIR),
    ),
    Claim(
        id="digits-ref-copies",
        statement="DSM(ref) copies its few training images",
        source="ours",
        setting="digits-lt",
        quantity="distance to the nearest training image, DSM(ref) minus TIW-DSM",
        measure=lambda: difference(trained("dsm_ref", "nearest"), trained("tiw_dsm", "nearest")),
        rule=below(-0.1),
    ),
    Claim(
        id="digits-ref-recall",
        statement="DSM(ref) misses most of the data, whatever its Frechet distance",
        source="ours",
        setting="digits-lt",
        quantity="recall, DSM(ref)",
        measure=lambda: repeated(trained("dsm_ref", "recall")),
        rule=below(0.2),
    ),
    *(alpha_one(method, alpha) for method, alpha in (("tiw_dsm", 0.25), ("tiw_dsm", 2.5), ("iw_dsm", 0.125))),
    vanishing_claim("weights-75"),
    *(claim for setting in ("digits-lt-5", "digits-lt-25", "digits-lt-50") for claim in at_size(setting)),
]
