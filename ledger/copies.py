"""Whether the samples of a rare group are new images or copies: benchmarks/copies.py."""

import pandas as pd

from ledger.claim import Claim
from ledger.estimator_tables import seeds_text, where_measured
from ledger.evidence import of_benchmark, repeated
from ledger.markdown import header, row, text_of
from ledger.rules import above
from tiwlib.objectives import METHODS
from tiwlib.runs.tables import benchmark

NAME, SETTING = "copies", "digits-colour-90"
COMMON, RARE = "red", "blue"
SEEN = "ours, written after a first look at the numbers"


def part(group: str) -> pd.Series:
    """How far TIW-DSM's samples of a group are from a training image, as a part of what held-out images have."""
    return benchmark(NAME, setting=SETTING, method="tiw_dsm", ratio="plain", group=group).part


def claim(method: str, group: str) -> Claim:
    label, where = (
        METHODS[method].label,
        {"setting": SETTING, "method": method, "ratio": "plain", "group": group},
    )
    return Claim(
        id=f"copies-{method.replace('_', '-')}-{group}",
        statement=f"On coloured digits {label}'s {group} samples are at least half as far from the nearest training "
        "image as held-out images are",
        source=SEEN,
        setting=SETTING,
        quantity=f"distance to the nearest training image, {label}'s {group} samples over held-out images",
        measure=lambda: repeated(of_benchmark(NAME, "part", **where)),
        rule=above(0.5),
        sweep=f"benchmarks/copies.py {SETTING}",
    )


CLAIMS = [claim("tiw_dsm", COMMON), claim("tiw_dsm", RARE), claim("iw_dsm", RARE)]


@where_measured
def copies() -> str:
    """The distance to the nearest training image of each group's samples, by method, beside held-out images."""
    rows = benchmark(NAME, setting=SETTING)
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
    counts = ", ".join(f"{seen[seen.group == g].trained_on.iloc[0]} {g}" for g in groups)
    return "\n".join([*lines, "", f"Training images, but of DSM(ref): {counts}. {seeds_text(rows)}"])
