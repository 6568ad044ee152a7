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
# # 6. Results: all methods side by side
#
# **Question.** Which method comes nearest to the unbiased data, how good are its samples, and are they new?
#
# This notebook trains nothing. It draws the paper's figures from the records under `results/`, as far as our runs
# go, and names the command that makes what is missing. The methods are those of [notebook 05](05_train.ipynb), the
# symbols those of the [notation](../book/notation.md). With $q_g$ the share of group $g$ among the samples and $p_g$
# that in the reference set, fairness is read from the total variation
#
# $${\rm TV} = \tfrac12 \sum_g | q_g - p_g | .$$
#
# | reads | writes | takes |
# |---|---|---|
# | `results/05_train/*/` | `results/06_results/<run>/` | seconds |

# %%
from dataclasses import asdict

import numpy as np
import pandas as pd
from IPython.display import display

from tiwlib import plots, runs
from tiwlib.measures import intervals
from tiwlib.runs import guard
from tiwlib.runs import tables as records

# %% tags=["parameters"]
run = "default"  # name of the record under results/06_results/
setting = "digits-lt"  # the setting whose runs are compared
methods = ["dsm_ref", "dsm_obs", "iw_dsm", "tiw_dsm", "w_only", "c_only"]  # the methods that are compared
sizes = ["digits-lt-5", "digits-lt", "digits-lt-25", "digits-lt-50"]  # settings, by size of the reference set

# %% tags=["bookkeeping"]
params = runs.parameters("06_results", globals())
record = runs.start("06_results", run, params)
recorded = records.without_tuning(runs.finished("05_train"))
trained = [r for r in recorded if r["params"]["method"] in methods]
trained = [r for r in trained if r["params"]["ratio"] == "plain"]  # others: docs/estimators.md
own_batches = [r for r in trained if r["params"]["reference_fraction"] is None]  # no other mixture
plain = [r for r in trained if r["metrics"]["setting"] == setting and r["params"]["alpha"] == 1]
for name in methods:
    if name not in {r["params"]["method"] for r in plain}:
        print(f"no run of {name}; make one: papermill notebooks/05_train.ipynb out.ipynb -p method {name}")
if not plain:
    raise ValueError(f"setting={setting!r}: no finished run of notebook 05 has it: make reproduce")
records.comparable(plain)  # what is averaged differs in nothing but the seed, what is compared in the method
frame = records.table(plain)
assert not frame.duplicated(["method", "seed"]).any(), "one run for each method and seed"
has_groups, frechet = "total_variation" in frame, "fid" if "fid" in frame else "frechet"
measures = {name: label for name, label in records.LABELS.items() if name in frame}
print(f"{setting}: {frame.method.nunique()} methods, {frame.seed.nunique()} seeds")
readability = guard.readability(plain[0]["params"], recorded)
print(f"{setting} is {readability.text}")

# %% [markdown]
# ## All methods side by side
#
# The *Frechet distance* is Inception's FID where the runs took that, else a distance in the features of the group
# classifier, which is not FID. A model that copies its training images may have a low one, so recall and the distance
# to the nearest training image stand beside it.
#
# DSM(ref) trains on the reference images alone, DSM(obs) on all observed images alike. The others take half of a batch
# from the reference set; *DSM(obs), half* is plain training on such batches. *Expect*, with an exact ratio, IW-DSM,
# TIW-DSM and C-only to be fair and W-only to end where *DSM(obs), half* does (notebook 02). What sets the first three
# apart here is the learned ratio and the training.

# %% tags=["nbval-ignore-output"]
contexts = [r["metrics"]["context"] for r in plain if "context" in r["metrics"]]
sets = pd.DataFrame({name: values[frechet] for name, values in context.items()} for context in contexts)
figure = plots.comparison(frame, measures, {frechet: sets.mean().to_dict()} if len(sets) else None)
display(record.figure(figure, "comparison"))
if has_groups:
    print(f"total variation of the biased set: {frame.biased_total_variation.iloc[0]:.3f}")

