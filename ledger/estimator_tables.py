"""The tables of docs/estimators.md: trained denoisers by the estimator of their ratio, and the benchmarks of ratios."""

from collections.abc import Callable, Iterable
from functools import wraps
from itertools import product
from pathlib import Path

import pandas as pd

from ledger.image_rows import FIRST, TITLES, mark, of_setting, texts
from ledger.markdown import header, row, text_of
from tiwlib.estimators import ESTIMATORS
from tiwlib.objectives import METHODS
from tiwlib.runs import finished
from tiwlib.runs.tables import benchmark, without_tuning
from tiwlib.training import TrainingConfig

CLASSES, HUES = "digits-lt", "digits-colour-90"
SHORT = 400  # steps of the plain denoiser that some runs' ratio stands on
RIVAL = "plain"  # the paper's estimator, with which the others are compared


def by_ratio(setting: str, plain: tuple[str, ...], names: tuple[str, ...]) -> str:
    """TIW-DSM and IW-DSM on a setting by the estimator of their ratio, below plain training.

    plain: methods without a ratio; names: of measures.
    """
    trained = without_tuning(finished("05_train"))
    lines = header("method, ratio", "seeds", *(TITLES[name] for name in names))
    asked = [(method, "plain", None) for method in plain]
    asked += product(("tiw_dsm", "iw_dsm"), ESTIMATORS, (None, SHORT))
    for method, ratio, base in asked:
        rows = of_setting(trained, setting, method, ratio=ratio, base_steps=base)
        if rows:
            label = METHODS[method].label + (f", {ratio}" if METHODS[method].ratio else "")
            label += f", base of {base} steps" if base else ""
            lines.append(row(label, len(rows), *texts([r["metrics"] for r in rows], names)))
    usual = of_setting(trained, setting, "tiw_dsm")
    distances = [r["metrics"]["context"]["reference"]["frechet"] for r in usual]
    of_reference = [{"group_shares": [None], "frechet": distance} for distance in distances]
    lines.append(row("the reference images themselves", len(usual), *texts(of_reference, names)))
    return "\n".join([*lines, "", mark(setting, usual[0]["params"], trained)])


def estimators() -> str:
    """By the estimator of the ratio: long-tailed digits."""
    return by_ratio(CLASSES, ("dsm_ref",), ("total_variation", "frechet", "precision", "recall", "nearest"))


def estimators_hues() -> str:
    """By the estimator of the ratio: coloured digits."""
    return by_ratio(
        HUES, ("dsm_obs", "dsm_ref"), (FIRST, "total_variation", "frechet", "precision", "recall")
    )


# ---------------------------------------------------------------- rows of benchmarks


def where_measured(table: Callable[[], str]) -> Callable[[], str]:
    """The table, or a line in its place that names the rows which no benchmark has made yet."""

    @wraps(table)
    def text() -> str:
        try:
            return table()
        except FileNotFoundError as missing:
            return f"Not measured yet: `{Path(missing.filename).stem}`."

    return text


def seeds_text(rows: pd.DataFrame) -> str:
    return f"Seeds: {', '.join(map(str, sorted(rows.seed.unique())))}."


def crossed(rows: pd.DataFrame, by: str, order: Iterable[str], column: str, title: str, metric: str) -> str:
    """A table of a metric: a row for each value of `by`, in this order, a column for each value of `column`."""
    values = sorted(rows[column].unique())
    lines = header(by.replace("_", " "), *(title.format(value) for value in values))
    for name in (name for name in order if name in set(rows[by])):
        cells = (rows[(rows[by] == name) & (rows[column] == value)][metric] for value in values)
        lines.append(row(name, *(text_of(cell, metric) for cell in cells)))
    return "\n".join([*lines, "", seeds_text(rows)])


