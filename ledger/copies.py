"""Whether the samples of a rare group are new images or copies: benchmarks/copies.py."""

import pandas as pd

from ledger.claim import Claim
from ledger.digits import dashed
from ledger.estimator_tables import seeds_text, where_measured
from ledger.evidence import of_benchmark, repeated
from ledger.markdown import header, row, text_of
from ledger.rules import above
from tiwlib.objectives import METHODS
from tiwlib.runs.tables import benchmark

NAME, COMMON, RARE = "copies", "red", "blue"
DIGITS, MNIST = (
    "digits-colour-90",
    "mnist8-colour-90",
)  # with 75 training images of the rare hue, and with 1,250
IMAGES = {DIGITS: "coloured digits", MNIST: "coloured MNIST"}
SOURCES = {
    DIGITS: "ours, written after a first look at the numbers",
    MNIST: "ours, written after the digits and before these runs",
}


def of_tiw(group: str, setting: str) -> pd.DataFrame:
    """The rows of TIW-DSM on the plain ratio."""
    return benchmark(NAME, setting=setting, method="tiw_dsm", ratio="plain", group=group)


def claim(setting: str, method: str, group: str) -> Claim:
    label = METHODS[method].label
    where = {"setting": setting, "method": method, "ratio": "plain", "group": group}
    return Claim(
        id=dashed("copies" if setting == DIGITS else f"copies-{setting}", method, group),
        statement=f"On {IMAGES[setting]} {label}'s {group} samples are at least half as far from the nearest training "
        "image as held-out images are",
        source=SOURCES[setting],
        setting=setting,
        quantity=f"distance to the nearest training image, {label}'s {group} samples over held-out images",
        measure=lambda: repeated(of_benchmark(NAME, "part", **where)),
        rule=above(0.5),
        sweep=f"benchmarks/copies.py {setting}",
    )


LOOKED_AT = (("tiw_dsm", COMMON), ("tiw_dsm", RARE), ("iw_dsm", RARE))
CLAIMS = [claim(setting, *which) for setting in (DIGITS, MNIST) for which in LOOKED_AT]


@where_measured
def copies() -> str:
    """The distance to the nearest training image of each group's samples, by method, beside held-out images."""
    found = {setting: benchmark(NAME, setting=setting) for setting in (MNIST, DIGITS)}
    return "\n\n".join(f"{setting}:\n\n{of_rows(rows)}" for setting, rows in found.items() if len(rows))


def of_rows(rows: pd.DataFrame) -> str:
    """The table of one setting's rows."""
    groups = list(dict.fromkeys(rows.group))
    lines = header(
        "method, ratio", *(f"{group} samples" for group in groups), *(f"{g}, over held-out" for g in groups)
    )
    parts = dict(list(rows.groupby(["method", "ratio"])))
    for method, ratio in sorted(parts, key=lambda pair: (list(METHODS).index(pair[0]), pair[1])):
        mine = parts[method, ratio]
        cells = [text_of(mine[mine.group == g][name]) for name in ("nearest", "part") for g in groups]
        label = METHODS[method].label + (f", {ratio}" if METHODS[method].ratio else "")
        lines.append(row(label, *cells))
    seen = rows[rows.method != "dsm_ref"]
    real = [text_of(seen[seen.group == g].drop_duplicates("seed").nearest_of_data) for g in groups]
    lines.append(row("held-out images", *real, *("1" for _ in groups)))
    counts = ", ".join(f"{seen[seen.group == g].trained_on.iloc[0]:,} {g}" for g in groups)
    return "\n".join(
        [*lines, "", f"Training images of every method but DSM(ref): {counts}. {seeds_text(rows)}"]
    )