# %% [markdown]
# **Figure: comparison.** A mark is one run, a bar the mean over seeds, a line Student's 95 % interval where there are
# at least four. Lines across the panel of the Frechet distance mark the distance of the reference set and of the biased
# set. With the default parameters DSM(obs) is the least fair. DSM(ref) has the fairest shares, but its samples lie
# almost on its training images and its recall is near zero: it copies. The paper's order by FID, TIW-DSM before
# DSM(obs) before IW-DSM on CIFAR-10, is not tested by this figure.

# %% tags=["nbval-ignore-output"]
table = records.summary(frame, measures)
display(plots.as_table(table, measures))

# %% [markdown]
# **Table: means and intervals.** The mean over seeds, in brackets Student's 95 % interval, or the single values where
# there are fewer than four seeds.
#
# ## Differences, seed by seed
#
# Runs of one seed share the split, and what the split does to both drops out of their difference. An interval that
# holds 0 does not tell which of the two methods is better.

# %% tags=["nbval-ignore-output"]
base = "tiw_dsm" if "tiw_dsm" in table else frame.method.iloc[0]
differences = records.paired(frame, base, measures)
rows = {key: [intervals.as_text(cells[m]) for m in measures] for key, cells in differences.items()}
rows = {f"{records.run_label(key)} minus {records.run_label(base)}": row for key, row in rows.items()}
if rows:
    display(pd.DataFrame.from_dict(rows, orient="index", columns=list(measures.values())))

# %% [markdown]
# **Table: differences.** Another method minus TIW-DSM: the mean over pairs of one seed, in brackets Student's 95 %
# interval. A method with fewer than two such pairs is left out.
#
# ## Shares of the groups, and samples of them

# %% tags=["nbval-ignore-output"]
by_method = {}
for r in plain:
    by_method.setdefault(records.run_key(r["params"]), {})[r["params"]["seed"]] = r
if has_groups:
    group_names = plain[0]["metrics"]["group_names"]
    shares = {key: [r["metrics"]["group_shares"] for r in s.values()] for key, s in by_method.items()}
    shares = {key: np.mean(values, axis=0) for key, values in shares.items()}
    display(record.figure(plots.share_lines(shares, group_names), "group_shares"))

# %% [markdown]
# **Figure: shares of the groups.** The mean over all seeds of each method; the grey line is an equal share. In a long
# tail the groups on the left are common in the biased set and those on the right rare.

# %% tags=["nbval-ignore-output"]
seed = frame.seed.min()
first = {key: of_seed[seed] for key, of_seed in by_method.items() if seed in of_seed}
examples = {key: first[key]["folder"] / "samples_by_group.png" for key in records.in_order(first)}
examples = {key: path for key, path in examples.items() if path.exists()}
if examples:
    record.figure(plots.samples_by_group(examples, group_names), "samples_by_group")
    print("drawn: figures/samples_by_group.png")
elif has_groups:
    print("the records hold no samples by group: python -m workflow.sweep --again workflow/ledger.yaml")

# %% [markdown]
# **Figure: samples by group**, in the folder of the record alone, for it is large. The first samples of each group in
# the first seed, a row for each group as the classifier names it. A place is grey where there are no more. Nothing is
# picked.

# %% tags=["nbval-ignore-output"]
grids = {key: first[key]["folder"] / "samples.png" for key in ("dsm_obs", "tiw_dsm") if key in first}
side_by_side = {}
if len(grids) == 2 and has_groups and all(path.exists() for path in grids.values()):
    common = int(np.argmax(first["dsm_obs"]["metrics"]["group_shares"]))
    side_by_side = {key: first[key]["metrics"]["group_shares"][common] for key in grids}
    captions = {key: f"{share:.0%} in group {group_names[common]}" for key, share in side_by_side.items()}
    display(record.figure(plots.side_by_side(grids, captions), "side_by_side"))
else:
    print("no first samples of plain training and of TIW-DSM in these records")

