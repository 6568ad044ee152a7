"""The numbers of the README and the docs: tables made from the records under results/, put between markers.

`python -m ledger.report` rewrites them; a test compares.
"""

import json
import re
from pathlib import Path

from tiwlib.baselines import METHODS
from tiwlib.measures.intervals import as_text
from tiwlib.plots import in_order
from tiwlib.runs import PROJECT, results_root


def record(part: str, notebook: str, run: str = "default") -> dict:
    """metrics, params or provenance of one finished run."""
    return json.loads((results_root() / notebook / run / f"{part}.json").read_text())


def row(*cells) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def plane() -> str:
    """Minority shares in the plane: closed form, and trained with an interval over seeds."""
    found = record("metrics", "01_density_ratio_2d", "seeds8")
    n = found["closed_form_samples"]
    closed = f"closed form, {n:,} samples of it, ± {1.96 * (0.25 / n) ** 0.5:.3f}"
    lines = [row("objective", closed, "trained, mean and 95 % interval"), row("---", "---", "---")]
    for label in in_order(found["closed_form"]):
        share = found["closed_form"][label]
        t = found["trained"].get(label)
        trained = (
            f"{t['mean']:.3f} ({t['low']:.3f} to {t['high']:.3f}, {t['seeds']} seeds)" if t else "not trained"
        )
        lines.append(row(label, f"{share:.3f}", trained))
    return "\n".join(lines)


def ratio() -> str:
    """The time-dependent ratio's integrated error as a share of the time-independent one's."""
    share = record("metrics", "03_ratio_accuracy")["error_share"]
    return (
        f"Integrated over diffusion time, the squared error of the time-dependent ratio is **{share['mean']:.2f}** "
        f"of the time-independent one's (mean of {len(share['seeds'])} seeds, 95 % interval {share['low']:.2f} to "
        f"{share['high']:.2f}; single seeds {min(share['seeds']):.2f} to {max(share['seeds']):.2f}; "
        f"the paper: 0.391, one run)."
    )


def compared(run: str) -> str:
    """All methods on one setting, as a run of notebook 05 has put them side by side."""
    table = record("metrics", "05_figures", run)["table"]
    names = {
        "total_variation": "total variation of shares ↓",
        "classifier_frechet": "Frechet distance ↓ (our classifier)",
        "recall": "recall ↑",
        "nearest_training_image": "distance to nearest training image",
    }
    lines = [row("method", "seeds", *names.values()), row(*["---"] * (len(names) + 2))]
    for label in in_order(table):
        lines.append(row(label, table[label]["seeds"], *(as_text(table[label][name]) for name in names)))
    return "\n".join(lines)


def digits() -> str:
    """All methods on the long-tailed digits."""
    return compared("default")


def mnist() -> str:
    """The four methods on MNIST, after as many images each."""
    names = record("metrics", "05_figures", "mnist-lt-5")["runs"]
    params = [record("params", "04_train", name) for name in names]
    (seen,) = {p["steps"] * p["batch_size"] for p in params}  # equal budgets
    made = [record("provenance", "04_train", name) for name in names]
    machines = " and ".join(sorted({f"{p['device']} of {p['machine']}" for p in made}))
    minutes = sorted(p["wall_seconds"] / 60 for p in made)
    return (
        f"{compared('mnist-lt-5')}\n\nEach run has seen {seen:,} images, on {machines}; it took {minutes[0]:.0f} to "
        f"{minutes[-1]:.0f} minutes of one thread, the longest beside other work."
    )


def claims() -> str:
    """The ledger: every claim with its verdict, from results/claims.json; those without a run yet are folded away."""
    ledger = json.loads((results_root() / "claims.json").read_text())
    names = ("claim", "whose", "setting, notebook", "measured", "holds if", "verdict")
    lines = [row(*names), row(*["---"] * len(names))]
    for claim in (c for c in ledger if "value" in c):
        interval = as_text({"mean": claim["value"], "low": claim["low"], "high": claim["high"]})
        seeds = f", {len(claim['seeds'])} {claim['repeats']}" if len(claim["seeds"]) > 1 else ""
        where = f"{claim['setting']}, {', '.join(name[:2] for name in claim['notebooks'])}"
        measured = f"{claim['quantity']}: {interval}{seeds}"
        verdict = f"**{claim['verdict']}**"
        lines.append(row(claim["statement"], claim["source"], where, measured, claim["rule"], verdict))
    untested = [c for c in ledger if "value" not in c]
    if untested:
        names = ("claim", "whose", "setting", "why not", "holds if")
        lines += ["", f"<details><summary>{untested[0]['verdict']}: {len(untested)} claims</summary>", ""]
        lines += [row(*names), row(*["---"] * len(names))]
        for claim in untested:
            why = claim["why"].split(": ")[-1]  # the command that makes it
            why = f"`{why}`" if why.startswith("make ") else why
            lines.append(row(claim["statement"], claim["source"], claim["setting"], why, claim["rule"]))
        lines += ["", "</details>"]
    return "\n".join(lines)


