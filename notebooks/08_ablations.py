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
# # 8. Which part matters how much?
#
# **Question.** How does the result depend on the ratio network's quality, does a better one pay, is the correction
# needed at small noise, and what does each part cost?
#
# TIW-DSM aims at the score of its batches plus the gradient of the *learned* log weight, so an error of that
# gradient is an error of the score:
#
# $$\hat s(x,\sigma) = \nabla \log p_\pi^\sigma(x) + \nabla \log \hat w(x,\sigma), \qquad
# \hat w = \frac{\hat r}{\pi \hat r + 1 - \pi}$$
#
# In the 2-D example everything but $\hat r$ is exact here: no denoiser is trained unless it is said, so what is seen is
# the ratio's fault alone. Digits follow. Settings are small on purpose: few reference samples are the hard case.
#
# | reads | writes | takes |
# |---|---|---|
# | the images of a setting (notebook 04) | `results/08_ablations/<run>/` | five to ten minutes |

# %%
import re
from functools import partial

import numpy as np
import pandas as pd
import torch
from IPython.display import display

from tiwlib import batches, gaussians, plots, ratio, runs, training
from tiwlib.closed_form import minimiser, ratio_errors, score_error
from tiwlib.data import bias
from tiwlib.data.problems import of_images
from tiwlib.estimators.altered import Above, Scaled
from tiwlib.estimators.cross_fitting import cross_fit, cross_fitted
from tiwlib.gaussians import EXACT_RATIO, P_DATA
from tiwlib.measures import intervals, two_d, weights
from tiwlib.networks import parameters_of, point_denoiser, point_ratio, seeded
from tiwlib.noise import LogNormal
from tiwlib.objectives import dsm, tiw_dsm
from tiwlib.runs import step_cost
from tiwlib.runs.config import ExperimentConfig
from tiwlib.runs.experiment import Experiment
from tiwlib.runs.measured import measured
from tiwlib.training import TrainingConfig

# %% tags=["parameters"]
run = "default"  # name of the record under results/08_ablations/
seeds = 5  # 2-D example: repetitions, each with data and networks of its own
n_biased = 1000  # samples of the biased density
n_reference = 100  # samples of the unbiased density, where it is not varied
ratio_steps = 400  # training length of a ratio, where it is not varied
weight_decay = 0.3  # pull of its weights to zero, where it is not varied
lengths = [50, 150, 1200]  # training lengths
references = [25, 50, 400]  # sizes of the reference set
decays = [0.01, 3.0]  # pulls of the weights to zero
factors = [0.25, 0.5, 1.0, 2.0, 4.0]  # factors of an exact logit: underconfident below 1, overconfident above
thresholds = [0.0, 0.1, 0.3, 1.0, 2.0, 4.0]  # noise levels below which nothing is corrected
n_samples = 2000  # points drawn from each minimiser
folds = 5  # of cross-fitting, and members of the ensemble
small_references = [25, 100]  # sizes of the reference set at which better ratios are compared
trained_seeds = 4  # of them with a trained denoiser, at the last of those sizes
denoiser_steps = 400  # training length of that denoiser
setting = "digits-lt"  # images with groups: a name of `python -m tiwlib.data list`
root = "data"  # where downloads and arrays are kept
digits_seeds = 3  # on images: repetitions of the comparison of ratios
digits_trained = 0  # on images: of them with trained denoisers, a minute each; 0 leaves that section out
digits_thresholds = [0.2, 0.5]  # on images: noise levels below which nothing is corrected
steps = 1000  # on images: training length of a denoiser
timed_steps = 12  # repetitions of each timing

# %%
params = runs.parameters("08_ablations", globals())
record = runs.start("08_ablations", run, params)
torch.set_num_threads(1)  # networks this small lose time to a second thread
if min(seeds, digits_seeds, trained_seeds) < 2:
    raise ValueError(f"seeds={seeds}, digits_seeds={digits_seeds}, trained_seeds={trained_seeds}: at least 2")
if digits_trained == 1 or digits_trained > digits_seeds or trained_seeds > seeds:
    raise ValueError(f"digits_trained={digits_trained}, trained_seeds={trained_seeds}: 0 or 2, to all seeds")