# %% [markdown]
# **Figure: plain training beside TIW-DSM.** Where the records hold them: the first samples of one seed, in the order
# in which they were drawn. Below each grid stands the share, over all samples of that seed, of the group that DSM(obs)
# draws most often.
#
# ## The parts of the objective
#
# *W-only* keeps the weight of TIW-DSM, *C-only* its correction. *Expect* W-only where plain training on the same
# batches ends, and C-only where TIW-DSM does: a weight alone does not move the minimiser
# ([notebook 02](02_what_each_objective_learns.ipynb)).

# %% tags=["nbval-ignore-output"]
parts = frame[frame.method.isin(["tiw_dsm", "w_only", "c_only", "dsm_obs_half"])]
if has_groups and {"tiw_dsm", "w_only", "c_only"} <= set(parts.method):
    chosen = {name: measures[name] for name in ("total_variation", frechet)}
    display(record.figure(plots.differences(parts, "tiw_dsm", chosen), "ablation"))
else:
    print("not all parts are there: make sweep CONFIG=workflow/ledger.yaml")

# %% [markdown]
# **Figure: ablation.** The difference from TIW-DSM, a mark for each seed. The diamond is the mean of the marks, with
# Student's 95 % interval from four seeds on; one seed decides nothing. The paper's ablation, by FID at four sizes of
# the reference set, finds C-only within 0.2 of the full objective, on either side, and W-only behind plain training at
# 5 %.
#
# ## The size of the reference set

# %% tags=["nbval-ignore-output"]
found = [r for r in own_batches if r["metrics"]["setting"] in sizes and r["params"]["alpha"] == 1]
found = [r for r in found if r["params"]["method"] not in ("w_only", "c_only")]
if len({r["metrics"].get("n_reference") for r in found}) > 1:
    records.comparable(found, ("setting",))
    chosen = {name: measures[name] for name in measures if name in ("total_variation", frechet, "recall")}
    figure = plots.against(records.table(found), "n_reference", "reference images", chosen)
    display(record.figure(figure, "reference_size"))
    for name in sizes:
        at_size = [r for r in found if r["metrics"]["setting"] == name]
        if at_size:
            print(f"{name} is {guard.readability(at_size[0]['params'], recorded).text}")
else:
    print("no runs of several reference sizes: make sweep CONFIG=workflow/reference_size.yaml")

# %% [markdown]
# **Figure: size of the reference set**, where there are such runs. A bar is Student's 95 % interval over seeds, of
# fewer than four seeds the range of their values. Below it is printed which of the sizes can be read. The paper's
# tables compare 5, 10, 25 and 50 % of the biased set.
#
# ## The power of the weight
#
# Runs with $w^\alpha$ in place of $w$, in weight and correction: $\alpha = 0$ would be plain training on the same
# batches, $\alpha = 1$ is the objective.

# %% tags=["nbval-ignore-output"]
found = [r for r in own_batches if r["metrics"]["setting"] == setting]
found, powers = [r for r in found if r["params"]["method"] in ("iw_dsm", "tiw_dsm")], {}
if has_groups and len({r["params"]["alpha"] for r in found}) > 1:
    records.comparable(found, ("alpha",))
    several = records.table(found)
    chosen = (measures[frechet], measures["total_variation"])
    display(record.figure(plots.trade_off(several, frechet, "total_variation", chosen), "alpha"))
    ours = several[several.method == "tiw_dsm"]
    ours = ours.assign(method=[f"tiw_dsm_alpha_{a:g}".replace(".", "_") for a in ours.alpha])
    powers = records.paired(ours, "tiw_dsm_alpha_1", ["total_variation"])
    for key, cells in powers.items():
        print(f"{records.run_label(key)} minus alpha 1: {intervals.as_text(cells['total_variation'])}")
else:
    print("no runs of several powers: make sweep CONFIG=workflow/ledger.yaml")