def siblings() -> str:
    """All methods of notebook 08 on all problems: what they require, and the fairness discrepancy."""
    problems = ("gmm", "0v1", "low-high", "long-tail")
    found = {problem: record("metrics", "08_baselines", problem)["methods"] for problem in problems}
    lines = [row("method", "requires", *problems), row(*["---"] * (len(problems) + 2))]
    for name in METHODS:
        measures = found["gmm"][name]
        cells = (found[problem].get(name) for problem in problems)
        texts = (as_text(cell["discrepancy"]) if cell else "" for cell in cells)
        lines.append(row(measures["label"], measures["requires"], *texts))
    return "\n".join(lines)


SHOWS = {
    "01_density_ratio_2d": "scores, ratio, correction; what every objective converges to",
    "02_biased_datasets": "the biased and the reference set of a setting",
    "03_ratio_accuracy": "error against noise level, training length, calibration",
    "04_train": "one method on one split: samples, shares, distances",
    "05_figures": "all methods, from the records alone",
    "06_what_each_objective_learns": "where every objective ends, the released code's too",
    "07_ablations": "the readers' questions: ratio quality, small noise, cost, better ratios",
    "08_baselines": "other ways to debias, side by side",
}


def notebooks() -> str:
    """What each notebook shows, and how long its recorded default run took."""
    lines = [row("notebook", "shows", "took, one thread of a busy machine"), row("---", "---", "---")]
    for name, shows in SHOWS.items():
        run = {"04_train": "digits-lt-tiw_dsm-seed0", "08_baselines": "gmm"}.get(name, "default")
        seconds = record("provenance", name, run)["wall_seconds"]
        lines.append(row(f"[{name}](notebooks/{name}.ipynb)", shows, f"{seconds:.0f} s"))
    return "\n".join(lines)


def speed() -> str:
    """The benchmark of training and sampling, of every machine that has run it."""
    lines = []
    for path in sorted((PROJECT / "benchmarks" / "results").glob("*-speed.json")):
        found = json.loads(path.read_text())
        short = " (TF32)" if found.get("tf32") else ""
        rates = found["matrix_tflops"].items()
        rates = ", ".join(f"{name}{short if name == 'fp32' else ''} {rate:.3g}" for name, rate in rates)
        lines += [
            f"**{found['chip']}**, {found['threads']} threads, torch {found['torch']}; large matrix product, "
            f"TFLOP/s: {rates}; medians of {found['repetitions']} interleaved repetitions",
            "",
        ]
        names = ("network", "batch", "precision", "method", "images_per_s", "over_dsm", "matmul_share")
        lines += [row(*names, "peak memory, MB"), row(*["---"] * (len(names) + 1))]
        for r in found["rows"]:
            cells = [r[name] for name in (*names, "peak_memory_mb")]
            lines.append(row(*("" if cell is None else cell for cell in cells)))
        lines.append("")
    return "\n".join(lines).rstrip()


def ratio_size() -> str:
    """The small ratio network beside one ten times larger."""
    lines = []
    for path in sorted((PROJECT / "benchmarks" / "results").glob("*-ratio-size-*.json")):
        found = json.loads(path.read_text())
        by_size = {}
        for r in found["rows"]:
            by_size.setdefault(r["parameters"], []).append(r["heldout_loss"])
        losses = ", ".join(f"{n:,} parameters {sum(v) / len(v):.4f}" for n, v in sorted(by_size.items()))
        lines.append(
            f"- {found['setting']}, {found['seeds']} splits, up to {found['steps']} steps of {found['batch']}: mean "
            f"held-out loss in nats {losses}; small minus large {as_text(found['difference'])} "
            f"(t interval over the splits)."
        )
    return "\n".join(lines)


PAGES = {
    PROJECT / "README.md": (plane, ratio, digits, mnist, siblings, claims, notebooks),
    PROJECT / "docs" / "performance.md": (speed, ratio_size),
}


def filled(page: Path) -> str:
    """A page with each of its marked parts made anew: <!-- plane --> ... <!-- end -->."""
    text = page.read_text()
    for part in PAGES[page]:
        pattern = rf"(<!-- {part.__name__} -->\n).*?(<!-- end -->)"
        text, count = re.subn(pattern, lambda m, part=part: f"{m[1]}{part()}\n{m[2]}", text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"{page.name}: has {count} parts marked <!-- {part.__name__} -->, must be one")
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page))
