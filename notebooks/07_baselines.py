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
# # 7. Other ways to debias a diffusion model
#
# **Question.** TIW-DSM needs a small unbiased reference set, and no labels. Other methods need labels, a classifier, or
# nothing but a guess. What does each reach, and at what cost?
#
# A run takes one problem: `gmm`, the modes of the 2-D example with 10 % in the rare one, or a setting of images such as
# `digits-colour-90` with the library's U-Nets. (`0v1`, `low-high` and `long-tail` are the small digits as points of
# 64 numbers; their samples are blurred.) All methods share the sampler, the starting noise and the judge, which names
# the group of a sample. **Never rank two rows without the column of what they require.** Methods without a reference
# set build on DSM(bias), plain training on the biased set alone; ratio guidance and domain guidance build on DSM(obs).
#
# | reads | writes | takes |
# |---|---|---|
# | other problems' records, where there are | `results/07_baselines/<run>/` | half an hour of one core, images hours |
# | | `checkpoints/`: each method's samples and measures, so a stopped run goes on where it was | |

# %% tags=["bookkeeping"]
import pandas as pd
import torch
from IPython.display import HTML, display

from tiwlib import baselines, plots, runs
from tiwlib.baselines.classifiers import groups_of
from tiwlib.baselines.compared import from_parameters
from tiwlib.measures import intervals

# %% tags=["parameters"]
run = ""  # name of the record; empty: the problem
problem = "gmm"  # gmm, a setting of images such as digits-colour-90, or 0v1, low-high, long-tail
network = "mlp"  # of 0v1, low-high and long-tail, "mlp" on 64 pixels or "unet"; settings always have U-Nets
methods = []  # rows of the table, dsm_bias first; empty: all that there are
seeds = 3  # repetitions, each with split, networks and samples of its own
validation_seed = 100  # seed on which options are chosen; beyond the seeds
n_samples = 2000  # samples drawn for each method and seed
steps = 1000  # training length of a denoiser from nothing
tune_steps = 1000  # training length on top of a base model
batch_size = 128  # samples in a training step
lr = 1e-3  # learning rate of a denoiser from nothing; on settings of images it falls to zero at the end
tune_lr = 1e-3  # learning rate on top of a base model; on settings of images it falls to zero at the end
ratio_steps = 400  # training length of a ratio network
ratio_lr = 1e-3  # learning rate of a ratio network
sampling_steps = 20  # levels of the Heun sampler
strength = 1.0  # factor of ratio guidance; 1 is the closed form
target = []  # group shares that are wanted; empty: equal ones
adp_grid = {
    "hidden": [0, 64],
    "temperature": [2.0, 4.0],
    "gamma": [60.0, 100.0],
}  # options of distribution guidance that are tried
invdiff_shares = [0.05, 0.1, 0.2]  # shares of InvDiff's inferred group, swept on the validation seed
invdiff_share = 0.1  # the share of InvDiff's inferred group that is used: prior knowledge
invdiff_r = 0.8  # share of InvDiff's module in its denoiser
invdiff_variance = 1.0  # lambda, InvDiff's weight of the variance between groups
ddm_w = 0.05  # weight of ddm-released's indicator
ddm_clusters = 2  # clusters of ddm-balanced

# %% tags=["bookkeeping"]
params = runs.parameters("07_baselines", globals())
comparison = from_parameters(params)
record = runs.start("07_baselines", run or problem, params)
torch.set_num_threads(1)  # networks this small lose time to a second thread

# %%
first = comparison.problem(0)
wanted = comparison.wanted(first)
print(f"{problem}: {len(first.biased):,} biased, {len(first.reference)} reference samples", end=", ")
print(f"{len(first.heldout):,} held out")
shares = zip(first.group_names, first.biased_shares, strict=True)
print("shares of the biased set:", ", ".join(f"{group} {share:.3f}" for group, share in shares))

