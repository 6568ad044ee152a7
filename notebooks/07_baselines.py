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
# **Question.** TIW-DSM needs a small unbiased reference set, and no labels. Others need labels, a classifier, or
# nothing but a guess. What does each reach, and at what cost?
#
# $$D_{\rm TIW}:\ \text{trained with } w(x,\sigma) \qquad
# D_{\rm ratio} = D_{\rm obs} + \sigma^2 \nabla_x \log w \qquad
# D_{\rm ADP} = {\rm decode}\big(h - \gamma B\, \nabla_h L(h)\big) \qquad
# D_{\rm InvDiff} = r\,{\rm decode}\big(h + \Delta(h, \sigma)\big) + (1 - r)\,{\rm decode}(h)$$
#
# $$D_w = D_{\rm obs} + w\,(D_{\rm ref} - D_{\rm obs}) \qquad
# D_{\rm Ambient}:\ \text{trained on } p_{\rm obs} \text{ at } \sigma \ge \sigma^*,\ p_{\rm ref} \text{ below} \qquad
# D_{\rm tuned}:\ D_{\rm bias} \text{ trained on with } \mathcal D_{\rm ref}$$
#
# One problem a run: `gmm`, the 2-D example, or a setting of images such as `digits-colour-90` with the library's
# U-Nets. (`0v1`, `low-high` and `long-tail` are scikit-learn's digits as points of 64 numbers; their samples are
# blurred.) One sampler, the same starting noise, one judge. **Never rank two rows without the column of what they
# require.** DSM(bias), plain training on the biased set alone, is the base model of those that have no reference set.
# Ratio guidance and domain guidance start from DSM(obs). A base model is trained once for a problem and seed, and
# shared.
#
# | reads | writes | takes |
# |---|---|---|
# | other problems' records, where there are | `results/07_baselines/<run>/` | half an hour of one core, images hours |
# | | `checkpoints/`: each method's samples and measures, so a stopped run goes on where it was | |

# %%
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from IPython.display import display

from tiwlib import baselines, plots, runs
from tiwlib.baselines.classifiers import groups_of
from tiwlib.measures.distances import to_uint8

# %% tags=["parameters"]
run = ""  # name of the record; empty: the problem
problem = "gmm"  # gmm, a setting of images such as digits-colour-90, or 0v1, low-high, long-tail
network = "mlp"  # of 0v1, low-high and long-tail, "mlp" on 64 pixels or "unet"; settings always have U-Nets
methods = []  # rows of the table, dsm_bias first; empty: all that there are
seeds = 3  # repetitions, each with split, networks and samples of its own
validation_seed = 100  # on which options are chosen; beyond the seeds
n_samples = 2000  # drawn for each method and seed
steps = 1000  # training from nothing
tune_steps = 1000  # training on top of a base model
batch_size = 128  # samples a step
lr = 1e-3  # learning rate from nothing; on settings of images it falls to zero at the end
tune_lr = 1e-3  # learning rate on top of a base model, which falls likewise
ratio_steps = 400  # training length of a ratio network
ratio_lr = 1e-3  # its learning rate
sampling_steps = 20  # levels of the Heun sampler
strength = 1.0  # of ratio guidance; 1 is the closed form
target = []  # group shares that are wanted; empty: equal ones
adp_grid = {"hidden": [0, 64], "temperature": [2.0, 4.0], "gamma": [60.0, 100.0]}  # tried on validation_seed
invdiff_shares = [0.05, 0.1, 0.2]  # the inferred group's share, swept on the validation seed
invdiff_share = 0.1  # and the one that is used: prior knowledge
invdiff_r = 0.8  # share of InvDiff's module in its denoiser
invdiff_variance = 1.0  # lambda, the weight of the variance between groups
ddm_w = 0.05  # weight of the released indicator
ddm_clusters = 2  # of the balanced variant

# %%
params = runs.parameters("07_baselines", globals())
record = runs.start("07_baselines", run or problem, params)
torch.set_num_threads(1)  # networks this small lose time to a second thread
methods = methods or list(baselines.BASELINES)
if seeds < 1 or validation_seed < seeds or methods[0] != "dsm_bias" or len(set(methods)) < len(methods):
    raise ValueError(
        f"seeds={seeds}, validation_seed={validation_seed}, methods={methods}: must be at least one seed, a "
        f"validation seed beyond them, and methods each named once, dsm_bias first"
    )
if n_samples < 4:
    raise ValueError(f"n_samples={n_samples}: must be at least 4, for distances between sets")
