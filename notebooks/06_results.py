# ---
# jupyter:
#   jupytext:
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. The figures
#
# **Question.** Which method comes nearest to the unbiased data, and at what price?
#
# This notebook trains nothing. It draws the paper's figures from the records under `results/`, as far as our runs
# go; whatever is missing is named together with the command that makes it.
#
# | reads | writes | takes |
# |---|---|---|
# | `results/05_train/*/`, `<two_d>` of 03 | `results/06_results/<run>/` | seconds |

# %%
import numpy as np
import pandas as pd
from IPython.display import display

from tiwlib import plots, runs
from tiwlib.measures import intervals
from tiwlib.runs import tables as records

# %% tags=["parameters"]
run = "default"  # name of the record under results/06_results/
two_d = "default"  # name of the record of notebook 03 that is drawn
setting = "digits-lt"  # the setting whose runs are compared
methods = ["dsm_ref", "dsm_obs", "iw_dsm", "tiw_dsm", "w_only", "c_only"]  # the methods that are compared
sizes = [
    "digits-lt-5",
    "digits-lt",
    "digits-lt-25",
    "digits-lt-50",
]  # settings that differ in the reference set

# %%
params = runs.parameters("06_results", globals())
record = runs.start("06_results", run, params)
ratio_errors = {r["run"]: r for r in runs.finished("03_ratio_accuracy")}.get(two_d)
trained = [r for r in runs.finished("05_train") if r["params"]["method"] in methods]

# %% [markdown]
# ## The ratio's error against the noise level

# %% tags=["nbval-ignore-output"]
if ratio_errors and (ratio_errors["folder"] / "ratio_error.csv").exists():
    errors = pd.read_csv(ratio_errors["folder"] / "ratio_error.csv")
    display(record.figure(plots.ratio_error_against_sigma(errors), "ratio_error"))
    share = ratio_errors["metrics"]["error_share"]
    print(f"integrated, time-dependent over time-independent: {share['mean']:.2f} in the mean over seeds,")
    print(f"95 % interval {share['low']:.2f} to {share['high']:.2f}; the paper: 0.391, one run")
else:
    print(
        f"run {two_d!r} of notebook 03 holds no errors: "
        f"papermill notebooks/03_ratio_accuracy.ipynb out.ipynb -p run {two_d}"
    )

# %% [markdown]
# ## All methods side by side
#
# *Total variation* is the distance of the samples' group shares from those of the reference set, 0 is fair. The
# *Frechet distance* is Inception's FID where the runs took that, else a distance in the features of the group
# classifier, which is not FID. A line marks what the reference set and the biased set themselves have. The
# *distance to the nearest training image* tells a model that copies from one that draws: look at it, and at
# recall, before you praise a low distance. A bar is the mean over seeds, every dot one run.
#
# DSM(obs) draws its batches from all observed images alike, the others half from the reference set. *DSM(obs),
# half* is plain training on the same batches as theirs, and so the fair partner of W-only, whose minimiser is
# the same.

# %%
plain = [r for r in trained if r["metrics"]["setting"] == setting and r["params"]["alpha"] == 1]
missing = [name for name in methods if name not in {r["params"]["method"] for r in plain}]
for name in missing:
    print(f"no run of {name}; make one: papermill notebooks/05_train.ipynb out.ipynb -p method {name}")
if not plain:
    raise ValueError(
        f"setting={setting!r}: no finished run of notebook 05 has it; `make reproduce` makes them"
    )
records.comparable(plain)  # what is averaged differs in nothing but the seed, what is compared in the method
frame = records.table(plain)
assert not frame.duplicated(["method", "seed"]).any(), "one run for each method and seed"
print(f"{setting}: {frame.method.nunique()} methods")
has_groups = "total_variation" in frame
if has_groups:
    biased_variation = frame.biased_total_variation.iloc[0]
    print(f"total variation of the biased set from the reference set: {biased_variation:.3f}")

# %% tags=["nbval-ignore-output"]
frechet = "fid" if "fid" in frame else "frechet"
measures = {
    "total_variation": "total variation of group shares",
    "fid": "FID (Inception)",
    "frechet": "Frechet distance (group classifier)",
    "recall": "recall",
    "nearest": "distance to the nearest training image",
}
measures = {name: label for name, label in measures.items() if name in frame}
sets = pd.DataFrame(
    {name: values[frechet] for name, values in r["metrics"]["context"].items()}
    for r in plain
    if "context" in r["metrics"]
)
figure = plots.comparison(frame, measures, {frechet: sets.mean().to_dict()} if len(sets) else None)
display(record.figure(figure, "comparison"))