noise_distribution = LogNormal.for_data(gaussians.SIGMA_DATA)
sample = partial(two_d.drawn, n=n_samples, steps=18, dtype=torch.float32)
results = {}


def key(*parts):
    """The parts of a name as one identifier: ("decay", 0.01, "share") is decay_0_01_share."""
    return re.sub(r"\W+", "_", " ".join(part if isinstance(part, str) else f"{part:g}" for part in parts))


def fit(pair, seed, member=0, held=None, steps=ratio_steps, decay=weight_decay):
    """A ratio of the 2-D example; another member has other initial weights."""
    network = seeded(point_ratio, 2, gaussians.SIGMA_DATA, seed=seed + 1000 * member)
    options = {"steps": steps, "weight_decay": decay, "seed": seed, "held": held, "evaluations": 1}
    return ratio.fit(network, *pair, noise_distribution, **options)


def share_of(ratio, seed):
    """Minority share that the minimiser of TIW-DSM draws with this ratio: everything else is exact."""
    return gaussians.minority_share(sample(minimiser("tiw_dsm", EXACT_RATIO, 0.5, ratio=ratio), seed=seed))


def tiw_loss(ratio, folds=None):
    """TIW-DSM's loss on half-and-half batches; with folds each sample asks the network of its fold."""
    if folds is not None:
        return cross_fitted(tiw_dsm, ratio, 0.5)
    return partial(tiw_dsm, ratio=ratio, reference_fraction=0.5)


exact_shares = [share_of(EXACT_RATIO, seed) for seed in range(seeds)]  # 0.5, up to the chance of the draw


def judge(fitted, seed):
    """Errors of a 2-D ratio; share_error is from the exact ratio's share with the same starting noise."""
    errors = ratio_errors(fitted, EXACT_RATIO, n=2000, times=20)
    share = share_of(fitted, seed)
    return {
        "ratio_error": errors["ratio"].mean(), "score_error": errors["score"].mean(),
        "share": share, "share_error": abs(share - exact_shares[seed]),
    }  # fmt: skip


def interval(values):
    """Mean, 95 % interval of Student's t, and the values themselves, for the record."""
    mean, low, high = intervals.mean_interval(values)
    return {"mean": mean, "low": low, "high": high, "seeds": [float(v) for v in values]}


def against(frame, measures, baseline="plain"):
    """Every variant's interval, and that of its difference from the baseline, paired by seed."""
    cells = {}
    for measure in measures:
        table = frame.pivot(index="seed", columns="variant", values=measure)
        for variant in table:
            cells[key(measure, variant)] = interval(table[variant])
            if variant != baseline:
                difference = table[variant] - table[baseline]
                cells[key(measure, variant, "minus", baseline)] = interval(difference)
    return cells


def table_of(cells):
    """The record's cells as text."""
    return pd.Series(
        {name: intervals.as_text(cell) for name, cell in cells.items()}, name="mean (95 %)"
    ).to_frame()


# %% [markdown]
# ## The ratio's quality and the result
#
# One thing is varied at a time: training length, size of the reference set, pull of the weights to zero. The base
# is the same in all three. The error of the score is that of $\sigma \nabla \log \hat r$, squared, under
# $p_{\rm bias}^\sigma$ (further down, where parts of the correction are left out or the logit is scaled, it is that
# of the corrected score, under $p_{\rm data}^\sigma$: another scale); the error of the share is its distance from
# what the exact ratio draws from the same noise.

# %%
base = {"length": ratio_steps, "reference": n_reference, "decay": weight_decay}
varied = {"length": lengths, "reference": references, "decay": decays}
names = {"length": "training length", "reference": "size of the reference set", "decay": "weight decay"}
rows = []
for seed in range(seeds):
    cells = [("base", base)] + [(k, {**base, k: v}) for k, values in varied.items() for v in values]
    for kind, cell in cells:
        pair = gaussians.draw_pair(n_biased, cell["reference"], seed)
        fitted = fit(pair, seed, steps=cell["length"], decay=cell["decay"])
        gap = weights.calibration_error(fitted.heldout)
        judged = {"heldout_loss": fitted.heldout_loss, "calibration": gap, **judge(fitted, seed)}
        rows.append({"seed": seed, "varied": kind, **cell, **judged})