# %% [markdown]
# ## What each method is, and what it needs
#
# Here $D$ is a denoiser with the row's name, $h$ the bottleneck of its network, $w$ the weight of TIW-DSM, and the
# other symbols those of the [notation](../book/notation.md).
#
# - **DSM(bias), DSM(ref), DSM(obs)**: plain denoising score matching on the biased set, on the reference set, on both.
#   They draw what they saw, so the first keeps the bias.
# - **IW-DSM, TIW-DSM**: a weight from a learned density ratio, of clean samples, or of noisy ones together with the
#   correction $\sigma^2 \nabla_x \log w$ of the target ([notebook 01](01_density_ratio_2d.ipynb)). They add nothing to
#   sampling.
# - **Ratio guidance** (Kim et al. 2023): $D_{\rm obs} + \sigma^2 \nabla_x \log w$, with the ratio network of TIW-DSM,
#   which it evaluates with its gradient at every sampling step.
# - **Distribution guidance** (arXiv 2402.18206): a predictor of groups (ADP) reads $h$ of the frozen base model at each
#   level. While sampling a batch of $B$, $h$ moves by $-\gamma B\,\nabla_h \sum_k (\bar q_k - p_k)^2 / p_k$, so that
#   the mean prediction $\bar q$ of the batch comes nearer to the wanted shares $p$. $\gamma$ is the strength of the
#   step.
# - **InvDiff** (arXiv 2412.08480): a small module $\Delta(h, \sigma)$ is added to $h$ of the frozen base model, and the
#   denoiser is $r$ times the one with $\Delta$ plus $1 - r$ times the base model. $\Delta$ minimises
#   $\frac1G \sum_g L_g + \lambda\, {\rm Var}_g(L_g)$, where $L_g$ is the denoising loss of group $g$ of $G$, and
#   $\lambda$ here is the option `invdiff_variance`. *True groups* takes the labels. *Inferred* takes the share $q$ of
#   the samples with the largest denoising error at large noise for one group: it guesses $q$, and what is hard to
#   denoise need not be the attribute.
# - **ddm-released** (arXiv 2503.12536): the denoising loss, and with the factor `ddm_w` the cross-entropy of an
#   indicator that reads the predicted noise. Nothing in it changes the shares of the data.
# - **ddm-balanced**, our reading of the same paper's abstract: clusters of the base model's $h$ stand for groups, and
#   the base model is trained on with each cluster as heavy as any other.
# - **Fine-tuning**, the idea of fairTL (arXiv 2212.00926, there with GANs): the base model is trained on with the
#   reference set alone, of which a fifth is held out; of six lengths the one with the lowest loss on that fifth is
#   taken.
# - **Ambient-o with one threshold** $\sigma^*$, the idea of arXiv 2506.10038: all images are trained on at
#   $\sigma \ge \sigma^*$, the reference images alone below. What is decided above $\sigma^*$ keeps the bias.
# - **Domain guidance** (arXiv 2504.01521): $D_{\rm obs} + u\, (D_{\rm ref} - D_{\rm obs})$ with the option `w` as its
#   factor $u$; $u = 1$ is DSM(ref). It evaluates two denoisers at every sampling step.

# %%
print(f"{'method':25s} requires")
for name in comparison.methods:
    print(f"{comparison.baseline(name).label:25s} {comparison.baseline(name).requires}")

# %% [markdown]
# ## Options, chosen on the validation seed
#
# We try the temperature, strength $\gamma$ and head of distribution guidance, the base model of fine-tuning, the
# threshold of Ambient-o in units of the data's standard deviation, and the factor of domain guidance. A method then
# uses the fairest value whose Frechet distance is no worse than that of DSM(bias). The share $q$ of InvDiff is shown
# for several values but not chosen: to choose it one would need the groups.

# %% tags=["nbval-ignore-output"]
held, n_tried = comparison.problem(validation_seed), min(n_samples, 1000)
unguided, _ = comparison.measured("dsm_bias", held, validation_seed, n_tried)
print(f"DSM(bias): discrepancy {unguided['fairness_discrepancy']:.3f}, Frechet {unguided['frechet']:.3f}")
tuning = {}
for name, tried in comparison.tune(held, validation_seed, n_tried):
    tuning[name] = tried
    used = {option: getattr(comparison.baseline(name), option) for option in comparison.grids[name]}
    print(f"{comparison.baseline(name).label}: used is {used}")
    display(pd.DataFrame(tried).round(3))

