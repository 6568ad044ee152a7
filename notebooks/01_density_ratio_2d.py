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
# 20 % at $(2,2)$; the unbiased one has half at each. With noise both stay mixtures, so every score and every ratio
# below is known in closed form, and what is learned can be compared with the truth.
#
# | reads | writes | takes |
# |---|---|---|
# | nothing | `results/01_density_ratio_2d/<run>/` | about two minutes of one thread |

# %% tags=["bookkeeping"]
# In Colab a notebook comes alone: this fetches the repository. Where the library is installed it does nothing.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("tiwlib") is None:
    address = input("Address of the repository, as https://github.com/OWNER/NAME: ")
    subprocess.run(["git", "clone", "--depth", "1", address, "companion"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-e", "companion"], check=True)
    sys.path.insert(0, "companion")

# %% tags=["bookkeeping"]
from functools import cache
from types import SimpleNamespace

import pandas as pd
import torch
from IPython.display import display

from tiwlib import gaussians, objectives, plots, ratio, runs, training
from tiwlib.batches import Observed
from tiwlib.closed_form import minimiser
from tiwlib.gaussians import EXACT_RATIO, P_BIAS, P_DATA
from tiwlib.measures import intervals, two_d
from tiwlib.networks import point_denoiser, point_ratio, seeded
from tiwlib.noise import Clean, LogNormal, loss_weight

# %% tags=["parameters"]
run = "default"  # name of the record under results/01_density_ratio_2d/
n_biased = 10_000  # samples of the biased density
n_reference = 500  # samples of the unbiased density
reference_fraction = 0.5  # pi, share of reference samples in a batch
methods = ["dsm_ref", "dsm_obs", "iw_dsm", "tiw_dsm", "w_only", "c_only"]  # the objectives that are trained
seeds = 4  # repetitions, each with data, ratios and networks of its own
ratio_steps = 1000  # training length of a ratio network
steps = 600  # training length of a denoiser
n_samples = 2000  # samples of each trained model

# %% tags=["bookkeeping"]
params = runs.parameters("01_density_ratio_2d", globals())
record = runs.start("01_density_ratio_2d", run, params)
chosen = {name: objectives.method(name) for name in methods}
if seeds < 2:
    raise ValueError(f"seeds={seeds}: must be at least 2, for an interval")
torch.set_num_threads(1)  # networks this small lose time to a second thread

# %% [markdown]
# ## Notation
#
# | symbol | meaning |
# |---|---|
# | $x_0$, $x = x_0 + \sigma n$ | a clean sample; the same with noise of level $\sigma$, where $n$ is standard normal |
# | $p^\sigma = p * \mathcal N(0, \sigma^2 I)$ | a density with noise: $p_{\rm bias}$ biased, $p_{\rm data}$ unbiased |
# | $\nabla \log p^\sigma(x)$ | its score |
# | $D(x;\sigma)$ | the denoiser, an estimate of $\mathbb E[x_0 \mid x]$; its score is $(D - x)/\sigma^2$ |
# | $d(x,\sigma)$ | the discriminator: the probability that $x$ is a reference sample with noise |
# | $r(x,\sigma)$ | the density ratio $p^\sigma_{\rm data}(x) / p^\sigma_{\rm bias}(x)$ |
# | $\pi$ | the share of reference samples in a batch, one half in the paper |
# | $w(x,\sigma) = r / (\pi r + 1 - \pi)$ | the weight: $p^\sigma_{\rm data}$ over the density of a batch |
# | $\lambda(\sigma)$ | EDM's weight of a noise level in the loss |
#
# The page [Notation and glossary](../book/notation.md) has all symbols of this companion. DSM is denoising score
# matching, plain training: DSM(ref) trains on the reference set alone, DSM(obs) on all that is observed. IW-DSM weights
# clean samples by $w(x_0, 0)$. TIW-DSM, the paper's method, weights noisy ones and corrects their target:
#
# $$\begin{aligned}
# \mathcal L_{\rm TIW} &= \mathbb E\; \lambda(\sigma)\, w(x,\sigma)\, \| D(x;\sigma) - \text{target} \|^2, \\
# \text{target} &= x_0 + \sigma^2 \nabla_x \log w(x,\sigma) \end{aligned}$$
#
# W-only is TIW-DSM without the correction $\sigma^2 \nabla_x \log w$, C-only is TIW-DSM without the weight $w$.
#
# ## The exact ratio
#
# At the two modes and without noise the ratio is $0.5/0.8$ and $0.5/0.2$. With more noise the two densities become more
# alike, so $r \to 1$.

# %%
modes = torch.tensor(gaussians.MODES, dtype=torch.float64)
for sigma in (0.0, 1.0, 3.0, 10.0):
    at_modes = EXACT_RATIO.log_ratio(modes, torch.full((2,), sigma)).exp()
    print(f"sigma {sigma:4.1f}: r = {at_modes[0]:.3f} at (-2,-2), {at_modes[1]:.3f} at (2,2)")
assert torch.allclose(
    EXACT_RATIO.log_ratio(modes, torch.zeros(2)).exp(), modes.new_tensor([0.625, 2.5]), atol=0.002
)

# %% mystnb={"image": {"alt": "Both scores look alike; the ratio's gradient points from crowded to rare mode"}}
figure = plots.scores_and_ratio(EXACT_RATIO)
display(record.figure(figure, "scores_and_ratio"))

# %% [markdown]
# **Figure 1.** The densities, their scores and their ratio, all exact (the paper's figures 2 and 3 show this example).
# Crosses mark the two modes. Panels of a kind share one scale of colours and one of arrows; arrows are in units of the
# width of a mode, $\sqrt{1 + \sigma^2}$. The two scores can hardly be told apart by eye. Their difference is the
# gradient of $\log r$ on the right: it points from the crowded mode to the rare one, and at small noise it is large
# only between them.
#
# ## The loss, line by line
#
# This is the whole of TIW-DSM for the paper's half-and-half batches. The weight is $w = 2d$ (eq. 36-37), and the
# correction is the gradient of $\log w = \log 2 + \log d$. The library's `objectives.tiw_dsm` takes any $\pi$.


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


noise_distribution = LogNormal.for_data(gaussians.SIGMA_DATA)  # EDM's distribution of sigma
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
# A discriminator $d$ sees samples of both sets, half and half, and learns which set each is from. Its logit is
# $\log r$:
#
# $$r(x,\sigma) = \frac{d(x,\sigma)}{1 - d(x,\sigma)} \tag{9}$$
#
# One network learns all noise levels: the time-dependent ratio. A second of the same shape sees clean samples alone:
# the time-independent ratio of earlier work on GANs (Choi et al. 2020). IW-DSM uses the second, TIW-DSM the first.


# %%
@cache
def learned_ratios(seed):
    biased, reference = gaussians.draw_pair(n_biased, n_reference, seed)
    distributions = {"time_dependent": noise_distribution, "time_independent": Clean()}
    networks = {kind: seeded(point_ratio, 2, gaussians.SIGMA_DATA, seed=seed) for kind in distributions}
    return {
        kind: ratio.fit(networks[kind], biased, reference, distributions[kind], steps=ratio_steps, seed=seed)
        for kind in distributions
    }


# %% mystnb={"image": {"alt": "Only the time-dependent learned ratio flattens with noise as the exact one does"}}
time_dependent, time_independent = learned_ratios(0).values()
# Asked at the level 0 whatever the noise, as IW-DSM asks it.
at_zero = SimpleNamespace(log_ratio=lambda x, sigma: time_independent.log_ratio(x, 0 * sigma))
shown = {"exact": EXACT_RATIO, "time_dependent": time_dependent, "time_independent": at_zero}
figure = plots.log_ratios(shown)
display(record.figure(figure, "log_ratios"))

# %% [markdown]
# **Figure 2.** The exact log ratio, and both learned ones (seed 0), with their gradients; scales as in figure 1. The
# time-dependent ratio becomes flat with noise, as the exact one does. The time-independent ratio was trained at
# $\sigma = 0$ alone and is the same in every row. At small noise both learned ratios change more slowly from mode to
# mode than the exact one. Notebook [03](03_ratio_accuracy.ipynb) measures the errors.
#
# ## What each objective converges to
#
# No network is trained here: with the exact ratio the minimiser of every objective is known in closed form (notebook
# [02](02_what_each_objective_learns.ipynb) derives it). The share of the minority mode is decided along the diagonal,
# so the sampler starts at 2,000 quantiles of the noise there, and no random draw enters. All but DSM(ref) see
# half-and-half batches here, DSM(obs) too: their minority share is 0.35, halfway between the biased 0.2 and the
# unbiased 0.5.

# %%
closed_form = {}
for name, method in objectives.METHODS.items():
    closed_form[name] = two_d.limit_share(minimiser(name, EXACT_RATIO, method.fraction(reference_fraction)))
    print(f"{method.label:9s} minority share {closed_form[name]['share']:.3f}")

batch_share = reference_fraction * P_DATA.weights[1] + (1 - reference_fraction) * P_BIAS.weights[1]
for name in ("dsm_obs", "w_only"):
    assert abs(closed_form[name]["share"] - batch_share) < 0.003, "no correction: the share of the batches"
for name in ("dsm_ref", "iw_dsm", "tiw_dsm", "c_only"):
    assert abs(closed_form[name]["share"] - 0.5) < 0.003, "the unbiased density"

# %% [markdown]
# The weight depends on $(x,\sigma)$ alone, so it does not move the minimiser: W-only ends where plain training ends,
# and C-only where the full objective ends. The sampler has a finite number of steps, and a tail of each mode lies on
# the other one's side: hence 0.351 in place of 0.35.
#
# ## The same, trained
#
# Now everything is learned from finite sets: both ratios, then a small denoiser for each method. The minority share of
# a reference set of $n_{\rm ref}$ samples has itself a standard deviation of $\sqrt{0.25 / n_{\rm ref}}$, which is
# 0.022 for 500.

# %%
rows, samples = [], {}
for seed in range(seeds):
    biased, reference = gaussians.draw_pair(n_biased, n_reference, seed)
    for name, method in chosen.items():
        denoiser = seeded(point_denoiser, 2, gaussians.SIGMA_DATA, seed=seed)
        observed = Observed(biased, reference, method.fraction(reference_fraction))
        loss = method.loss(learned_ratios(seed).get(method.ratio), observed.reference_fraction)
        config = training.TrainingConfig(steps=steps, batch_size=256, lr=2e-3, ema_half_life=50.0)
        for _ in training.train(denoiser, loss, observed, noise_distribution, config, seed=seed):
            pass
        x = two_d.drawn(denoiser, n_samples, steps=18, seed=seed, dtype=torch.float32)
        samples.setdefault(name, x)
        rows.append({"method": name, "seed": seed, "share": gaussians.minority_share(x)})
trained = pd.DataFrame(rows)
trained["closed_form"] = [closed_form[name]["share"] for name in trained.method]

# %% mystnb={"image": {"alt": "DSM(obs) and W-only stay near 0.35, the four others come near 0.5"}}
figure = plots.shares_by_objective(trained, target=0.5, observed=batch_share)
display(record.figure(figure, "minority_shares"))

# %% tags=["nbval-ignore-output"]
summary = {}
for name, part in trained.groupby("method", sort=False):
    mean, low, high = intervals.mean_interval(part.share)
    summary[name] = {"mean": mean, "low": low, "high": high, "seeds": seeds}
    cell = summary[name] | {"seeds": part.share.tolist()}
    print(f"{chosen[name].label:9s} minority share {intervals.as_text(cell)}")

# %% [markdown]
# **Figure 3.** The share of the minority mode among the samples of each trained method: a mark for each seed, beside
# them the mean with Student's 95 % interval, and the closed form as a diamond. The weight alone leaves the share of the
# batches; the correction alone removes the bias as the full objective does. In the paper's ablation on images W-only is
# behind plain training at 5 % reference images, and C-only comes within 0.2 of TIW-DSM's FID at each reference size.

# %%
anchors = (P_BIAS.weights[1], batch_share, 0.5)
for name, cell in summary.items():
    nearest = min(anchors, key=lambda share: abs(share - cell["mean"]))
    near = abs(cell["mean"] - nearest) < 0.05
    print(f"{chosen[name].label:9s} " + (f"within 0.05 of {nearest:.2f}" if near else f"{cell['mean']:.2f}"))

# %% mystnb={"image": {"alt": "Only DSM(obs) and W-only have fewer points in the minority mode"}}
sets = dict(zip(("biased set", "reference set"), gaussians.draw_pair(n_biased, n_reference, 0), strict=True))
sets["biased set"] = sets["biased set"][:n_samples]  # as many points as of each model
clouds = sets | {chosen[name].label: x for name, x in samples.items()}
figure = plots.samples_2d(clouds, {name: f"{gaussians.minority_share(x):.2f}" for name, x in clouds.items()})
display(record.figure(figure, "samples"))

# %% [markdown]
# **Figure 4.** Samples of seed 0: both training sets, then each method, with the share of the minority mode (red).
# DSM(obs) and W-only keep a crowded mode; the other four fill both modes alike. IW-DSM and TIW-DSM cannot be told apart
# in this picture.
#
# ## What we learned
#
# With the default parameters and the exact ratio, the weight alone leaves the bias of the batches, the correction alone
# removes it, and the full objective has the unbiased density as its minimiser, as theorem 1 says. Trained with learned
# ratios, each method ends on average within 0.05 of its closed form, and these seeds do not separate IW-DSM from
# TIW-DSM. At small noise the ratio's gradient is large only between the modes, where hardly any sample lies.

# %% tags=["bookkeeping"]
record.finish({"closed_form": closed_form, "trained": summary, "shares": rows})
print(f"recorded: {run}")