quality = pd.DataFrame(rows)
measures = {
    "heldout_loss": "held-out loss (nats)",
    "score_error": "error of the score",
    "share_error": "error of the share",
}
for kind, name in names.items():
    part = quality[quality.varied.isin([kind, "base"])]
    display(record.figure(plots.sweep(part, kind, measures, name, even=True), f"quality_{kind}"))

# %% tags=["nbval-ignore-output"]
results["quality"] = {
    key(kind, value, measure): interval(part[measure])
    for kind in names
    for value, part in quality[quality.varied.isin([kind, "base"])].groupby(kind)
    for measure in [*measures, "share", "ratio_error", "calibration"]
}
display(table_of({name: cell for name, cell in results["quality"].items() if name.endswith("share_error")}))

# %% [markdown]
# Does what can be measured without the truth foretell the result? Every point is one fit.

# %%
quality["kind"] = quality.varied.map({"base": "base", **names})
foretelling = {
    "heldout_loss": "held-out loss (nats)",
    "calibration": "calibration error",
    "score_error": "error of the score (needs the truth)",
}
figure = plots.scatter(quality, foretelling, ("share_error", "error of the share"), "kind")
display(record.figure(figure, "foretelling"))

# %% tags=["nbval-ignore-output"]
within = quality.groupby("seed")
results["rank_correlation_with_share_error"] = {
    column: interval([part[column].corr(part.share_error, method="spearman") for _, part in within])
    for column in foretelling
}
display(table_of(results["rank_correlation_with_share_error"]))

# %% [markdown]
# Nothing measured here foretells the share well: not the held-out loss, which rests on a fifth of a small set, and
# not even the true error of the score, which is an average over all points and noise levels, while a share is
# decided by few of them. So choose a training length by what it is for, over several seeds.
#
# ## Calibration: an overconfident and an underconfident ratio
#
# The exact logit times a factor, no network at all: below 1 the ratio is underconfident, above 1 overconfident. It
# is not the power $\alpha$ of $w$ from notebook 02, for at $\pi = 1/2$ the weight $w = 2d$ stays below 2.

# %%
rows = []
for factor in factors:
    denoiser = minimiser("tiw_dsm", EXACT_RATIO, 0.5, ratio=Scaled(EXACT_RATIO, factor))
    share = two_d.minority(two_d.drawn(denoiser, 10 * n_samples))
    rows.append({"factor": factor, **share, "score_error": score_error(denoiser, P_DATA)})
scaled = pd.DataFrame(rows)
aims = {"share": 0.5, "score_error": 0.0}
panels = {"share": "share of the minority mode", "score_error": "error of the score"}
display(
    record.figure(
        plots.sweep(scaled, "factor", panels, "the exact logit times", lines=aims, even=True), "scaled"
    )
)
results["scaled_logit"] = {f"{row['factor']:g}": row for row in rows}
print("shares: " + ", ".join(f"x {row['factor']:g}: {row['share']:.3f}" for row in rows))
assert scaled.share.is_monotonic_increasing

# %% [markdown]
# ## Correction only above a noise level
#
# Is plain training enough at small $\sigma$? Below the threshold $w = 1$ and nothing is corrected: a denoiser that
# is trained like that needs no ratio there. With the exact ratio, then with learned ones.

# %%
rows = []
learned = [fit(gaussians.draw_pair(n_biased, n_reference, seed), seed) for seed in range(seeds)]
for threshold in thresholds:
    for seed in range(seeds):
        for name, which in (("exact ratio", EXACT_RATIO), ("learned ratio", learned[seed])):
            part = Above(which, threshold)
            denoiser, share = minimiser("tiw_dsm", EXACT_RATIO, 0.5, ratio=part), share_of(part, seed)
            error = score_error(denoiser, P_DATA, n=1000, dtype=torch.float32)
            rows.append(
                {"threshold": threshold, "seed": seed, "variant": name, "share": share,
                 "share_error": abs(share - exact_shares[seed]), "score_error": error}
            )  # fmt: skip
above = pd.DataFrame(rows)
label = r"corrected only above this $\sigma$"
figure = plots.sweep(
    above, "threshold", {**panels, "share_error": "error of the share"}, label, "variant", aims, even=True
)
display(record.figure(figure, "thresholds"))