# %% [markdown]
# ## Every method, every seed

# %%
rows, samples = {name: [] for name in comparison.methods}, {}
for seed in range(seeds):
    instance = comparison.problem(seed)
    record.hashes[f"problem {seed}"] = runs.digest(instance.key)
    for name in comparison.methods:
        measures, x = comparison.measured(name, instance, seed)
        rows[name].append(measures)
        samples.setdefault(name, x)
table = comparison.table(rows)

# %% tags=["nbval-ignore-output"]
display(HTML(plots.baseline_table(table).to_html()))

# %% [markdown]
# **Table: every measure.** Means over seeds, with the single values or Student's 95 % interval. *Discrepancy*:
# Euclidean distance of the group shares from the wanted ones. *Pairwise bias*: mean difference of two groups' shares.
# *Frechet*, precision and recall: against held-out balanced data, in the features of the judge (for `gmm` the points
# themselves), not Inception's; *by group* against that group alone, where few held-out images make the distance large.
# *Unsure*: share of the samples of which the judge is less than 90 % sure. *Nearest*: distance to the nearest image of
# both sets. Parameters and training time are what a row adds to its base model.

# %% mystnb={"image": {"alt": "Plain training and ddm-released keep the bias; most others come near equal shares"}}
figure = plots.needs_and_shares(table, first.group_names, first.biased_shares, wanted)
display(record.figure(figure, "group_shares"))

# %% [markdown]
# **Figure 1.** The share of the second group, or, where there are more than two, the shares of all in per cent: a mark
# for each seed, a bar for their mean, and from four seeds on Student's 95 % interval. With the default parameters
# DSM(bias), DSM(obs) and ddm-released keep the bias of their data, domain guidance leaves a part of it, and the other
# rows are nearer to equal shares in the mean, with the requirements named at the left.

# %% mystnb={"image": {"alt": "In 2-D all rows have high precision and recall; unfair rows a large Frechet distance"}}
display(record.figure(plots.fairness_and_quality(table), "fairness_and_quality"))

# %% [markdown]
# **Figure 2.** Fairness beside the quality of the samples that it was read from, a mark for each seed. Read them
# together: where precision is low the judge names samples that are not like the data, and where recall is low the
# samples cover little of the data, as copies of the reference images do. In the 2-D example neither happens.

# %% mystnb={"image": {"alt": "Distribution guidance bends the rare mode, TIW-DSM stretches the common one"}}
display(record.figure(plots.first_samples(samples, table), "samples"))

# %% [markdown]
# **Figure 3.** Samples of the first seed, the minority in red; all methods start from the same noise. With the default
# parameters one sees what the shares do not show: distribution guidance moves the points of the rare mode into a wedge,
# and ratio guidance and TIW-DSM, which share their learned ratio, stretch the common mode along the diagonal.
#
# ## Which samples InvDiff groups together
#
# Its inferred groups at the first seed (rows) against the true ones (columns). If both inferred groups are drawn
# equally often, a true group has the mean of its shares in the two.

# %% tags=["nbval-ignore-output"]
inferred = []
if "invdiff" in comparison.methods:
    baseline = comparison.baseline("invdiff")
    groups = baseline.groups(first, baselines.base_of(baseline, first, comparison.budget, 0), 0)
    names = pd.Categorical.from_codes(first.labels, first.group_names)
    shares = pd.crosstab(groups.numpy(), names, normalize="index", dropna=False)
    display(shares.rename_axis(index="inferred", columns="true").round(3))
    print("shares within its reach:", ", ".join(f"{group} {x:.3f}" for group, x in shares.mean().items()))
    inferred = shares.values.tolist()

# %% [markdown]
# ## The judge
#
# The judge was trained on more data, and is another kind of model, than the classifier that distribution guidance uses.
# On images its confusion matrix (rows: true group) is of images that its training held out, or of unseen hues.

# %% tags=["nbval-ignore-output"]
confusion = first.judge.confusion
if confusion is None:
    print("the judge of gmm is the nearer mode: exact but for the modes' tails")
else:
    display(pd.DataFrame(confusion, first.group_names, first.group_names))