small_digits = problem in ("0v1", "low-high", "long-tail")
budget = baselines.Budget(
    **{name: params[name] for name in baselines.Budget.__dataclass_fields__ if name in params},
    lr_decay=problem != "gmm" and not small_digits,
)
options = {
    "adp": {"target": tuple(target)},
    "ratio_guidance": {"strength": strength},
    "invdiff": {"share": invdiff_share, "r": invdiff_r, "variance": invdiff_variance},
    "invdiff_oracle": {"r": invdiff_r, "variance": invdiff_variance},
    "ddm_released": {"w": ddm_w},
    "ddm_balanced": {"clusters": ddm_clusters},
}
for name in methods:
    baselines.baseline(name, **options.get(name, {}))  # a bad option is refused before anything is trained
settings = {"network": network} if small_digits else {}
first = baselines.problem(problem, 0, **settings)
equal = np.full(len(first.group_names), 1 / len(first.group_names))
if target and len(target) != len(equal):
    raise ValueError(f"target={target}: must have a share for each of the {len(equal)} groups")
print(
    f"{problem}: {len(first.biased):,} biased, {len(first.reference)} reference, {len(first.heldout):,} held out"
)
shares = zip(first.group_names, first.biased_shares, strict=True)
print("shares of the biased set:", ", ".join(f"{group} {share:.3f}" for group, share in shares))

# %% [markdown]
# ## What each method is, and what it needs
#
# **DSM(bias), DSM(ref), DSM(obs).** Plain denoising score matching on the biased set, on the reference set, on
# both. They draw what they saw. Cost: one training. The first has the bias, the second copies its few samples.
#
# **IW-DSM, TIW-DSM.** Weights from the density ratio: of clean samples, or of noisy ones together with the
# correction $\sigma^2 \nabla \log w$ of the target (notebook 01). Need a reference set. Cost: a ratio network in
# training, nothing at sampling time. They fail where the reference set is too small for the ratio.
#
# **Ratio guidance** (Kim et al. 2023). $D' = D_{\rm obs} + \sigma^2 \nabla_x \log w$, with the same ratio network
# and the same target as TIW-DSM. Needs the reference set and the network DSM(obs), trains the ratio network alone.
# Cost: the ratio network forward and backward at every sampling step. What the ratio gets wrong is not averaged by
# any training.
#
# **Distribution guidance** (arXiv 2402.18206). A predictor of groups (ADP) reads the bottleneck $h$ of the frozen
# base model at each level; while sampling, $h \leftarrow h - \gamma B\,\nabla_h \sum_k (\bar q_k - p_k)^2 / p_k$
# moves the mean prediction $\bar q$ of the batch to the target $p$. Needs a classifier, a target and a base model.
# Cost: the sampler once for 3,000 seeds, then a small head for each level. Too much $\gamma$ ruins the samples;
# targets far from balanced collapse; and it can only steer to what the base model can draw.
#
# **InvDiff** (arXiv 2412.08480). A small module $\Delta$ beside the frozen base model, trained by
# $\frac1G \sum_g L_g + \lambda {\rm Var}_g(L_g)$. With true groups it needs labels (the oracle). Inferred, it takes
# the share $q$ of samples with the largest denoising error at large noise for a group: needs nothing, but *guesses*
# $q$, and finds what is hard, which need not be the attribute that you care about. Cost: a second network at each
# step. Where a model memorises the few samples of a group, that group has the *smaller* loss, and
# $\lambda$ takes weight from it.
#
# **ddm-released** (arXiv 2503.12536). $(1-w)\,{\rm DSM} + w\,{\rm CE}$ of an indicator that reads the predicted
# noise, trained jointly. Needs labels. Nothing in it changes the shares of the data.
#
# **ddm-balanced**, our reading of the same paper's abstract. Clusters of the base model's $h$ stand for groups; the
# model is trained on with each cluster as heavy as any other. Needs a base model. Fails where the largest clusters
# are not the attribute.
#
# **Fine-tuning with early stopping**, the idea of fairTL (arXiv 2212.00926, there with GANs). The base model is trained
# on with the reference set alone, of which a fifth is held out; of six lengths the one with the lowest denoising loss
# on that fifth is taken. Needs a reference set and a base model. Cost: two tunings. Too long a tuning copies the
# reference images, and the held-out ones are few.
#
# **Ambient-o with one threshold**, the idea of arXiv 2506.10038. All images are trained on at $\sigma \ge \sigma^*$,
# the reference images alone below. Needs a reference set and $\sigma^*$. Cost: one training. What is decided above
# $\sigma^*$ keeps the bias; below it the few reference images can be copied.
#
# **Domain guidance** (arXiv 2504.01521). $D_w = D_{\rm obs} + w (D_{\rm ref} - D_{\rm obs})$, from two rows of this
# table. $w = 1$ is DSM(ref), and $w > 1$ goes on in the same direction. Needs a reference set and a base model. Cost: a
# second denoiser at every sampling step. It takes over the copies of DSM(ref).