# %% tags=["nbval-ignore-output"]
results["threshold"] = {}
for variant, part in above.groupby("variant"):
    for measure in ("share", "share_error", "score_error"):
        table = part.pivot(index="seed", columns="threshold", values=measure)
        for threshold in thresholds:
            name = key(variant, threshold, measure)
            results["threshold"][name] = interval(table[threshold])
            difference = table[threshold] - table[thresholds[0]]
            results["threshold"][key(name, "minus always")] = interval(difference)
shown = {n: c for n, c in results["threshold"].items() if "share_minus" in n or "score_error_minus" in n}
display(table_of(shown))

# %% [markdown]
# The correction is needed where noise is as wide as a mode or wider. At small noise the two densities' scores
# differ only in the gap between the modes, where hardly any sample lies: there plain training is enough, and a
# learned correction, which is mostly error, may be left out.
#
# ## A better ratio?
#
# The plain network keeps a fifth of both sets aside and sees the rest so often that it knows the few reference
# samples exactly. Two ways out: **an ensemble** of networks, one for each fold that it does not see, whose logits
# are averaged; and **cross-fitting**, where in training sample $i$ of fold $k$ asks the network that has not seen
# fold $k$. For a point of no fold the two are the same, so they differ only where a denoiser is trained.

# %%
rows, trained = [], []
for size in small_references:
    for seed in range(seeds):
        pair = gaussians.draw_pair(n_biased, size, seed)
        plain, crossed = fit(pair, seed), cross_fit(partial(fit, pair, seed), *pair, folds=folds, seed=seed)
        for name, which in (("plain", plain), ("ensemble", crossed)):
            rows.append({"reference": size, "seed": seed, "variant": name, **judge(which, seed)})
        if size == small_references[-1] and seed < trained_seeds:
            ways = {
                "plain": (plain, None),
                "ensemble": (crossed, None),
                "cross-fitted": (crossed, crossed.folds),
            }
            for name, (which, labels) in ways.items():
                denoiser = seeded(point_denoiser, 2, gaussians.SIGMA_DATA, seed=seed)
                observed, loss = batches.Observed(*pair, 0.5, labels), tiw_loss(which, labels)
                config = TrainingConfig(steps=denoiser_steps, batch_size=256, lr=2e-3, ema_half_life=50.0)
                for _ in training.train(denoiser, loss, observed, noise_distribution, config, seed=seed):
                    pass
                share = gaussians.minority_share(sample(denoiser, seed=seed))
                trained.append(
                    {
                        "seed": seed,
                        "variant": name,
                        "share": share,
                        "share_error": abs(share - exact_shares[seed]),
                    }
                )
better, trained = pd.DataFrame(rows), pd.DataFrame(trained)
panels = {
    "ratio_error": "error of the ratio",
    "score_error": "error of the score",
    "share_error": "error of the share",
}
figure = plots.sweep(better, "reference", panels, "reference samples", "variant", even=True)
display(record.figure(figure, "better_ratio"))

# %% tags=["nbval-ignore-output"]
results["better_ratio"] = {
    key("reference", size, name): cell
    for size, part in better.groupby("reference")
    for name, cell in against(part, [*panels, "share"]).items()
}
results["better_ratio_trained"] = against(trained, ["share", "share_error"])
display(table_of({n: c for n, c in results["better_ratio"].items() if "_minus_" in n}))
display(table_of(results["better_ratio_trained"]))

# %% [markdown]
# The same on digits. The loss on *fresh* images is that of images which are in neither set: no network can have
# seen them. The total variation after weighting is how far the learned weights are from making the biased set's
# classes fair, on fresh images too.

