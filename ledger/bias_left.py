"""What a ratio leaves of a bias by noise level, beside what the samples have: benchmarks/bias_left.py."""

import pandas as pd

from ledger.claim import Claim
from ledger.estimator_tables import seeds_text, where_measured
from ledger.evidence import Values, difference, of_benchmark
from ledger.markdown import header, row, text_of
from ledger.rules import above, below, near
from tiwlib.estimators import ESTIMATORS
from tiwlib.objectives import METHODS
from tiwlib.runs.tables import benchmark

NAME, COLOUR, TAIL = "bias-left", "digits-colour-90", "digits-lt"
DECIDED = 5.0  # sigma; the hue is decided between 11 and 1.9, the class below 4.2
SEEN = "ours, written after a first look at the numbers"


def left(metric: str, level: float, ratio: str = "plain", setting: str = COLOUR) -> Values:
    """A part of the batches' bias that TIW-DSM's ratio, or its samples, leave."""
    return of_benchmark(NAME, metric, setting=setting, method="tiw_dsm", ratio=ratio, level=level)


def claim(
    id: str, statement: str, quantity: str, measure, rule, source: str, *, setting=COLOUR, of_samples=False
) -> Claim:
    return Claim(
        id=f"bias-left-{id}",
        statement=statement,
        source=source,
        setting=setting,
        quantity=quantity,
        measure=measure,
        rule=rule,
        sweep=f"benchmarks/bias_left.py {setting}",
        of_samples=of_samples,
    )


CLAIMS = [
    claim(
        "noise",
        "On coloured digits the plain ratio leaves more of the bias where the hue is decided than without noise",
        "part of the batches' bias left in the mean, sigma 5 minus sigma 0",
        lambda: difference(left("both", DECIDED), left("both", 0.0)),
        above(0),
        SEEN,
    ),
    claim(
        "samples",
        "On coloured digits the samples of TIW-DSM keep the part of the bias that its ratio leaves at sigma 5",
        "part of the batches' bias, in the samples minus left by the ratio",
        lambda: difference(left("samples", DECIDED), left("both", DECIDED)),
        near(0, 0.1),
        SEEN,
        of_samples=True,
    ),
    claim(
        "posterior",
        "On coloured digits the posterior ratio leaves less of the bias at sigma 5 than the paper's",
        "part of the batches' bias left in the mean, posterior minus plain",
        lambda: difference(left("both", DECIDED, "posterior"), left("both", DECIDED)),
        below(0),
        "ours, set before the runs",
    ),
    claim(
        "posterior-samples",
        "On coloured digits TIW-DSM keeps less of the bias with the posterior ratio than with the paper's",
        "part of the batches' bias in the samples, posterior minus plain",
        lambda: difference(left("samples", DECIDED, "posterior"), left("samples", DECIDED)),
        below(0),
        "ours, set before the runs",
        of_samples=True,
    ),
    claim(
        "oracle",
        "On long-tailed digits a ratio of the true groups that was learned under noise leaves more of the bias at "
        "sigma 5 than without noise",
        "part of the batches' bias left in the mean, oracle, sigma 5 minus sigma 0",
        lambda: difference(left("both", DECIDED, "oracle", TAIL), left("both", 0.0, "oracle", TAIL)),
        above(0),
        SEEN,
        setting=TAIL,
    ),
    claim(
        "posterior-tail",
        "On long-tailed digits the posterior ratio leaves as much of the bias at sigma 5 as without noise",
        "part of the batches' bias left in the mean, posterior, sigma 5 minus sigma 0",
        lambda: difference(left("both", DECIDED, "posterior", TAIL), left("both", 0.0, "posterior", TAIL)),
        near(0, 0.1),
        SEEN,
        setting=TAIL,
    ),
]


def of_method(rows: pd.DataFrame, method: str, ratio: str, levels: list[float]) -> str:
    """One line: the parts at every level, those of the weight alone at the highest, and those of the samples."""
    chosen = rows[(rows.method == method) & (rows.ratio == ratio)]
    cells = [chosen[chosen.level == level] for level in levels]
    if method == "iw_dsm":  # the ratio of clean images, at every level
        cells = [cells[0]] * len(levels)
    first, last = chosen[chosen.level == levels[0]], cells[-1]
    parts = [text_of(cell.both) for cell in cells] + [text_of(last.weight), text_of(first.samples)]
    return row(f"{METHODS[method].label}, {ratio}", *parts)


@where_measured
def bias_left() -> str:
    """The part of the bias that each ratio leaves in the mean, by noise level, and that the samples have."""
    rows, parts = benchmark(NAME), []
    levels = sorted(rows.level.unique())
    for setting, of_setting in rows.groupby("setting", sort=False):
        titles = [
            *(f"sigma {level:g}" for level in levels),
            f"weight alone, sigma {levels[-1]:g}",
            "in the samples",
        ]
        lines = [f"{setting}:", "", *header("method, ratio", *titles)]
        there = set(zip(of_setting.method, of_setting.ratio, strict=True))
        ratios = (f"{ratio}{base}" for ratio in ESTIMATORS for base in ("", "-base400"))
        asked = [(method, ratio) for ratio in ratios for method in ("tiw_dsm", "iw_dsm")]
        lines += [of_method(of_setting, *pair, levels) for pair in asked if pair in there]
        parts.append("\n".join([*lines, "", seeds_text(of_setting)]))
    return "\n\n".join(parts)
