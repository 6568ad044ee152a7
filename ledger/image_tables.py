"""The tables of the image settings, in the paper's own shapes, with the paper's number beside ours where there is one.

Every table ends with its control rows and with the mark of its readability. A table without runs says what makes them.
"""

import json

import numpy as np
import pandas as pd

from ledger.image_rows import FIRST, TITLES, controls, exact, mark, of_setting, texts
from ledger.markdown import cell_of, header, row
from ledger.paper_scale import FID_C_ONLY, FID_CIFAR, SHARES_CELEBA
from tiwlib.measures.intervals import BOUNDS, as_text, clipped, paired_interval
from tiwlib.measures.shares import total_variation
from tiwlib.objectives import METHODS
from tiwlib.runs import finished, guard, results_root
from tiwlib.runs.tables import TUNING, benchmark, vanishing, without_tuning

FOUR = ("dsm_ref", "dsm_obs", "iw_dsm", "tiw_dsm")
SIZES = ("5", "10", "25", "50")  # percent of the biased set
LONG_TAILS = {
    "digits": ("digits-lt-5", "digits-lt", "digits-lt-25", "digits-lt-50"),
    "mnist8": tuple(f"mnist8-lt-{size}" for size in SIZES),
}
HUES = ("mnist8-colour-90", "mnist8-colour-80", "digits-colour-90")
SUBGROUPS = "mnist8-digit-colour"
QUALITY = ("precision", "recall", "nearest", "unsure")


def nothing(sweep: str) -> str:
    return f"No runs yet: `make sweep CONFIG=workflow/{sweep}.yaml`."


def hues() -> str:
    """80 and 90 % of one hue, where the paper has one gender: four methods."""
    trained, parts = without_tuning(finished("05_train")), []
    names = (FIRST, *QUALITY)
    for setting in HUES:
        by_method = {method: of_setting(trained, setting, method) for method in FOUR}
        by_method = {method: runs for method, runs in by_method.items() if runs}
        if not by_method:
            continue
        lines = header(setting, "seeds", *(TITLES[name] for name in names))
        for method, runs in by_method.items():
            lines.append(row(METHODS[method].label, len(runs), *texts([r["metrics"] for r in runs], names)))
        first = next(iter(by_method.values()))[0]
        if "dsm_obs" in by_method:
            lines += [row(*cells) for cells in controls(by_method["dsm_obs"], trained, names)]
        parts.append("\n".join([*lines, "", mark(setting, first["params"], trained)]))
    return "\n\n".join(parts) or nothing("mnist8_colour")


def by_size(family: str, sweep: str) -> str:
    """Four methods by the size of the reference set, in per cent of the biased set; the paper's FID beside ours."""
    trained = without_tuning(finished("05_train"))
    names = ("total_variation", "frechet", "precision", "recall", "nearest")
    lines, marks = [], []
    for size, setting in zip(SIZES, LONG_TAILS[family], strict=True):
        by_method = {method: of_setting(trained, setting, method) for method in FOUR}
        for method, runs in by_method.items():
            if runs:
                paper = FID_CIFAR.get(method, "") if size == "5" else ""
                cells = texts([r["metrics"] for r in runs], names)
                lines.append(row(f"{size} %", METHODS[method].label, len(runs), *cells, paper))
        if plain := by_method["dsm_obs"]:
            lines += [row(f"{size} %", *cells, "") for cells in controls(plain, trained, names)]
        if any(by_method.values()):
            first = next(runs for runs in by_method.values() if runs)[0]
            marks.append(mark(setting, first["params"], trained))
    if not lines:
        return nothing(sweep)
    titles = (TITLES[name] for name in names)
    return "\n".join(
        [*header("reference set", "", "seeds", *titles, "FID in the paper, CIFAR-10"), *lines, "", *marks]
    )


def mnist8_sizes() -> str:
    """The long tail of MNIST at 8 x 8."""
    return by_size("mnist8", "mnist8_lt")


def digits_sizes() -> str:
    """The long tail of scikit-learn's digits."""
    return by_size("digits", "reference_size")