# %% [markdown]
# ## Means and intervals
#
# Student's 95 % interval over seeds where a run was repeated; one seed has none.

# %% tags=["nbval-ignore-output"]
table = {}
for key, part in frame.groupby("method", sort=False):
    table[key] = {"seeds": len(part)}
    for name in measures:
        mean, low, high = (
            intervals.mean_interval(part[name]) if len(part) > 1 else (part[name].item(), None, None)
        )
        table[key][name] = {"mean": mean, "low": low, "high": high, "seeds": part[name].tolist()}
display(plots.as_table(table, measures))

# %% [markdown]
# ## Differences, seed by seed
#
# Runs of one seed share the split. What a lucky split does to both drops out of their difference, so methods are
# compared by it: another method minus TIW-DSM, Student's 95 % interval over the pairs. An interval
# that holds 0 does not tell which of the two is better.

# %% tags=["nbval-ignore-output"]
frame["pair"] = list(zip(frame.seed, frame.split, strict=True))
of_method = {key: part.set_index("pair") for key, part in frame.groupby("method", sort=False)}
base = "tiw_dsm" if "tiw_dsm" in of_method else frame.method.iloc[0]
differences, rows = {}, {}
for key, part in of_method.items():
    pairs = len(part.index.intersection(of_method[base].index))
    if key == base or pairs < 2:
        continue
    difference = differences[f"{key}_minus_{base}"] = {"pairs": pairs}
    for name in measures:
        mean, low, high = intervals.paired_interval(dict(part[name]), dict(of_method[base][name]))
        difference[name] = {"mean": mean, "low": low, "high": high}
    row = {measures[name]: intervals.as_text(difference[name]) for name in measures}
    rows[f"{records.run_label(key)} minus {records.run_label(base)}"] = row
if rows:
    display(pd.DataFrame(rows).T)

# %% [markdown]
# ## Shares of the groups, and samples of them
#
# The first samples of each group, as the classifier names it; grey where there are no more. Nothing is picked.

# %% tags=["nbval-ignore-output"]
first = [r for r in plain if r["params"]["seed"] == frame.seed.min()]
first = {records.run_key(r["params"]): r for r in first}
if has_groups:
    group_names = plain[0]["metrics"]["group_names"]
    figure = plots.share_lines({key: r["metrics"]["group_shares"] for key, r in first.items()}, group_names)
    display(record.figure(figure, "group_shares"))

# %% tags=["nbval-ignore-output"]
examples = {key: first[key]["folder"] / "samples_by_group.png" for key in records.in_order(first)}
examples = {key: path for key, path in examples.items() if path.exists()}
if examples:
    display(record.figure(plots.samples_by_group(examples, group_names), "samples_by_group"))
elif has_groups:
    print("the records hold no samples by group: python -m workflow.sweep --again workflow/ledger.yaml")

# %% [markdown]
# Plain training beside TIW-DSM: the first samples of one seed, in the order in which they were drawn. Nothing is
# picked. The share below each grid is that of the group that is the most common in the biased set, over all samples of
# that seed.

# %% tags=["nbval-ignore-output"]
grids = {key: first[key]["folder"] / "samples.png" for key in ("dsm_obs", "tiw_dsm") if key in first}
side_by_side = {}
if len(grids) == 2 and has_groups and all(path.exists() for path in grids.values()):
    common = int(np.argmax(first["dsm_obs"]["metrics"]["group_shares"]))
    side_by_side = {key: first[key]["metrics"]["group_shares"][common] for key in grids}
    captions = {key: f"{share:.0%} {group_names[common]}" for key, share in side_by_side.items()}
    figure = plots.side_by_side(grids, captions)
    display(record.figure(figure, "side_by_side"))
else:
    print("the records hold no first samples of plain training and of TIW-DSM")

# %% [markdown]
# ## The parts of the objective
#
# *W-only* keeps the weight, *C-only* the correction. Seeds share split and ratio, so the difference from the full
# objective is taken seed by seed: a dot each, the diamond is their mean with its interval.