def minus_plain(rows: pd.DataFrame, column: str, title: str, metric: str) -> str:
    """The same for each estimator minus the plain one on the same seed and the same value of `column`."""
    key = ["seed", column]
    rival = rows[rows.estimator == RIVAL].set_index(key)[metric]
    others = rows[~rows.estimator.isin([RIVAL, "oracle"])]
    gap = others.set_index(key)[metric] - rival.reindex(pd.MultiIndex.from_frame(others[key])).to_numpy()
    gaps = others.assign(gap=gap.to_numpy()).dropna(subset="gap")
    return crossed(gaps, "estimator", ESTIMATORS, column, title, "gap")


TWO_D = {"column": "n_reference", "title": "{} reference points", "metric": "score_error"}
DIGITS = {"column": "n_reference", "title": "{} reference images", "metric": "variation_after_weighting"}


def estimators_two_d() -> str:
    """The error of each estimator's correction in the 2-D example, by reference size."""
    return crossed(benchmark("estimators-two-d", bias="shares"), "estimator", ESTIMATORS, **TWO_D)


def estimators_two_d_gain() -> str:
    """The same, minus the plain estimator's."""
    return minus_plain(benchmark("estimators-two-d", bias="shares"), **TWO_D)


def blind_spot() -> str:
    """The error of each estimator's ratio under both biases of the 2-D example, 100 reference points."""
    rows = benchmark("estimators-two-d", n_reference=100)
    return crossed(rows, "estimator", ESTIMATORS, "bias", "bias: {}", "ratio_error")


@where_measured
def estimators_digits() -> str:
    """What the weights of each estimator leave of the bias of unseen digits, by reference size."""
    return crossed(benchmark("estimators-digits"), "estimator", ESTIMATORS, **DIGITS)


@where_measured
def estimators_digits_gain() -> str:
    """The same, minus the plain estimator's."""
    return minus_plain(benchmark("estimators-digits"), **DIGITS)


IMAGES = {"by": "estimator", "order": ESTIMATORS, "column": "setting", "title": "{}"}


@where_measured
def estimators_images() -> str:
    """What the weights of each estimator leave of the bias of unseen images, on the other image problems."""
    return crossed(benchmark("estimators-images"), metric="variation_after_weighting", **IMAGES)


@where_measured
def estimators_images_loss() -> str:
    """The cross-entropy of each estimator on unseen images almost without noise, by problem."""
    return crossed(benchmark("estimators-images"), metric="fresh_loss_without_noise", **IMAGES)


MEASURES = {
    "fresh_loss": "loss on fresh images",
    "heldout_loss": "out-of-fold loss",
    "calibration_error": "calibration gap",
    **{
        f"variation_of_batches_{level.replace('.', '_')}": f"batches' variation, sigma {level}"
        for level in ("0", "0.3", "1", "2")
    },
    "seconds": "seconds",
    "kept_mb": "MB kept",
}


@where_measured
def estimators_measures() -> str:
    """All else that is measured of a ratio on the long-tailed digits, 50 reference images."""
    rows = benchmark("estimators-digits", setting="digits-lt")
    lines = header("estimator", *MEASURES.values())
    for name in (name for name in ESTIMATORS if name in set(rows.estimator)):
        chosen = rows[rows.estimator == name]
        means = (chosen[measure].dropna().mean() for measure in MEASURES)
        lines.append(row(name, *("" if pd.isna(mean) else f"{mean:.3g}" for mean in means)))
    return "\n".join([*lines, "", f"Means. {seeds_text(rows)}"])


@where_measured
def tries() -> str:
    """The tries of the estimators on validation splits of the digits."""
    return of_tries(benchmark("estimators-tuning"), ["estimator", "attempt"], of_estimator, ON_DIGITS)


@where_measured
def tries_two_d() -> str:
    """The same on validation seeds of the 2-D example."""
    rows = benchmark("estimators-tuning-two-d")
    return of_tries(rows, ["estimator", "attempt"], of_estimator, ON_POINTS)


ON_DIGITS = {
    "variation_after_weighting": "total variation after weighting",
    "fresh_loss": "loss on fresh images",
}
ON_POINTS = {"score_error": "error of the correction"}


def of_estimator(first: pd.Series) -> tuple[str, dict]:
    return first.estimator, first.options