def parts() -> str:
    """C-only beside the full objective, W-only beside plain training on the same batches, at four sizes."""
    trained, lines = without_tuning(finished("05_train")), []
    pairs = {
        "C-only minus TIW-DSM": (("c_only", {}), ("tiw_dsm", {})),
        "W-only minus DSM(obs), half": (("w_only", {}), ("dsm_obs", {"reference_fraction": 0.5})),
    }
    names = ("total_variation", "frechet")
    for size, setting in zip(SIZES, LONG_TAILS["digits"], strict=True):
        for label, sides in pairs.items():
            runs = [of_setting(trained, setting, method, **params) for method, params in sides]
            ids = [
                {(r["params"]["seed"], r["provenance"]["hashes"].get("split")): r for r in side}
                for side in runs
            ]
            shared = sorted(ids[0].keys() & ids[1].keys())
            if len(shared) < 2:
                continue
            cells = [
                difference_text(*({k: side[k]["metrics"][n] for k in shared} for side in ids), n)
                for n in names
            ]
            paper = f"{FID_C_ONLY[size]:+.2f}" if label.startswith("C") else ""
            lines.append(row(f"{size} %", label, len(shared), *cells, paper))
    if not lines:
        return nothing("reference_size")
    titles = (
        "reference set",
        "difference",
        "pairs",
        *(TITLES[name] for name in names),
        "FID in the paper, CIFAR-10",
    )
    return "\n".join([*header(*titles), *lines])


def difference_text(a: dict, b: dict, name: str) -> str:
    """Mean of a - b over pairs with its interval, or with the single values of few."""
    mean, low, high = paired_interval(a, b)
    bounds = BOUNDS.get(name, (-np.inf, np.inf))
    low, high = clipped((low, high), (bounds[0] - bounds[1], bounds[1] - bounds[0]))
    return as_text({"mean": mean, "low": low, "high": high, "seeds": [a[key] - b[key] for key in sorted(a)]})


ALPHAS = {"tiw_dsm": (0.25, 0.5, 1.0, 2.0, 2.5), "iw_dsm": (0.125, 0.25, 0.5, 1.0)}  # the paper's


def alphas() -> str:
    """The paper's values of the weight's power, on the digits."""
    trained, lines = without_tuning(finished("05_train")), []
    names = ("total_variation", "frechet", "precision", "recall")
    for method, values in ALPHAS.items():
        for alpha in values:
            runs = of_setting(trained, "digits-lt", method, alpha=alpha)
            if runs:
                cells = texts([r["metrics"] for r in runs], names)
                lines.append(row(METHODS[method].label, f"{alpha:g}", len(runs), *cells))
    if not lines:
        return nothing("alpha")
    return "\n".join([*header("method", "alpha", "seeds", *(TITLES[name] for name in names)), *lines])


def subgroups() -> str:
    """Shares of four crossed groups, beside what the paper's TIW-DSM draws on CelebA from the same shares."""
    trained = without_tuning(finished("05_train"))
    by_method = {method: of_setting(trained, SUBGROUPS, method) for method in FOUR}
    by_method = {method: runs for method, runs in by_method.items() if runs}
    if not by_method:
        return nothing("mnist8_subgroups")
    (first, *_), *_ = by_method.values()
    groups = first["metrics"]["group_names"]
    lines = header("shares", "seeds", *groups, TITLES["total_variation"])
    batches = guard.batch_shares(SUBGROUPS, 0.0)
    lines.append(
        row(
            "the biased set", "", *(f"{share:.3f}" for share in batches), *exact(batches, ["total_variation"])
        )
    )
    for method, runs in by_method.items():
        shares = np.array([r["metrics"]["group_shares"] for r in runs])  # (seeds, G)
        cells = [as_text(cell_of(column.tolist()), "minority_share") for column in shares.T]
        variation = texts([r["metrics"] for r in runs], ["total_variation"])
        lines.append(row(METHODS[method].label, len(runs), *cells, *variation))
    paper = np.array(list(SHARES_CELEBA.values()))
    cells = [*(f"{share:.3f}" for share in paper), *exact(paper, ["total_variation"])]
    lines.append(row("TIW-DSM in the paper, CelebA's four groups", 1, *cells))
    return "\n".join([*lines, "", mark(SUBGROUPS, first["params"], trained)])