# %% tags=["nbval-ignore-output"]
parts = frame[frame.method.isin(["tiw_dsm", "w_only", "c_only", "dsm_obs_half"])]
if has_groups and {"tiw_dsm", "w_only", "c_only"} <= set(parts.method):
    chosen = {name: measures[name] for name in ("total_variation", frechet)}
    display(record.figure(plots.differences(parts, "tiw_dsm", chosen), "ablation"))
else:
    print("not all parts are there: make sweep CONFIG=workflow/ledger.yaml")

# %% [markdown]
# ## The size of the reference set

# %% tags=["nbval-ignore-output"]
names = ("dsm_ref", "dsm_obs", "iw_dsm", "tiw_dsm")
found = [r for r in trained if r["metrics"]["setting"] in sizes and r["params"]["method"] in names]
found = [r for r in found if r["params"]["alpha"] == 1 and r["params"]["reference_fraction"] is None]
found = [r for r in found if r["params"]["ratio"] == "plain"]
found = [r for r in found if "n_reference" in r["metrics"]]
if len({r["metrics"]["n_reference"] for r in found}) > 1:
    records.comparable(found, ("setting",))
    chosen = {name: measures[name] for name in measures if name in ("total_variation", frechet, "recall")}
    figure = plots.against(records.table(found), "n_reference", "reference images", chosen)
    display(record.figure(figure, "reference_size"))
else:
    print("no runs of several reference sizes: make sweep CONFIG=workflow/reference_size.yaml")

# %% [markdown]
# ## The power of the weight
#
# $w^\alpha$ in place of $w$, in weight and correction: $\alpha = 0$ would be plain training on the same batches,
# $\alpha = 1$ is the objective, beyond it the shares are pushed further than the ratio says.

# %% tags=["nbval-ignore-output"]
found = [
    r
    for r in trained
    if r["metrics"]["setting"] == setting and r["params"]["method"] in ("iw_dsm", "tiw_dsm")
]
found = [r for r in found if r["params"]["reference_fraction"] is None and r["params"]["ratio"] == "plain"]
if has_groups and len({r["params"]["alpha"] for r in found}) > 1:
    records.comparable(found, ("alpha",))
    chosen = (measures[frechet], measures["total_variation"])
    figure = plots.trade_off(records.table(found), frechet, "total_variation", chosen)
    display(record.figure(figure, "alpha"))
else:
    print("no runs of several powers: make sweep CONFIG=workflow/ledger.yaml")

# %% [markdown]
# ## The weights of the biased images
#
# How many images does the objective see? $w = r / (\pi r + 1 - \pi)$ of every biased image, at several noise
# levels. The paper finds the ratio of more than 75 % of them below 0.01 where it is time-independent (IW-DSM, at
# $\sigma = 0$): those images are as good as thrown away. Noise brings all weights nearer to one.

# %% tags=["nbval-ignore-output"]
usual = [r for r in plain if r["params"]["reference_fraction"] is None and r["params"]["ratio"] == "plain"]
spread = records.weights(usual)
if len(spread):
    display(record.figure(plots.weights(spread), "weights"))
    low = {estimator: records.vanishing(part) for estimator, part in spread.groupby("estimator")}
    for estimator, by_sigma in low.items():
        for sigma, share in by_sigma.items():
            print(
                f"{estimator:17s} sigma {sigma:g}: {share:.1%} of the biased images have a ratio below 0.01"
            )
else:
    low = {}
    print("the records hold no weights: python -m workflow.sweep --again workflow/ledger.yaml")

# %% [markdown]
# ## What it costs
#
# The ratio network is fitted once for a split; runs that share it are each given its cost here. Beyond that, a
# step of TIW-DSM is dearer than one of DSM by a forward and a backward pass through the ratio network.

# %% tags=["nbval-ignore-output"]
spent = records.costs(plain)
if len(spent):
    display(record.figure(plots.cost(spent), "cost"))
    device = plain[0]["provenance"]["device"]
    print(f"on {device}, {plain[0]['provenance']['machine']}")
else:
    print("the records hold no times of stages: python -m workflow.sweep --again workflow/ledger.yaml")

# %% [markdown]
# ## The record

# %%
results = {"setting": setting, "runs": sorted(frame.run), "table": table, "differences": differences}
if side_by_side:
    results["side_by_side"] = side_by_side
if low:
    results["ratio_below_0_01"] = {
        estimator.replace("-", "_"): {f"{sigma:g}": share for sigma, share in by_sigma.items()}
        for estimator, by_sigma in low.items()
    }
record.finish(results)
print(f"recorded: {run}")