# %%
experiments, ratios, rows, fit_seconds = {}, {}, [], {"plain": [], "ensemble": []}
for seed in range(digits_seeds):
    where = {"setting": setting, "root": root, "source": "", "biased": "", "seed": seed}
    made = bias.from_parameters(where, runs.PROJECT)
    record.hashes |= {"images": made.data.sha256, f"split {seed}": made.split.sha256}
    long = TrainingConfig(steps=steps, batch_size=128, log_every=steps)
    config = ExperimentConfig(seed=seed, reference_fraction=0.5, training=long, device="cpu")
    problem, seconds = of_images(made), []
    experiments[seed] = experiment = Experiment(problem, config)

    def member(k=0, held=None, experiment=experiment, seconds=seconds):
        """The ratio of fold k; what its fit took, whenever that was, goes into `seconds`."""
        fitted = experiment.ratio(k, held)
        seconds.append(experiment.costs["ratio"]["seconds"])
        return fitted

    plain = member()
    crossed = cross_fit(member, problem.biased, problem.reference, folds=folds, seed=seed)
    ratios[seed] = plain, crossed
    fit_seconds["plain"].append(seconds[0])
    fit_seconds["ensemble"].append(sum(seconds[1:]))
    for name, which in zip(("plain", "ensemble"), ratios[seed], strict=True):
        variation = weights.variation_after_weighting(which, made)
        fresh = weights.fresh_loss(which, made, problem.noise_distribution)
        judged = {"fresh_loss": fresh, "heldout_loss": which.heldout_loss, "variation": variation}
        rows.append({"seed": seed, "variant": name, **judged})
digits = pd.DataFrame(rows)
panels = {
    "fresh_loss": "loss on fresh images (nats)",
    "heldout_loss": "held-out loss (nats)",
    "variation": "total variation\nafter weighting",
}
display(record.figure(plots.variants(digits, panels), "better_ratio_digits"))

# %% tags=["nbval-ignore-output"]
results["digits_ratio"] = against(digits, panels)
display(table_of(results["digits_ratio"]))

# %% [markdown]
# The held-out loss of ten images swings from seed to seed, to either side of $\log 2 = 0.693$, the loss of knowing
# nothing, while the same networks' loss on fresh images hardly moves: on sets this small the held-out loss is too
# noisy a judge. Averaging logits helps a little, it does not mend what so few reference images cannot say. The
# plain network stays the default.
#
# And with trained denoisers, a minute each: `notebooks/params/08_digits.yaml` turns this on (without it the cell
# below is silent). There the correction above a noise level only is trained too.

# %%
rows = []
for seed in range(digits_trained):
    plain, crossed = ratios[seed]
    ways = {"plain": (plain, None), "ensemble": (crossed, None), "cross-fitted": (crossed, crossed.folds)}
    ways |= {f"above {t:g}": (Above(plain, t), None) for t in digits_thresholds}
    for name, (which, labels) in ways.items():
        denoiser = experiments[seed].trained(plain, loss=tiw_loss(which, labels), labels=labels)
        rows.append({"seed": seed, "variant": name, **measured(experiments[seed], denoiser)})
if rows:
    panels = {
        "total_variation": "total variation of shares", "frechet": "Frechet distance\n(digits classifier)",
        "recall": "recall", "nearest": "distance to nearest\ntraining image",
    }  # fmt: skip
    drawn = pd.DataFrame(rows)
    results["digits_trained"] = against(drawn, panels)
    display(record.figure(plots.variants(drawn, panels), "digits_trained"))
    display(table_of(results["digits_trained"]))

# %% [markdown]
# ## Time and memory of each part
#
# One step of each part on batches of 128 images of the setting, forward and backward, in turns. The ratio asks for
# a forward and a backward pass through its own network, for the correction is a gradient; an ensemble asks for as
# many as it has members, cross-fitting for one, because each sample has its own network.

# %%
experiment, (plain, crossed) = experiments[0], ratios[0]
denoiser = experiment.denoiser()
x0, fold = experiment.observed(crossed.folds).batch(128)
sigma, noise = LogNormal().sample(128), torch.randn(x0.shape)
discriminator = seeded(experiment.problem.ratio_network, seed=0)
batch = (denoiser, x0, sigma, noise)
losses = {
    "dsm": lambda: dsm(*batch).mean(),
    "tiw_dsm": lambda: tiw_loss(plain)(*batch).mean(),
    "tiw_dsm_cross_fitted": lambda: tiw_loss(crossed, crossed.folds)(*batch, fold).mean(),
    "tiw_dsm_ensemble": lambda: tiw_loss(crossed)(*batch).mean(),
    "ratio_fit": lambda: discriminator.log_ratio(x0, sigma).square().mean(),
}
labels = {
    "dsm": "plain training (DSM)",
    "tiw_dsm": "TIW-DSM",
    "tiw_dsm_cross_fitted": "TIW-DSM, cross-fitted",
    "tiw_dsm_ensemble": f"TIW-DSM, ensemble of {folds}",
    "ratio_fit": "a step of fitting the ratio",
}
times = step_cost.seconds({name: lambda f=f: f().backward() for name, f in losses.items()}, timed_steps)
rows = []
for name, values in times.items():
    mean, low, high = intervals.mean_interval([1000 * value for value in values])
    megabytes = step_cost.kept_bytes(losses[name]) / 2**20
    rows.append({"part": name, "ms": mean, "low": low, "high": high, "megabytes": megabytes})
