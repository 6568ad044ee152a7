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
# # 1. The density ratio, in two dimensions
#
# **Question.** What does a diffusion model learn from a biased data set, and what does the time-dependent
# density ratio change about it?
#
# The paper's example is a mixture of two Gaussians. The biased density has 80 % of its mass at $(-2,-2)$ and
# 20 % at $(2,2)$; the unbiased one has half at each. Noise turns $p$ into
# $p^\sigma = p * \mathcal N(0, \sigma^2 I)$, which stays a mixture: every score and every ratio below is known
# in closed form, so what is learned can be held against the truth.
#
# Notation: $x_0$ is a clean sample, $x = x_0 + \sigma n$ the noisy one with standard normal $n$, $D(x;\sigma)$ the
# denoiser, whose score is $(D - x)/\sigma^2$, and $\lambda(\sigma)$ EDM's weight of a noise level. DSM is denoising
# score matching, plain training: on the reference set, DSM(ref), or on all that is observed, DSM(obs).
#
# $$r(x,\sigma) = \frac{p^\sigma_{\rm data}(x)}{p^\sigma_{\rm bias}(x)}, \qquad
# \mathcal L_{\rm TIW} = \mathbb E\; \lambda(\sigma)\, w(x,\sigma)\,
# \big\| D(x;\sigma) - \big(x_0 + \sigma^2 \nabla_x \log w(x,\sigma)\big) \big\|^2$$
#
# Batches hold a share $\pi$ of reference samples, and $w = r / (\pi r + 1 - \pi)$ is the ratio to what a batch
# really is. The paper has $\pi = 1/2$; then $w = 2d$ with $d = r / (1 + r)$, the discriminator (eq. 36-37).
#
# | reads | writes | takes |
# |---|---|---|
# | nothing | `results/01_density_ratio_2d/<run>/` | about a minute |

# %%
from functools import partial

import pandas as pd
import torch

from tiwlib import gaussians, objectives, plots, ratio, runs, sampling, training
from tiwlib.batches import Observed
from tiwlib.closed_form import minimiser
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, P_DATA
from tiwlib.measures import intervals
from tiwlib.networks import point_denoiser, point_ratio, seeded
from tiwlib.noise import Clean, LogNormal, loss_weight

# %% tags=["parameters"]
run = "default"  # name of the record under results/01_density_ratio_2d/
n_biased = 10_000  # samples of the biased density
n_reference = 500  # samples of the unbiased density
reference_fraction = 0.5  # pi, share of reference samples in a batch
methods = ["dsm_obs", "iw_dsm", "tiw_dsm"]  # what is trained; the closed form is shown for all methods
seeds = 5  # repetitions, each with data, ratio and networks of its own
ratio_steps = 1000  # training length of a ratio network
steps = 600  # training length of a denoiser
n_samples = 2000  # samples of each trained model

# %%
params = runs.parameters("01_density_ratio_2d", globals())
record = runs.start("01_density_ratio_2d", run, params)
chosen = {name: objectives.method(name) for name in methods}
if seeds < 2:
    raise ValueError(f"seeds={seeds}: must be at least 2, for an interval")
torch.set_num_threads(1)  # networks this small lose time to a second thread
noise_distribution = LogNormal.for_data(
    gaussians.SIGMA_DATA
)  # EDM's distribution of sigma, for data of this scale

# %% [markdown]
# ## The exact ratio
#
# At the two modes and without noise the ratio is $0.5/0.8$ and $0.5/0.2$. Noise blurs it: at large $\sigma$ the
# two densities are nearly the same, so $r \to 1$.

# %%
modes = torch.tensor(gaussians.MODES, dtype=torch.float64)
for sigma in (0.0, 1.0, 3.0, 10.0):
    at_modes = EXACT_RATIO.log_ratio(modes, torch.full((2,), sigma)).exp()
    print(f"sigma {sigma:4.1f}: r = {at_modes[0]:.3f} at (-2,-2), {at_modes[1]:.3f} at (2,2)")
assert torch.allclose(
    EXACT_RATIO.log_ratio(modes, torch.zeros(2)).exp(), modes.new_tensor([0.625, 2.5]), atol=0.002
)

