"""The ledger as a page of the book: a heat map, counts and a table, as MyST made from results/claims.json.

It reads files alone: the package `ledger`, which judges the claims, would import torch into every build of the book.
"""

import html
import json
import re
from fnmatch import fnmatch
from functools import cache
from itertools import groupby
from pathlib import Path

from tiwlib.measures.intervals import as_text

PROJECT = Path(__file__).resolve().parents[2]
RESULTS = PROJECT / "results"

# verdict -> class in the style sheet, mark of a tile
VERDICTS = {
    "holds": ("holds", "✓"),
    "does not hold here": ("fails", "✗"),
    "not decided here": ("open", "?"),
    "not readable here": ("unreadable", "~"),
    "not tested here": ("untested", "–"),
}

# question -> patterns of claims' ids; the first that matches counts
QUESTIONS = {
    "Does TIW-DSM learn the unbiased density?": (
        "theorem-1*",
        "obs-biased",
        "colour-*",
        "*-debiases",
        "digits*-not-fair",
        "mnist*-fair",
        "celeba-5-share-*",
    ),
    "Is TIW-DSM better than DSM and IW-DSM?": (
        "tiw-iw-*",
        "*-tiw-iw-*",
        "*-tiw-dsm-ref*",
        "*-tiw-dsm-obs*",
        "c*-tiw-dsm-*",
        "*-dsm-fid",
        "*-obs-fid",
    ),
    "Which part does the work, weight or correction?": ("*w-only*", "*c-only*"),
    "What do the power of the weight and the mixture of the batch change?": ("*alpha-*", "mixture-*"),
    "Does DSM(ref) copy its few images?": ("*-ref-copies", "*-ref-recall", "*-ref-nearest*"),
    "How good is the density ratio, and how good must it be?": (
        "estimator-*",
        "ratio-error-*",
        "*weights-75",
        "heldout-*",
        "threshold*",
        "ensemble-*",
        "cross-fitting-*",
    ),
    "What does the authors' code compute, and what does a step cost?": ("released-*", "step-cost*"),
    "How do other ways to debias compare?": ("siblings-*", "baselines-*"),
    "Other claims": ("*",),
}


@cache
def claims() -> list[dict]:
    """The entries of claims.json, in its order."""
    return json.loads((RESULTS / "claims.json").read_text(encoding="utf-8"))


def question(claim: dict) -> str:
    """The question that a claim belongs to."""
    return next(q for q, patterns in QUESTIONS.items() if any(fnmatch(claim["id"], p) for p in patterns))


def by_question() -> dict[str, list[dict]]:
    """The claims of each question that has some, in the order of QUESTIONS."""
    order = list(QUESTIONS)
    ranked = sorted(claims(), key=lambda claim: order.index(question(claim)))
    return {q: list(group) for q, group in groupby(ranked, question)}


def family(setting: str) -> str:
    """The column of a setting: "2-D, exact ratio" -> "2-D", "cifar10-lt-25" -> "cifar10-lt"."""
    return re.sub(r"-\d+$", "", setting.split(",")[0])


def anchor(claim: dict) -> str:
    """The id of a claim's row: letters, digits and hyphens, as HTML and MyST both take them."""
    return "claim-" + re.sub(r"[^a-z0-9]+", "-", claim["id"].lower())


def escaped(text: str) -> str:
    """Text that MyST shows as it is, in a cell of a table too."""
    return re.sub(r"([\\`*_{}\[\]<>|$#~])", r"\\\1", text)


def about(*parts: str) -> str:
    """A smaller line below the first in a cell, its parts divided by dots."""
    return f"[{' · '.join(part for part in parts if part)}]{{.about}}"


# ------------------------------------------------------------------------------------------ heat map and counts


def tile(claim: dict) -> str:
    kind, mark = VERDICTS[claim["verdict"]]
    label = html.escape(f"{claim['verdict']}: {claim['statement']} ({claim['setting']})")
    return f'<a class="tile {kind}" href="#{anchor(claim)}" title="{label}" aria-label="{label}">{mark}</a>'


