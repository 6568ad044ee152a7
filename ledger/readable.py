"""Claims that rest on samples which cannot be read are not judged: the guard of tables, applied to the ledger."""

import numpy as np

from ledger.rules import UNREADABLE
from tiwlib.data.settings import SETTINGS
from tiwlib.measures.readable import Readability, judge_error, of_plain_model
from tiwlib.runs import finished, guard

JUDGEMENT = ("p_value", "underpowered", "seeds_to_decide")  # of an entry; a claim that is not judged has none


def mark_unreadable(entries: list[dict], of_samples: list[bool]) -> None:
    """Take the verdict from each measured entry whose number is read off samples of a table that is not readable.

    Its number stays. of_samples: of each entry, whether its number is read off samples. Where they are images and no
    run says in which table they stand, nothing says that they can be read.
    """
    trained, compared = finished("05_train"), {r["run"]: r for r in finished("07_baselines")}
    params = {r["run"]: r["params"] for r in trained}
    tables = {}  # the runs of a table share it

    def table_of(run: str) -> Readability | None:
        """The table that a run "<notebook>/<name>" stands in; None where it draws no images of groups."""
        notebook, _, name = run.partition("/")
        if notebook == "07_baselines" and name in compared:
            return of_baselines(compared[name]["metrics"])
        if notebook != "05_train" or name not in params:
            return None
        return guard.readability(params[name], trained)

    for entry, rests in zip(entries, of_samples, strict=True):
        if not rests or "runs" not in entry:
            continue
        for run in entry["runs"]:
            if run not in tables:
                tables[run] = table_of(run)
        stands = [table for run in entry["runs"] if (table := tables[run])]
        texts = {table.text for table in stands if not table.readable}
        if not stands and entry["setting"] in SETTINGS:
            texts = {"no run says whether its samples can be read"}
        if texts:
            for name in JUDGEMENT:
                entry.pop(name, None)
            entry |= {"verdict": UNREADABLE, "why": "; ".join(sorted(texts))}


def of_baselines(metrics: dict) -> Readability | None:
    """The readability of a record of notebook 07: its plain model is DSM(bias), trained on the biased set alone."""
    if "dsm_bias" not in metrics["methods"]:
        return None
    cells = metrics["methods"]["dsm_bias"]
    names = [name for name in ("precision", "unsure", "group_shares") if name in cells]
    confusion = np.array(
        metrics["judge_confusion"] or [[1]]
    )  # none: the judge is an exact rule, which never errs
    error = judge_error(confusion.trace() / confusion.sum(), confusion.sum()) if len(confusion) > 1 else 0.0
    seeds = zip(*(cells[name]["seeds"] for name in names), strict=True)
    rows = [dict(zip(names, values, strict=True)) | {"n_samples": metrics["n_samples"]} for values in seeds]
    return of_plain_model(rows, [np.array(metrics["biased_shares"])] * len(rows), [error] * len(rows))