# %% [markdown]
# **Figure: power of the weight**, where there are such runs. Means over seeds with bars as above; the dotted lines join
# the powers of a method and say nothing about those between. Below it are printed the differences of the total
# variation, seed by seed. The paper sweeps five powers of TIW-DSM, 0.25 to 2.5, and four of IW-DSM, 0.125 to 1.
#
# ## The weights of the biased images
#
# An image whose weight is near zero hardly enters the loss. The paper finds the time-independent ratio (IW-DSM, at
# $\sigma = 0$) of more than 75 % of the biased images below 0.01. If the images within a group are alike in both sets,
# the *true* ratio of a biased image is at least the smallest quotient of a group's shares in the reference set and in
# the biased set: where that is above 0.01, a ratio below 0.01 is an error of the network.

# %% tags=["nbval-ignore-output"]
usual = [r for r in own_batches if r["metrics"]["setting"] == setting and r["params"]["alpha"] == 1]
spread, least, low = records.weights(usual), guard.least_ratio(setting), {}
if len(spread):
    display(record.figure(plots.weights(spread, least), "weights"))
    for estimator, part in spread.groupby("estimator"):
        shares = {f"{sigma:g}": share for sigma, share in records.vanishing(part).items()}
        low[estimator.replace("-", "_")] = shares
        texts = (f"{share:.1%} at sigma {sigma}" for sigma, share in shares.items())
        print(f"ratio below 0.01, {estimator}: {', '.join(texts)}")
    if least:
        print(f"smallest true ratio, if images within a group are alike: {least:.2f}")
else:
    print("the records hold no weights: python -m workflow.sweep --again workflow/ledger.yaml")

# %% [markdown]
# **Figure: weights.** The weights $w$ of all biased images, a histogram for each noise level, a mean over seeds. The
# dotted line is the weight of a ratio of 0.01, the solid one that of the smallest true ratio. With the default
# parameters no ratio is below 0.01: what the paper finds on CIFAR-10 does not happen here.
#
# ## What is missing of the paper
#
# The FID tables of CIFAR-10, CIFAR-100, FFHQ and CelebA, and the subgroups of CelebA, need a GPU and are not run here;
# [from the paper to this repository](../book/paper.md) has each with its command. The [ledger](../book/ledger.md) has
# what a training step costs: methods were timed in turns for it, while the runs above shared their machine.
#
# ## What we learned

# %% tags=["nbval-ignore-output", "bookkeeping"]
if has_groups:
    verdicts = {"fairer than": [], "less fair than": [], "not told apart from": []}
    for key, cells in differences.items():
        lowest, highest = cells["total_variation"]["low"], cells["total_variation"]["high"]
        verdict = "fairer than" if lowest > 0 else "less fair than" if highest < 0 else "not told apart from"
        verdicts[verdict].append(records.run_label(key))
    mean = intervals.as_text(table[base]["total_variation"], "total_variation")
    print(f"1. {records.run_label(base)} has a total variation of {mean}. Seed by seed it is")
    print(";\n".join(f"   {text}: {', '.join(keys) or 'nothing'}" for text, keys in verdicts.items()) + ".")
closest = min(table, key=lambda key: table[key]["nearest"]["mean"])
recall = f", with a recall of {table[closest]['recall']['mean']:.2f}" if "recall" in measures else ""
print(f"2. {records.run_label(closest)} lies nearest to its training images{recall}.")

# %%
if has_groups:
    for key in records.in_order(table):
        print(f"{records.run_label(key):16s} total variation {table[key]['total_variation']['mean']:.2f}")

# %% tags=["bookkeeping"]
results = {
    "readability": asdict(readability) | {"text": readability.text},
    "setting": setting,
    "runs": sorted(frame.run),
    "table": table,
    "differences": {f"{key}_minus_{base}": cells for key, cells in differences.items()},
}
optional = {"side_by_side": side_by_side, "ratio_below_0_01": low, "powers_minus_1": powers}
record.finish(results | {name: value for name, value in optional.items() if value})
print(f"recorded: {run}")