# %% [markdown]
# ## The loss, line by line
#
# This is the whole of TIW-DSM for the paper's half-and-half batches: the weight is $2d$, and the correction is the
# gradient of $\log d$, for $\log w = \log 2 + \log d$. The library's `objectives.tiw_dsm` is the same for any $\pi$.


# %%
def tiw_dsm(denoiser, x0, sigma, noise, log_ratio):
    s = sigma[:, None]  # (B, 1)
    x = (x0 + s * noise).requires_grad_()
    log_d = torch.nn.functional.logsigmoid(log_ratio(x, sigma))  # eq. 9: the logit of d is log r; (B,)
    (correction,) = torch.autograd.grad(log_d.sum(), x)  # grad log w = grad log d; (B, 2)
    w = 2 * log_d.exp()  # eq. 36-37; (B,)
    target = x0 + s**2 * correction
    error = (denoiser(x, sigma) - target).square().mean(1)  # (B,)
    return w * loss_weight(sigma, denoiser.sigma_data) * error


batch = P_BIAS.mix(P_DATA, 0.5).sample(1000, torch.Generator().manual_seed(0))
sigma, noise = noise_distribution.sample(1000), torch.randn(batch.shape)
untrained = seeded(point_denoiser, 2, gaussians.SIGMA_DATA, seed=0)
here = tiw_dsm(untrained, batch, sigma, noise, EXACT_RATIO.log_ratio)
library = objectives.tiw_dsm(untrained, batch, sigma, noise, ratio=EXACT_RATIO, reference_fraction=0.5)
assert torch.allclose(here, library, rtol=1e-4, atol=1e-5)
print("the cell above and objectives.tiw_dsm give the same loss for each of 1,000 samples")

# %% [markdown]
# ## A ratio is learned by telling the two sets apart
#
# A discriminator sees noisy samples of both sets, half and half, and learns which set they are from. Its logit is
# $\log r$ (eq. 9). One network learns all noise levels (time-dependent); a second of the same shape sees clean samples
# only (time-independent), as earlier work on GANs did.


# %%
def fit_ratio(biased, reference, noise_distribution, seed):
    network = seeded(point_ratio, 2, gaussians.SIGMA_DATA, seed=seed)
    return ratio.fit(network, biased, reference, noise_distribution, steps=ratio_steps, seed=seed)


learned = fit_ratio(*gaussians.draw_pair(n_biased, n_reference, seed=0), noise_distribution, seed=0)
figure = plots.scores_and_ratio(EXACT_RATIO, learned)
record.figure(figure, "scores_and_ratio")

# %% [markdown]
# Read it from left to right. The score of the biased density points to the wrong place: between the modes its
# arrows favour $(-2,-2)$. The gradient of $\log r$ is what is missing, it points from the crowded mode to the
# rare one, and it is large only between them. The learned ratio follows the exact one where there is data.
#
# ## What each objective converges to
#
# No network and no training here: the minimiser of every objective is known in closed form when the ratio is exact,
# and Heun's sampler draws 20,000 samples of it in float64. The weight depends on $(x,\sigma)$ alone, so it never
# moves the minimiser: *W-only* ends where plain DSM ends, *C-only* where the full objective ends. All but DSM(ref)
# are drawn from half-and-half batches here, DSM(obs) too, so plain training ends at their share, 0.35: halfway
# between the biased 0.2 and the unbiased 0.5.

# %%
n = 20_000
sample = partial(sampling.sample, shape=(2,), sigma_data=gaussians.SIGMA_DATA, batch_size=n)
closed_form = {}
for name, method in objectives.METHODS.items():
    pi = method.fraction(reference_fraction)
    denoiser = minimiser(name, EXACT_RATIO, pi)
    x = sample(denoiser, n, steps=40, dtype=torch.float64)
    closed_form[name] = gaussians.minority_share(x)
    print(f"{method.label:9s} minority share {closed_form[name]:.3f}")
print(f"Monte-Carlo error of each: {1.96 * (0.25 / n) ** 0.5:.3f} (95 %)")

