"""The tables of README and docs, each made from the records under results/, as Markdown."""

import json

import numpy as np

from ledger.front import record
from ledger.image_tables import mark
from ledger.markdown import cell_of, header, line, plain, row
from ledger.provenance import CLOCK, as_seconds
from ledger.two_d import PAPER_ERROR_SHARE
from tiwlib.measures.floor import fair_floor
from tiwlib.measures.intervals import as_text, mean_interval
from tiwlib.runs import PROJECT, finished
from tiwlib.runs.tables import in_order, run_key, run_label


def two_d() -> str:
    """Minority shares in the 2-D example: closed form, and trained with an interval over seeds."""
    metrics = record("metrics", "01_density_ratio_2d", "seeds8")
    error = max(cell["high"] - cell["share"] for cell in metrics["closed_form"].values())
    lines = header("objective", f"closed form, ± {error:.3f}", "trained, mean and 95 % interval", "seeds")
    for key in in_order(metrics["trained"]):
        share, t = metrics["closed_form"][key]["share"], metrics["trained"][key]
        trained = f"{t['mean']:.3f} ({t['low']:.3f} to {t['high']:.3f})"
        lines.append(row(run_label(key), f"{share:.3f}", trained, t["seeds"]))
    return "\n".join(lines)


def ratio() -> str:
    """The time-dependent ratio's integrated error as a share of the time-independent one's, at two lengths."""
    metrics, params = (record(part, "03_ratio_accuracy") for part in ("metrics", "params"))
    same, best = metrics["error_share"], metrics["error_share_best"]
    lengths = metrics["best_length"]
    each = np.array(same["seeds"])
    typical, low, high = np.exp(mean_interval(np.log(each)))
    below = f"{(each < PAPER_ERROR_SHARE).sum()} of our {len(each)} single seeds"
    singles = f"geometric mean {typical:.2f}, {low:.2f} to {high:.2f}; single seeds {min(each):.2f} to {max(each):.2f}"
    return (
        f"Integrated over diffusion time, the squared error of the time-dependent ratio is **{same['mean']:.2f}** "
        f"of the time-independent one's when both train for {params['ratio_steps']:,} steps (mean of "
        f"{len(each)} seeds, 95 % interval {same['low']:.2f} to {same['high']:.2f}; {singles}). The paper has "
        f"{PAPER_ERROR_SHARE} from one run, more than {below}: an ordinary run. "
        f"With each at the length of its lowest held-out loss on validation seeds, "
        f"{lengths['time_dependent']:,} and {lengths['time_independent']:,} steps, it is **{best['mean']:.2f}** "
        f"({best['low']:.2f} to {best['high']:.2f}). Where there is hardly any noise both answer the same question, "
        f"and the share is {same['at_zero']['mean']:.2f} and {best['at_zero']['mean']:.2f}: so much of it is not "
        "the gain of knowing the noise level."
    )


COMPARED = {
    "total_variation": "total variation of shares ↓",
    "frechet": "Frechet distance ↓ (our classifier)",
    "precision": "precision ↑",
    "recall": "recall ↑",
    "nearest": "distance to nearest training image",
}


def compared(run: str) -> str:
    """All methods on one setting: the runs of notebook 05 that a run of notebook 06 has put side by side."""
    by_method, trained = {}, {}
    for name in record("metrics", "06_results", run)["runs"]:
        params, metrics = record("params", "05_train", name), record("metrics", "05_train", name)
        by_method.setdefault(run_key(params), []).append(metrics)
        trained[metrics["n_samples"], len(metrics["group_names"])] = name
    ((n, groups),) = trained  # as many samples of as many groups in each run
    lines = header("method", "seeds", *COMPARED.values())
    for key in in_order(by_method):
        cells = (cell_of([m[name] for m in by_method[key]]) for name in COMPARED)
        texts = (as_text(cell, name) for cell, name in zip(cells, COMPARED, strict=True))
        lines.append(row(run_label(key), len(by_method[key]), *texts))
    mean, most = fair_floor((1 / groups,) * groups, n)
    floor = f"{mean:.3f}, 95 % below {most:.3f}"
    lines.append(row(f"a fair sampler, {n:,} images", "", floor, *[""] * (len(COMPARED) - 1)))
    return "\n".join([*lines, "", mark(params["setting"], params, finished("05_train"))])


def digits() -> str:
    """All methods on the long-tailed digits."""
    return compared("default")


def mnist() -> str:
    """The four methods on MNIST, after as many images each."""
    names = record("metrics", "06_results", "mnist-lt-5")["runs"]
    params = [record("params", "05_train", name) for name in names]
    (seen,) = {p["steps"] * p["batch_size"] for p in params}  # equal budgets
    made = [record("provenance", "05_train", name) for name in names]
    machines = " and ".join(sorted({plain(f"{p['device']} of {p['machine']}") for p in made}))
    minutes = sorted(p["wall_seconds"] / 60 for p in made)
    return (
        f"{compared('mnist-lt-5')}\n\nEach run has seen {seen:,} images, on {machines}; it took {minutes[0]:.0f} to "
        f"{minutes[-1]:.0f} minutes of one thread, the longest beside other work."
    )


MODELS = {
    "dsm_bias": "base model, DSM(bias)",
    "invdiff": "InvDiff, inferred",
    "invdiff_oracle": "InvDiff, true groups",
}