def heat_map() -> str:
    """A table of questions by settings with a tile for each claim, which leads to its row."""
    columns = list(dict.fromkeys(family(claim["setting"]) for claim in claims()))
    lines = ['<div class="table-wrapper"><table class="heat">', "<thead><tr><th>question</th>"]
    lines += [f'<th scope="col">{html.escape(column)}</th>' for column in columns]
    lines.append("</tr></thead><tbody>")
    for name, group in by_question().items():
        lines.append(f'<tr><th scope="row">{html.escape(name)}</th>')
        for column in columns:
            cell = [claim for claim in group if family(claim["setting"]) == column]
            ranked = sorted(cell, key=lambda claim: list(VERDICTS).index(claim["verdict"]))
            lines.append(f"<td>{''.join(map(tile, ranked))}</td>")
        lines.append("</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def counts() -> str:
    """How many claims have which verdict: those of the paper, ours, all. It explains the tiles as well."""
    present = [v for v in VERDICTS if any(claim["verdict"] == v for claim in claims())]
    whose = {"of the paper": True, "ours": False}
    lines = [f"| verdict | {' | '.join(whose)} | all |", "|---|" + "---:|" * (len(whose) + 1)]
    for verdict in present:
        kind, mark = VERDICTS[verdict]
        same = [claim for claim in claims() if claim["verdict"] == verdict]
        numbers = [sum(is_papers(claim) == papers for claim in same) for papers in whose.values()]
        cells = " | ".join(map(str, [*numbers, len(same)]))
        lines.append(f"| [{mark}]{{.tile .{kind}}} {verdict} | {cells} |")
    return "\n".join(lines)


def is_papers(claim: dict) -> bool:
    return claim["source"].startswith("paper")


# ------------------------------------------------------------------------------------------ the table


def measured(claim: dict) -> str:
    """value (low to high), or the single values where there are fewer than four; nothing without a run."""
    if "value" not in claim:
        return ""
    values = claim.get("values", [])
    if 1 < len(values) < 4:
        return ", ".join(f"{value:.3g}" for value in values)
    return as_text({"mean": claim["value"], "low": claim["low"], "high": claim["high"]})


def basis(claim: dict) -> str:
    """What the number rests on: "5 seeds", "closed form"."""
    if claim.get("asks") == 0:
        return "closed form"
    n = len(claim.get("values") or claim.get("seeds", []))
    return f"{n} seeds" if n > 1 else "1 seed" if n else ""


def run_records(claim: dict) -> list[dict]:
    paths = [RESULTS / run / "provenance.json" for run in claim.get("runs", [])]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def effort(claim: dict) -> str:
    """How long the runs behind a number took together and on what: "130 s on cpu of x86_64, 2 CPU cores"."""
    records = run_records(claim)
    if not records:
        return ""
    seconds = sum(record["wall_seconds"] for record in records)
    machines = sorted({f"{record['device']} of {record['machine']}" for record in records})
    runs = f"{len(records)} runs, " if len(records) > 1 else ""
    return f"{runs}{duration(seconds)} on {' and '.join(machines)}"


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def notebooks(claim: dict) -> str:
    """Links to the notebooks whose runs were measured."""
    names = [
        name for name in claim.get("notebooks", []) if (PROJECT / "notebooks" / f"{name}.ipynb").exists()
    ]
    links = [f"[{name[:2]}](../notebooks/{name}.ipynb)" for name in names]
    return f"notebook {', '.join(links)}" if links else ""


def verdict(claim: dict) -> str:
    """The verdict, with what weakens it: that among all claims, too few seeds, what would decide it."""
    kind, mark = VERDICTS[claim["verdict"]]
    notes = []
    if claim.get("verdict_among_all", claim["verdict"]) != claim["verdict"]:
        notes.append(f"among all {claim['looked_at']} numbers: {claim['verdict_among_all']}")
    if claim.get("underpowered"):
        notes.append("the interval is too wide for this rule")
    if "seeds_to_decide" in claim:
        notes.append(f"seeds that would decide: {claim['seeds_to_decide']}")
    if 1 < len(claim.get("values", [])) < claim.get("asks", 0):
        notes.append(f"fewer than the {claim['asks']} seeds asked for")
    text = f"[{mark} {claim['verdict']}]{{.verdict .{kind}}}"
    return " ".join([text, *(about(escaped(note)) for note in notes)])


def row(claim: dict) -> str:
    """A line of the table that can be read alone."""
    first = f"[{escaped(claim['statement'])}]{{#{anchor(claim)} .statement}}"
    where = about(escaped(claim["source"]), escaped(claim["setting"]), notebooks(claim))
    how = about(f"`{claim['command']}`", escaped(effort(claim)))
    number = f"[{escaped(measured(claim))}]{{.number}} " if "value" in claim else ""
    cells = [
        f"{first} {where} {how}",
        f"{number}{about(escaped(claim['quantity']), basis(claim))}",
        escaped(claim["rule"]),
        verdict(claim),
    ]
    return f"| {' | '.join(cells)} |"


def table() -> str:
    """For each question a heading and the table of its claims."""
    parts = []
    for name, group in by_question().items():
        head = "| claim | measured | holds if | verdict |\n|---|---|---|---|"
        parts.append(f"## {name}\n\n{{.claims}}\n{head}\n" + "\n".join(map(row, group)))
    return "\n\n".join(parts)