# %%
needs = {baselines.baseline(name, **options.get(name, {})).label: name for name in methods}
print(f"{'method':22s} requires")
for label, name in needs.items():
    print(f"{label:22s} {baselines.baseline(name).requires}")

# %% [markdown]
# ## Options, chosen on the validation seed
#
# Of distribution guidance temperature, strength and head; of fine-tuning its base model; of Ambient-o the threshold, in
# units of the data's standard deviation; of domain guidance $w$. Each is the fairest whose Frechet distance is no worse
# than that of DSM(bias). The share $q$ of InvDiff is swept, not chosen: that would need the groups.

# %% tags=["nbval-ignore-output"]
began = time.perf_counter()
held = baselines.problem(problem, validation_seed, **settings)
sampled = {"seed": validation_seed, "n": min(n_samples, 1000), "target": tuple(target)}
unguided, _ = baselines.measured_once(baselines.baseline("dsm_bias"), held, budget, **sampled)
print(f"DSM(bias): discrepancy {unguided['fairness_discrepancy']:.3f}, Frechet {unguided['frechet']:.3f}")
grids = {name: baselines.baseline(name).tried for name in methods}
grids |= {"adp": adp_grid, "invdiff": {"share": invdiff_shares}}
tuning = {}
for name in methods:
    if not grids[name]:
        continue

    def build(name=name, **tried):
        return baselines.baseline(name, **{**options.get(name, {}), **tried})

    tuning[name] = baselines.tune(build, grids[name], held, budget, **sampled)
    if name != "invdiff":
        best = baselines.chosen(tuning[name], unguided["frechet"])
        options[name] = options.get(name, {}) | {option: best[option] for option in grids[name]}
        print(f"{build().label}: {options[name]}")
    display(pd.DataFrame(tuning[name]).round(3))
print(f"took {time.perf_counter() - began:.0f} s")

# %% [markdown]
# ## Every method, every seed

# %%
rows, samples = {name: [] for name in methods}, {}
for seed in range(seeds):
    instance = baselines.problem(problem, seed, **settings)
    record.hashes[f"problem {seed}"] = runs.digest(instance.key)
    for name in methods:
        baseline = baselines.baseline(name, **options.get(name, {}))
        measures, x = baselines.measured_once(
            baseline, instance, budget, seed, n=n_samples, target=tuple(target)
        )
        rows[name].append(measures)
        if seed == 0:
            samples[name] = x
table = {name: baselines.summary(each) for name, each in rows.items()}
for name, measures in table.items():
    baseline = baselines.baseline(name, **options.get(name, {}))
    measures |= {"label": baseline.label, "requires": str(baseline.requires)}

# %% tags=["nbval-ignore-output"]
pd.set_option("display.max_colwidth", None)
display(plots.baseline_table(table))

# %% [markdown]
# Means over seeds, with the single values or Student's 95 % interval. *Discrepancy*: distance of the group shares from
# the wanted ones. *Pairwise bias*: mean difference of two groups' shares. *Frechet*, precision and recall: against
# held-out balanced data, in the features of the judge (for `gmm` the points themselves), which is not Inception's FID;
# by group against that group alone, where few held-out images make it large. *Unsure*: samples of which the judge is
# less than 90 % sure. *Nearest*: distance to the nearest image of both sets. Training counts what the row adds to its
# base model.
#
# **Read fairness with quality.** Equal shares of samples with low precision are the judge's opinion of blurs. Equal
# shares with low recall cover little of the data, as copies of the reference images do.

# %% tags=["nbval-ignore-output"]
figure = plots.needs_and_shares(table, first.group_names, first.biased_shares, equal)
record.figure(figure, "group_shares")

# %% tags=["nbval-ignore-output"]
record.figure(plots.fairness_and_quality(table), "fairness_and_quality")

# %% [markdown]
# ## Samples

# %% tags=["nbval-ignore-output"]
if problem == "gmm":
    shares = {table[name]["label"]: f"{table[name]['minority_share']['seeds'][0]:.2f}" for name in samples}
    figure = plots.samples_2d({table[name]["label"]: x for name, x in samples.items()}, shares)