def vanishing_weights() -> str:
    """How many time-independent weights vanish, beside the smallest value that a correct ratio can have."""
    trained = without_tuning(finished("05_train"))
    lines = header(
        "setting", "seeds", "smallest correct ratio", "biased images with a ratio below 0.01", "the paper"
    )
    before = len(lines)
    for setting in (*LONG_TAILS["mnist8"], *LONG_TAILS["digits"], *HUES):
        runs = [r for r in of_setting(trained, setting, "iw_dsm") if (r["folder"] / "weights.csv").exists()]
        if runs:
            shares = [vanishing(pd.read_csv(r["folder"] / "weights.csv"))[0.0] for r in runs]
            below = as_text(cell_of(shares), "minority_share")
            lines.append(row(setting, len(runs), f"{guard.least_ratio(setting):.3f}", below, ""))
    least = guard.least_ratio("cifar10-lt-5")
    lines.append(row("cifar10-lt-5", "", f"{least:.3f}", "", "more than 0.75"))
    return "\n".join(lines) if len(lines) > before + 1 else nothing("mnist8_lt")


def lengths() -> str:
    """Plain training by its length and its network, one seed that enters no comparison: how both were chosen."""
    tuned = [r for r in finished("05_train") if r["params"]["seed"] >= TUNING]
    tuned = [r for r in tuned if r["params"]["method"] == "dsm_obs"]
    titles = ("precision", "recall", "unsure", "nearest")
    rows = []
    for r in sorted(tuned, key=lambda r: (r["params"]["setting"], seen(r["params"]))):
        params, metrics = r["params"], r["metrics"]
        batches = guard.batch_shares(params["setting"], metrics["reference_fraction"])
        apart = (
            "" if batches is None else f"{total_variation(np.array(metrics['group_shares']), batches):.3f}"
        )
        length, noise = training_of(params)
        whole = r["provenance"]["stages"].get(
            "training"
        )  # a training that was resumed has a part of its time
        minutes = round(whole["seconds"] / 60) if whole else ""
        chosen = (params["setting"], length, params["width"], noise, minutes)
        rows.append(row(*chosen, *texts([metrics], titles), apart))
    if not rows:
        return nothing("lengths")
    names = ("setting", "steps of images", "width", "log sigma in training", "minutes of one thread")
    names += tuple(TITLES[name] for name in titles)
    return "\n".join([*header(*names, "shares from its batches' ↓"), *rows])


def seen(params: dict) -> int:
    """How many images a run's training looks at."""
    return params["steps"] * params["batch_size"]


def training_of(params: dict) -> tuple[str, str]:
    """The cells for a training's length and for its noise levels."""
    length = f"{params['steps']:,} of {params['batch_size']}"
    return length, f"{params['noise_mean']:g} ± {params['noise_std']:g}"


def training_choices() -> str:
    """Plain training on a seed that enters no comparison, one choice after the other: how the defaults were chosen."""
    try:
        rows = benchmark("training-choices")
    except FileNotFoundError:
        return "No runs yet: `python benchmarks/training_choices.py SETTING`."
    titles = ("precision", "recall", "unsure", "frechet")
    lines = header(
        *("setting", "steps of images", "learning rate", "log sigma in training", "sigma_data"),
        *("average", "sampler's levels", *(TITLES[name] for name in titles), "shares from its batches' ↓"),
    )
    for r in rows.to_dict("records"):
        rate = f"{r['lr']:g}, {'falling' if r['lr_decay'] else 'constant'}"
        length, noise = training_of(r)
        average = (
            "1/14 of the run" if pd.isna(r["ema_half_life"]) else f"{r['ema_half_life']:g}-step half-life"
        )
        chosen = (r["setting"], length, rate, noise, r["sigma_data"], average)
        measured = (*texts([r], titles), f"{r['from_batches']:.3f}")
        lines.append(row(*chosen, r["sampling_steps"], *measured))
    return "\n".join(lines)


def decided() -> str:
    """Where the group of a sample is decided, and what training and sampler spend there."""
    lines = header(
        "setting", "decided at sigma", "training samples there", "above", "levels of the sampler there"
    )
    before = len(lines)
    for path in sorted((results_root() / "settings").glob("*/metrics.json")):
        at = json.loads(path.read_text())["decided"]
        between = f"{at['sigma_high']:.2g} to {at['sigma_low']:.2g}"
        shares = (f"{at[name]:.1%}" for name in ("training_share", "training_share_above"))
        lines.append(row(path.parent.name, between, *shares, at["sampler_levels"]))
    return "\n".join(lines) if len(lines) > before else "No runs yet: `python benchmarks/setting.py SETTING`."