costs = pd.DataFrame(rows)
display(record.figure(plots.costs(costs.replace({"part": labels})), "costs"))

# %% tags=["nbval-ignore-output"]
results["cost"] = {row["part"]: row for row in rows}
first = np.asarray(times["dsm"])
for name, values in times.items():
    results["cost"][name]["times_plain"] = interval(np.asarray(values) / first)
results["fit_seconds"] = {name: interval(values) for name, values in fit_seconds.items()}
results["parameters"] = {"denoiser": parameters_of(denoiser), "ratio": parameters_of(discriminator)}
display(table_of({name: cell["times_plain"] for name, cell in results["cost"].items()}))
print(results["parameters"])

# %% [markdown]
# ## What readers and reviewers asked
#
# One line a question, answered by the numbers above; the 2-D example unless it says digits.


# %% tags=["nbval-ignore-output"]
def of(part, name):
    """A cell of the record as text."""
    return intervals.as_text(results[part][name])


def ends(kind, values, measure):
    """A measure at the smallest and at the largest of the varied values."""
    return "; ".join(f"at {v:g}: {of('quality', key(kind, v, measure))}" for v in (min(values), max(values)))


moved = {t: results["threshold"][key("exact ratio", t, "share minus always")] for t in thresholds[1:]}
harmless = [t for t, cell in moved.items() if min(cell["low"], cell["high"]) > -0.01]
learned_gain = results["threshold"][
    key("learned ratio", max(harmless, default=0), "score_error minus always")
]
more = results["parameters"]["ratio"] / results["parameters"]["denoiser"]
size = small_references[-1]
answers = {
    "How long must the ratio train? (error of the share)": ends("length", lengths, "share_error"),
    "How much regularisation? (error of the score)": ends("decay", decays, "score_error"),
    "How many reference samples? (error of the score)": ends("reference", references, "score_error"),
    "Must it be calibrated? (share, the logit halved and doubled)": "; ".join(
        f"x {f:g}: {results['scaled_logit'][f'{f:g}']['share']:.3f}" for f in (0.5, 2.0) if f in factors
    ),
    "Does the held-out loss foretell the result? (rank correlation within a seed)": of(
        "rank_correlation_with_share_error", "heldout_loss"
    ),
    "Is plain training enough at small noise? (share moves by less than 0.01)": (
        f"up to sigma {max(harmless, default=0):g}, a mode has std 1; "
        f"the learned ratio's score error changes by {intervals.as_text(learned_gain)}"
    ),
    f"Does an ensemble help at {size}? (error of the score, minus plain)": of(
        "better_ratio", key("reference", size, "score_error ensemble minus plain")
    ),
    "Does cross-fitting help a trained denoiser? (error of the share, minus plain)": of(
        "better_ratio_trained", "share_error_cross_fitted_minus_plain"
    ),
    "And the ensemble on digits? (total variation after weighting, minus plain)": of(
        "digits_ratio", "variation_ensemble_minus_plain"
    ),
    "What does a step cost? (digits, times a plain step)": intervals.as_text(
        results["cost"]["tiw_dsm"]["times_plain"]
    ),
    "What memory? (digits)": (
        f"{results['cost']['tiw_dsm']['megabytes']:.0f} MB kept, plain "
        f"{results['cost']['dsm']['megabytes']:.0f}; {more:.0%} more parameters; none when sampling"
    ),
    "How do weight and correction balance?": "notebook 02: the correction moves the minimiser, the weight never",
    "Where is the code of the biased sets?": "notebook 04",
}
with pd.option_context("display.max_colwidth", None):
    display(pd.Series(answers, name="answer").to_frame())

# %% [markdown]
# ## The record

# %%
record.finish(results)
print(f"recorded: {run}")
