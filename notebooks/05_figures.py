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
# # 5. All methods side by side
#
# **Question.** Which method comes nearest to the unbiased data, and at what price?
#
# This notebook trains nothing. It reads the records of notebook 04 under `results/` and draws them; whatever is
# missing is named together with the command that makes it.
#
# | reads | writes | takes |
# |---|---|---|
# | `results/04_train/*/` | `results/05_figures/<run>/` | seconds |

# %%
import pandas as pd
from IPython.display import display

from tiwlib import intervals, objectives, plots, runs

# %% tags=["parameters"]
run = "default"  # name of the record under results/05_figures/
setting = "digits-lt"  # whose runs are compared
methods = ["dsm_ref", "dsm_obs", "iw_dsm", "tiw_dsm", "w_only", "c_only"]  # which of them

# %%
params = runs.parameters("05_figures", globals())
labels = {name: objectives.method(name).label for name in methods}
record = runs.start("05_figures", run, params)

# %% [markdown]
# ## The runs

# %%
found = [r for r in runs.finished("04_train") if r["metrics"]["setting"] == setting]
found = [r for r in found if r["params"]["method"] in methods and r["params"]["alpha"] == 1]
for name in methods:
    if name not in {r["params"]["method"] for r in found}:
        print(
            f"no run of {labels[name]}; make one: papermill notebooks/04_train.ipynb out.ipynb -p method {name}"
        )
if not found:
    raise ValueError(
        f"setting={setting!r}: no finished run of notebook 04 has it; `make reproduce` makes them"
    )

# What is averaged must differ in nothing but the seed, and what is compared in nothing but the method.
for r in found:
    differing = [
        name
        for name in r["params"]
        if name not in ("run", "method", "seed", "reference_fraction")
        and r["params"][name] != found[0]["params"][name]
    ]
    if differing or r["provenance"]["hashes"]["images"] != found[0]["provenance"]["hashes"]["images"]:
        what = ", ".join(differing) or "their images"
        raise ValueError(f"runs {found[0]['run']} and {r['run']} differ in {what}: move one folder elsewhere")

frame = pd.DataFrame(
    [
        {
            "run": r["run"],
            "seed": r["params"]["seed"],
            "split": r["provenance"]["hashes"]["split"],
            "method": plots.run_label(r["params"]["method"], r["params"]["reference_fraction"]),
            **{name: value for name, value in r["metrics"].items() if isinstance(value, float)},
        }
        for r in found
    ]
)
assert not frame.duplicated(["method", "seed"]).any(), "one run for each method and seed"
print(f"{setting}: {frame.method.nunique()} methods")
has_groups = "total_variation" in frame
if has_groups:
    print(
        f"total variation of the biased set from the reference set: {frame.biased_total_variation.iloc[0]:.3f}"
    )

# %% [markdown]
# ## Shares against quality
#
# *Total variation* is the distance of the samples' group shares from equal ones, 0 is fair. *Frechet distance*
# is taken in the features of the group classifier: it is not Inception's FID. The *distance to the nearest
# training image* tells a model that copies from one that draws: look at it before you praise a low distance.
# A bar is the mean over seeds, every dot one run.
#
# DSM(obs) draws its batches from all observed images alike, the others half from the reference set. *DSM(obs),
# half* is plain training on the same batches as theirs, and so the fair partner of W-only, whose minimiser is
# the same.

# %% tags=["nbval-ignore-output"]
measures = {
    "total_variation": "total variation of group shares",
    "classifier_frechet": "Frechet distance (group classifier)",
    "recall": "recall",
    "nearest_training_image": "distance to the nearest training image",
}
measures = {name: label for name, label in measures.items() if name in frame}
figure = plots.comparison(frame, measures)
display(record.figure(figure, "comparison"))

# %% [markdown]
# ## Means and intervals
#
# Student's 95 % interval over seeds where a run was repeated; one seed has none.

# %% tags=["nbval-ignore-output"]
table = {}
for label, part in frame.groupby("method", sort=False):
    table[label] = {"seeds": len(part)}
    for name in measures:
        mean, low, high = (
            intervals.mean_interval(part[name]) if len(part) > 1 else (part[name].item(), None, None)
        )
        table[label][name] = {"mean": mean, "low": low, "high": high}
display(plots.as_table(table, measures))

# %% [markdown]
# ## Differences, seed by seed
#
# Runs of one seed share the split. What a lucky split does to both drops out of their difference, so methods are
# compared by it: another method minus TIW-DSM, Student's 95 % interval over the pairs. An interval
# that holds 0 does not tell which of the two is better.

# %% tags=["nbval-ignore-output"]
frame["pair"] = list(zip(frame.seed, frame.split, strict=True))
of_method = {label: part.set_index("pair") for label, part in frame.groupby("method", sort=False)}
base = labels["tiw_dsm"] if labels.get("tiw_dsm") in of_method else frame.method.iloc[0]
differences = {}
for label, part in of_method.items():
    pairs = len(part.index.intersection(of_method[base].index))
    if label == base or pairs < 2:
        continue
    differences[f"{label} minus {base}"] = {"pairs": pairs}
    for name in measures:
        mean, low, high = intervals.paired_interval(dict(part[name]), dict(of_method[base][name]))
        differences[f"{label} minus {base}"][name] = {"mean": mean, "low": low, "high": high}
if differences:
    rows = {
        label: {measures[name]: intervals.as_text(cells[name]) for name in measures}
        for label, cells in differences.items()
    }
    display(pd.DataFrame(rows).T)

# %% [markdown]
# ## Shares of the groups

# %% tags=["nbval-ignore-output"]
if has_groups:
    first = [r for r in found if r["params"]["seed"] == frame.seed.min()]
    shares = {
        plots.run_label(r["params"]["method"], r["params"]["reference_fraction"]): r["metrics"][
            "group_shares"
        ]
        for r in first
    }
    figure = plots.share_lines(shares, found[0]["metrics"]["group_names"])
    display(record.figure(figure, "group_shares"))

# %% [markdown]
# ## The record

# %%
record.finish({"setting": setting, "runs": sorted(frame.run), "table": table, "differences": differences})
print(f"recorded: {run}")