def invdiff_losses() -> str:
    """Which group is harder for the base model, and for InvDiff's module on it: denoising losses by group."""
    paths = sorted((PROJECT / "benchmarks" / "results").glob("*-invdiff-losses.json"))
    rows = [r for path in paths for r in json.loads(path.read_text())["rows"]]
    if not rows:
        return "It has not run yet."
    columns = {
        "common group": ("training", "common"),
        "rare group": ("training", "rare"),
        "rare group, held out": ("held_out", "rare"),
    }
    lines = header("problem", "model", *columns)
    for problem in dict.fromkeys(r["problem"] for r in rows):
        for model, label in MODELS.items():
            chosen = [r for r in rows if (r["problem"], r["model"]) == (problem, model)]
            cells = (cell_of([r[name][group] for r in chosen]) for name, group in columns.values())
            lines.append(row(problem, label, *map(as_text, cells)))
    return "\n".join([*lines, "", harder(rows), memorised(rows)])


def harder(rows: list[dict]) -> str:
    """In how many runs the base model has the larger loss on the rare group."""
    base = [r["training"] for r in rows if r["model"] == "dsm_bias"]
    larger = sum(r["rare"] > r["common"] for r in base)
    return f"The base model has the larger loss on the rare group in {larger} of {len(base)} runs."


def memorised(rows: list[dict]) -> str:
    """What the module's loss on the rare group's own samples is of that on held-out ones, beside the base model's."""
    texts = []
    for problem in dict.fromkeys(r["problem"] for r in rows):
        shares = [
            np.mean([r["training"]["rare"] for r in chosen])
            / np.mean([r["held_out"]["rare"] for r in chosen])
            for model in MODELS
            if (chosen := [r for r in rows if (r["problem"], r["model"]) == (problem, model)])
        ]
        texts.append(f"on {problem} " + ", ".join(f"{share:.0%}" for share in shares))
    return (
        "The mean loss on the rare group's training samples, as a share of that on held-out samples of the same group, "
        f"is for these models in this order {' and '.join(texts)}: the lower, the more of the group is memorised."
    )


SHOWS = {
    "01_density_ratio_2d": "scores, ratio, correction; what every objective converges to",
    "02_what_each_objective_learns": "where every objective ends, the released code's too",
    "03_ratio_accuracy": "the ratio's error, what it does to the samples, other estimators, where they fail",
    "04_biased_datasets": "the biased and the reference set of a setting",
    "05_train": "one method on one split: samples, shares, distances",
    "06_results": "all methods, from the records alone",
    "07_baselines": "other ways to debias, side by side",
}


def notebooks() -> str:
    """What each notebook shows, and how long its recorded default run took."""
    lines = header("notebook", "shows", f"took, one thread ({CLOCK} by the clock of a busy machine)")
    for name, shows in SHOWS.items():
        run = {"05_train": "digits-lt-tiw_dsm-seed0", "07_baselines": "gmm"}.get(name, "default")
        took = as_seconds(record("provenance", name, run))
        lines.append(line(f"[{name}](notebooks/{name}.ipynb)", shows, took))
    return "\n".join(lines)


def pretrained() -> str:
    """The denoisers that are kept in git, from their cards."""
    cards = [json.loads(path.read_text()) for path in sorted((PROJECT / "pretrained").glob("*/card.json"))]
    lines = header("model", "data", "total variation ↓", "precision ↑", "recall ↑", "sha256")
    for card in cards:
        measures = (f"{card['measures'][name]:.3g}" for name in ("total_variation", "precision", "recall"))
        link = f"[{card['run']}](../pretrained/{card['run']}/README.md)"
        lines.append(line(link, plain(card["data"]["name"]), *measures, f"`{card['sha256'][:12]}...`"))
    return "\n".join(lines)


def speed() -> str:
    """The benchmark of training and sampling, of every machine that has run it."""
    lines = []
    for path in sorted((PROJECT / "benchmarks" / "results").glob("*-speed.json")):
        table = json.loads(path.read_text())
        names = ("network", "batch", "precision", "method", "images_per_s", "over_dsm", "matmul_share")
        lines += [f"**{plain(table['chip'])}** ({plain(table['machine'])})", ""]
        lines += header(*names, "peak memory, MB", "matrix product, TFLOP/s", "measured with")
        for r in table["rows"]:
            rate = f"{r['matrix_tflops']:.3g}{' (TF32)' if r['tf32'] and r['precision'] == 'fp32' else ''}"
            code = f", {r['commit'][:7]} of {r['date']}" if r["commit"] else ""
            origin = (
                f"torch {plain(r['torch'])}, {r['threads']} threads, {r['repetitions']} repetitions{code}"
            )
            cells = [*(r[name] for name in (*names, "peak_memory_mb")), rate, origin]
            lines.append(row(*("" if cell is None else cell for cell in cells)))
        lines.append("")
    return "\n".join(lines).rstrip()


def ratio_size() -> str:
    """The small ratio network beside one ten times larger."""
    lines = []
    for path in sorted((PROJECT / "benchmarks" / "results").glob("*-ratio-size-*.json")):
        record = json.loads(path.read_text())
        by_size = {}
        for r in record["rows"]:
            by_size.setdefault(r["parameters"], []).append(r["heldout_loss"])
        losses = ", ".join(f"{n:,} parameters {sum(v) / len(v):.4f}" for n, v in sorted(by_size.items()))
        held_out = record["rows"][0]["heldout_reference_images"]
        lines.append(
            f"- {plain(record['setting'])} on {plain(record['chip'])}, {record['splits']} splits, {held_out:,} "
            f"held-out reference images each, up to {record['ratio_steps']} steps of {record['ratio_batch']}: mean "
            f"held-out loss in nats {losses}; small minus large {as_text(record['difference'])}, t interval over "
            "the splits."
        )
    return "\n".join(lines)