def of_base(first: pd.Series) -> tuple[str, dict]:
    rate = "falling rate" if first.training.get("lr_decay") else "rate"
    return first.setting, {"steps": first.steps, rate: first.training.get("lr", TrainingConfig.lr)}


def of_term(first: pd.Series) -> tuple[str, dict]:
    factor = {"factor": first.factor} if first.factor else {}
    return first.term, factor | {"steps": first.steps}


def of_tries(rows: pd.DataFrame, by: list[str], named, measures: dict[str, str]) -> str:
    """A row for each try. named: its name and its options, from its first row."""
    lines = header("what", "options", *measures.values(), "splits")
    for _, part in rows.groupby(by, sort=False):
        name, options = named(part.iloc[0])
        text = ", ".join(f"{option} {value:g}" for option, value in options.items()) or "as before"
        lines.append(row(name, text, *(text_of(part[measure]) for measure in measures), len(part)))
    return "\n".join(lines)


@where_measured
def bases() -> str:
    """What the posterior ratio is worth by the training length of the plain denoiser that it stands on."""
    rows = benchmark("estimators-base")
    rows = rows.assign(steps=[training["steps"] for training in rows.training])
    return of_tries(
        rows.sort_values(["setting", "steps", "seed"]), ["setting", "attempt"], of_base, ON_DIGITS
    )


@where_measured
def ratio_terms() -> str:
    """The tries of terms in the discriminator's loss, on validation seeds."""
    points, digits = benchmark("ratio-terms-two-d"), benchmark("ratio-terms-digits")
    parts = [
        (f"2-D, {n} reference points:", points[points.n_reference == n], ON_POINTS)
        for n in sorted(points.n_reference.unique())
    ]
    parts.append(("digits-lt, 50 reference images:", digits, ON_DIGITS))
    by = ["term", "factor", "steps"]
    return "\n\n".join(f"{title}\n\n{of_tries(rows, by, of_term, m)}" for title, rows, m in parts)


# ---------------------------------------------------------------- two methods on one ratio

BATCHES = {0.5: "half reference samples", 0.0: "biased samples alone"}


def by_batch(part: str) -> tuple[pd.DataFrame, list[str]]:
    """Rows of benchmarks/same_ratio.py with the method and its batches as one label, and the labels in order."""
    rows = benchmark(f"same-ratio-{part}")
    label = [f"{METHODS[m].label}, {BATCHES[pi]}" for m, pi in zip(rows.method, rows.fraction, strict=True)]
    rows = rows.assign(**{"method,_batches": label})
    return rows, list(dict.fromkeys(label))


@where_measured
def gradient_noise() -> str:
    """The variance of each method's gradient on the exact ratio, by noise level."""
    rows, order = by_batch("noise")
    return crossed(rows, "method,_batches", order, "level", "sigma {:g}", "noise")


@where_measured
def trained_on_exact() -> str:
    """The error of trained scores on the exact ratio."""
    rows, order = by_batch("trained")
    lines = header("method, batches", "squared error of the score", "minus IW-DSM's, same seed")
    for name in order:
        part = rows[rows["method,_batches"] == name].set_index("seed")
        rival = rows[(rows.method == "iw_dsm") & (rows.fraction == part.fraction.iloc[0])].set_index("seed")
        gap = (part.score_error - rival.score_error).dropna()
        own = name.startswith(METHODS["iw_dsm"].label)
        lines.append(row(name, text_of(part.score_error), "" if own else text_of(gap)))
    return "\n".join([*lines, "", seeds_text(rows)])


@where_measured
def minimisers_apart() -> str:
    """How far both minimisers on one estimated ratio are from the truth, and from each other."""
    rows = benchmark("same-ratio-bias")
    columns = {
        "iw_error": "IW-DSM to the truth",
        "tiw_error": "TIW-DSM to the truth",
        "apart": "to each other",
    }
    lines = header("ratio", *columns.values())
    for name in (name for name in ESTIMATORS if name in set(rows.estimator)):
        part = rows[rows.estimator == name]
        lines.append(row(name, *(text_of(part[column]) for column in columns)))
    return "\n".join([*lines, "", seeds_text(rows)])