labelled = first.classifier.predict(first.heldout).numpy()
agreement = float((labelled == groups_of(first.judge, first.heldout)).mean())
print(f"the labelling classifier agrees with it on {agreement:.3f} of the held-out data")

# %% [markdown]
# ## What sampling costs
#
# Processor time over the base model's, the median of five rounds in which all methods take turns on one machine.
# TIW-DSM samples with a network of the base model's size and nothing else.

# %% tags=["nbval-ignore-output"]
relative = comparison.relative_cost(first, 0)
for name, ratio in relative.items():
    print(f"{table[name]['label']:25s} {ratio:.2f} of the base model's sampling time")

# %% [markdown]
# ## All problems
#
# This run beside the records of other problems; `make baselines`, or for one problem
# `papermill notebooks/07_baselines.ipynb out.ipynb -f notebooks/params/07_digits-colour-90.yaml`, makes more of them.

# %% mystnb={"image": {"alt": "Methods that infer groups are farther from equal shares on high digits than in 2-D"}}
recorded = {r["run"]: r["metrics"] for r in runs.finished("07_baselines")}
recorded = {name: m["methods"] for name, m in recorded.items() if name == m["problem"]} | {problem: table}
shown = {name: recorded[name] for name in baselines.ORDER if name in recorded}
display(record.figure(plots.all_problems(shown), "all_problems"))

# %% [markdown]
# **Figure 4.** Fairness discrepancy on each problem that has a record, each on its own scale; a mark for each seed.
# Figure 1 says what a row requires. An empty line is a method that was not run there. On `low-high` and `long-tail`,
# digits as points, ratio guidance, ddm-balanced and the inferred groups of InvDiff stay farther from equal shares than
# in 2-D; the samples of these two problems cannot be read well ([tables of results](../docs/results.md)).
#
# ## What we learned

# %% tags=["nbval-ignore-output", "bookkeeping"]
unfair = {name: measures["fairness_discrepancy"] for name, measures in table.items()}
ours = "tiw_dsm" if "tiw_dsm" in table else "dsm_bias"
labels = {name: measures["label"] for name, measures in table.items()}
order = {True: [], False: [], None: []}  # less fair than ours in each seed, fairer in each, neither
for name, cell in unfair.items():
    signs = {a > b for a, b in zip(cell["seeds"], unfair[ours]["seeds"], strict=True)}
    order[signs.pop() if len(signs) == 1 else None] += [labels[name]] if name != ours else []
worse, better, open_ = ("; ".join(names) or "nothing" for names in order.values())
mean, base = (intervals.as_text(unfair[name]) for name in (ours, "dsm_bias"))
print(f"1. {labels[ours]} has a fairness discrepancy of {mean}, DSM(bias) of {base}.")
print(f"2. In each of the {seeds} seeds it is fairer than: {worse}.")
print(f"   Less fair than: {better}. The seeds do not agree on: {open_}.")
costs = "; ".join(f"{labels[name]} {value:.1f}" for name, value in relative.items())
print(f"3. Sampling time over that of the base model: {costs}.")

# %% [markdown]
# A test runs this notebook anew and compares these numbers. They are rounded, for the last digits depend on the
# processor.

# %%
for name in ("dsm_bias", "tiw_dsm"):
    if name in table:
        print(f"{table[name]['label']}: discrepancy in fifths {round(5 * unfair[name]['mean']) / 5:.1f}")

# %% tags=["bookkeeping"]
assert all(abs(sum(shares) - 1) < 1e-9 for m in table.values() for shares in m["group_shares"]["seeds"])
options = {
    name: {k: v for k, v in chosen.items() if k != "target"} for name, chosen in comparison.options.items()
}
record.finish(
    {
        "problem": problem,
        "group_names": list(first.group_names),
        "biased_shares": first.biased_shares.tolist(),
        "n_samples": n_samples,
        "methods": table,
        "options": options,
        "tuning": {"unguided": {k: unguided[k] for k in ("fairness_discrepancy", "frechet")}, **tuning},
        "relative_sampling_time": relative,
        "judge_confusion": None if confusion is None else confusion.tolist(),
        "labeller_agreement": agreement,
        "inferred_groups": inferred,
    }
)
print(f"recorded: {run or problem}")