else:
    shape = (-1, 1, 8, 8) if small_digits else (-1, *first.shape)
    images = np.concatenate([to_uint8(x[:14].reshape(shape)) for x in samples.values()])
    figure = plots.image_grid(images, 14, [table[name]["label"] for name in samples])
record.figure(figure, "samples")

# %% [markdown]
# ## Whom InvDiff serves
#
# Its inferred groups at the first seed, against the true ones. Both groups are drawn as often, so the share that a
# true group can get is the mean of its shares in the two, however long the module is trained.

# %% tags=["nbval-ignore-output"]
inferred = {}
if "invdiff" in methods:
    baseline = baselines.baseline("invdiff", **options["invdiff"])
    groups = baseline.groups(first, baselines.base_of(baseline, first, budget, 0), 0)
    names = np.array(first.group_names)[first.labels.numpy()]
    inferred = pd.crosstab(groups.numpy(), names, normalize="index").reindex(columns=first.group_names)
    display(inferred.rename_axis(index="inferred", columns="true").round(3))
    within = ", ".join(f"{group} {share:.3f}" for group, share in inferred.mean().items())
    print(f"shares within its reach: {within}")
    inferred = inferred.values.tolist()

# %% [markdown]
# ## Who judges
#
# The judge was trained on more data, by another kind of model, than the classifier that distribution guidance may
# use. Its confusion matrix, true group by named group: of images that its own training held out, or of unseen hues.

# %% tags=["nbval-ignore-output"]
confusion = first.judge.confusion
if confusion is None:
    print("the judge of gmm is the nearer mode: exact but for the modes' tails")
else:
    display(pd.DataFrame(confusion, first.group_names, first.group_names))
agreement = float(
    (first.classifier.predict(first.heldout).numpy() == groups_of(first.judge, first.heldout)).mean()
)
print(f"the labelling classifier agrees with it on {agreement:.3f} of the held-out data")

# %% [markdown]
# ## What sampling costs
#
# Processor time over the base model's, all taking turns on one machine: the median of five rounds. It does not depend
# on the weights, so one step of training is enough for what is not trained yet. TIW-DSM's is its own network and
# nothing else; what differs from one is the clock.

# %% tags=["nbval-ignore-output"]
priced = [
    name
    for name in ("tiw_dsm", "ratio_guidance", "adp", "invdiff_oracle", "domain_guidance")
    if name in methods
]
short, denoisers = replace(budget, tune_steps=1), {}
for name in ("dsm_bias", *priced):
    baseline = baselines.baseline(name, **options.get(name, {}))
    baseline.fit(first, baselines.base_of(baseline, first, budget, 0), short, 0)
    denoisers[name] = baseline.denoiser()
base = denoisers.pop("dsm_bias")
relative = baselines.relative_cost(first, base, denoisers, n=min(n_samples, 500), steps=sampling_steps)
for name, ratio in relative.items():
    print(f"{table[name]['label']:22s} {ratio:.2f} of the base model's sampling time")

# %% [markdown]
# ## All problems
#
# This run beside the records that there are of other problems. Runs of other problems:
# `papermill notebooks/07_baselines.ipynb out.ipynb -f notebooks/params/07_digits-colour-90.yaml`, or `make baselines`.

# %% tags=["nbval-ignore-output"]
recorded = {r["run"]: r["metrics"] for r in runs.finished("07_baselines")}
recorded = {name: m["methods"] for name, m in recorded.items() if name == m["problem"]} | {problem: table}
shown = {name: recorded[name] for name in baselines.ORDER if name in recorded}
record.figure(plots.all_problems(shown), "all_problems")

# %% [markdown]
# ## The record

# %%
assert all(abs(sum(shares) - 1) < 1e-9 for m in table.values() for shares in m["group_shares"]["seeds"])
record.finish(
    {
        "problem": problem,
        "group_names": list(first.group_names),
        "biased_shares": first.biased_shares.tolist(),
        "n_samples": n_samples,
        "methods": table,
        "options": {name: {k: v for k, v in o.items() if k != "target"} for name, o in options.items()},
        "tuning": {"unguided": {k: unguided[k] for k in ("fairness_discrepancy", "frechet")}, **tuning},
        "relative_sampling_time": relative,
        "judge_confusion": None if confusion is None else confusion.tolist(),
        "labeller_agreement": agreement,
        "inferred_groups": inferred,
    }
)
print(f"recorded: {run or problem}")