observed_share = reference_fraction * P_DATA.weights[1] + (1 - reference_fraction) * P_BIAS.weights[1]
for name in ("dsm_obs", "w_only"):
    assert abs(closed_form[name] - observed_share) < 0.014, "no correction: the observed mixture"
for name in ("dsm_ref", "iw_dsm", "tiw_dsm", "c_only"):
    assert abs(closed_form[name] - 0.5) < 0.014, "the unbiased density"

# %% [markdown]
# ## The same, trained
#
# Now everything is learned from finite sets: a ratio for each kind, then a small denoiser for each method. What
# a reference set of this size can say about the share is itself uncertain: its own minority share has a
# standard deviation of $\sqrt{0.25 / n_{\rm ref}}$, and no ratio knows more than its data.

# %%
rows, samples, learned_shares = [], {}, []
for seed in range(seeds):
    biased, reference = gaussians.draw_pair(n_biased, n_reference, seed)
    distributions = {"time_dependent": noise_distribution, "time_independent": Clean()}
    wanted = {method.ratio for method in chosen.values() if method.ratio}
    ratios = {kind: fit_ratio(biased, reference, distributions[kind], seed) for kind in sorted(wanted)}
    tiw = minimiser("tiw_dsm", EXACT_RATIO, reference_fraction, ratio=ratios.get("time_dependent"))
    learned_shares.append(gaussians.minority_share(sample(tiw, n_samples, seed=seed)))
    for name, method in chosen.items():
        denoiser = seeded(point_denoiser, 2, gaussians.SIGMA_DATA, seed=seed)
        observed = Observed(biased, reference, method.fraction(reference_fraction))
        loss = method.loss(ratios.get(method.ratio), observed.reference_fraction)
        config = training.TrainingConfig(steps=steps, batch_size=256, lr=2e-3, ema_half_life=50.0)
        for _ in training.train(denoiser, loss, observed, noise_distribution, config, seed=seed):
            pass
        x = sample(denoiser, n_samples, seed=seed)
        samples.setdefault(name, x)
        share = gaussians.minority_share(x)
        rows.append({"method": name, "seed": seed, "share": share, "closed_form": closed_form[name]})
trained = pd.DataFrame(rows)

figure = plots.shares_by_objective(trained, target=0.5, observed=observed_share)
record.figure(figure, "minority_shares")

# %% tags=["nbval-ignore-output"]
summary = {}
for name, part in trained.groupby("method", sort=False):
    mean, low, high = intervals.mean_interval(part.share)
    summary[name] = {"mean": mean, "low": low, "high": high, "seeds": seeds}
    print(
        f"{chosen[name].label:9s} minority share {mean:.3f}, 95 % interval {low:.3f} to {high:.3f} over {seeds} seeds"
    )
mean, low, high = intervals.mean_interval(learned_shares)
print(f"closed-form minimiser of TIW-DSM with the learned ratio: {mean:.3f}, {low:.3f} to {high:.3f}")

# %%
first = trained[trained.seed == 0].set_index("method").share
figure = plots.samples_2d(
    {"reference set": gaussians.draw_pair(n_biased, n_reference, 0)[1]}
    | {chosen[name].label: x for name, x in samples.items()},
    {"reference set": "0.50 in truth"} | {chosen[name].label: f"{first[name]:.2f}" for name in samples},
)
record.figure(figure, "samples")

# %% [markdown]
# ## What we learned
#
# With the default parameters: the weight alone leaves the bias of the batches, the correction alone removes it, and
# the full objective has the unbiased density as its minimiser, as theorem 1 says. Trained on finite sets, IW-DSM and
# TIW-DSM both come near to the unbiased share, and these seeds do not separate them. The ratio's gradient is large only
# between the modes, where hardly any sample lies.
#
# ## The record
#
# `metrics.json` holds every number above; a run that did not get here has none.

# %%
record.finish(
    {
        "closed_form": closed_form,
        "closed_form_samples": n,
        "trained": summary,
        "shares": rows,
        "learned_ratio": {"mean": mean, "low": low, "high": high, "shares": learned_shares},
        "reference_share_std": (0.25 / n_reference) ** 0.5,
    }
)
print(f"recorded: {run}")
