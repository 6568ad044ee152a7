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
# # 5. Train one method on one split
#
# **Question.** What does a diffusion model trained by this method draw: which groups, how well, and is it new?
#
# $$\begin{aligned}
# \mathcal L_{\rm TIW} &= \mathbb E\; \lambda(\sigma)\, w(x,\sigma)\, \| D(x;\sigma) - \text{target} \|^2, \\
# \text{target} &= x_0 + \sigma^2 \nabla_x \log w(x,\sigma) \end{aligned}$$
#
# Here $D$ is the denoiser, $x = x_0 + \sigma n$ an image with noise of level $\sigma$, and $w = r / (\pi r + 1 - \pi)$
# with the discriminator's density ratio $r$ (the paper's eq. 9) and the share $\pi$ of reference images in a batch. For
# $\pi = 1/2$ it is the paper's $w = 2d$ (eq. 36-37). [Notebook 01](01_density_ratio_2d.ipynb) has the loss line by
# line, the [notation](../book/notation.md) every symbol. `method` chooses the objective: DSM(ref) and DSM(obs) leave
# out $w$, IW-DSM takes $w(x_0, 0)$ and no correction, W-only and C-only keep one half of TIW-DSM each.
#
# | reads | writes | takes |
# |---|---|---|
# | the images of the setting (notebook 04) | `results/05_train/<run>/` | four minutes of one thread |
# | or your own two folders | `checkpoints/`, while it trains | hours on a GPU at the paper's size |

# %%
import numpy as np
import pandas as pd
from IPython.display import display

from tiwlib import devices, plots, runs
from tiwlib.measures import distances, inception, weights
from tiwlib.networks import parameters_of
from tiwlib.runs import cost, processes
from tiwlib.runs.experiment import from_parameters
from tiwlib.runs.measured import report
from tiwlib.runs.pretrained import save_pretrained

# %% tags=["parameters"]
run = ""  # name of the record; empty: setting, method and seed
method = "tiw_dsm"  # dsm_ref, dsm_obs, iw_dsm, tiw_dsm, w_only or c_only
seed = 0  # seed of the split, the networks, the training and the samples
setting = "digits-lt"  # a name of `python -m tiwlib.data list`, or the path of a .json file
root = "data"  # where downloads and arrays are kept
source = ""  # a folder or zip of the setting's images, instead of a download
biased = ""  # your own biased images, a folder or zip, instead of a setting
reference = ""  # your own unbiased images, a folder or zip, together with `biased`
biased_groups = ""  # groups of your own biased images, if any: "folders" or a CSV
reference_groups = ""  # groups of your own unbiased images, if any: "folders" or a CSV
size = 64  # side in pixels to which your own pair is cropped and scaled
reference_fraction = None  # pi, a float: share of reference images in a batch; None is the method's own
alpha = 1.0  # power of the weight
ratio = "plain"  # estimator of the ratio: plain (the paper's), features, mixture, distilled or posterior
base_steps = None  # an int: training length of the plain denoiser that such a ratio may need; None is `steps`
ratio_steps = 150  # training length of the ratio network (notebook 03)
ratio_lr = 3e-4  # learning rate of the ratio network
ratio_dropout = 0.5  # dropout of the ratio network
ratio_features = ""  # file of ResNet-18 weights, for a plain ratio on their frozen features; empty: none
network = "small"  # the denoiser's size: "small", or "paper" for the paper's 55 million parameters
width = 16  # channels of the small denoiser's first level
dropout = 0.0  # dropout of the denoiser
steps = 2000  # training length of the denoiser
batch_size = 128  # images in a training step of the denoiser
micro_batch = 0  # images of a batch at a time on each device, where all do not fit into its memory; 0: all
lr = 4e-3  # learning rate of the denoiser
warmup = 50  # steps until the denoiser's learning rate is reached
lr_decay = True  # let the denoiser's learning rate fall to zero along half a cosine
ema_half_life = None  # half-life of the weights' average in steps, a float; None: 1/14 of the training
sigma_data = 0.75  # standard deviation of the images that training assumes: of the digits; EDM's for photographs is 0.5
noise_mean = -0.4  # mean of log sigma in training; EDM's for photographs is -1.2
noise_std = 1.0  # standard deviation of log sigma in training; EDM's for photographs is 1.2
flip = False  # mirror half of the training images (not for digits)
precision = "fp32"  # or "bf16": matrix products and convolutions in bfloat16
compiled = False  # compile the networks first: takes minutes, pays on a GPU in long runs
device = ""  # "" takes a GPU if there is one; or "cpu", "cuda", "cuda:1"
num_processes = 1  # GPUs (or CPU processes) that share a batch, by torchrun
checkpoint_minutes = 5.0  # minutes between two saved states
n_samples = 1000  # images drawn at the end
sampling_steps = 40  # levels of the Heun sampler; the paper takes 18 for CIFAR-10 and 40 for CelebA
feature_extractor = ""  # features of the distances: inception, classifier or none; empty: what suits the data
inception_weights = ""  # path of weights-inception-2015-12-05-6726825d.pth; empty: torch-fidelity's download

# %% tags=["bookkeeping"]
params = runs.parameters("05_train", globals())
experiment = from_parameters(params)
problem, chosen, on = experiment.problem, experiment.method, experiment.device
data, split, pi = problem.images.data, problem.images.split, experiment.reference_fraction
has_groups = data.groups is not None
extractor = inception.choose(feature_extractor, data, n_samples)  # whose features; checked before training
if inception_weights and extractor != "inception":
    raise ValueError(
        f"inception_weights={inception_weights!r}: the distances are not taken in Inception's features"
    )
inception_file = None
if extractor == "inception":
    inception_file = inception.weights(inception_weights and runs.PROJECT / inception_weights)
run = experiment.name
record = runs.start("05_train", run, params)
print(
    f"{split.setting}: {len(split.biased):,} biased and {len(split.reference):,} reference images, {chosen.label}"
)

# %% [markdown]
# ## The ratio
#
# The discriminator is fitted once for each split and cached in `checkpoints/`: methods that need the same ratio share
# it. The network sees 80 % of both sets, the rest is held out. How the weights spread over the biased images, at
# several noise levels, goes into `weights.csv` of the record.
#
# *Expect* the held-out loss to fall below chance level for as long as the network learns something that carries over to
# images which it has not seen.

# %%
fitted = experiment.ratio()
record.stages |= experiment.costs
if fitted:
    kind = chosen.ratio if ratio == "plain" else "time_dependent"  # other estimators give one for all levels
    figure = plots.fit_history({kind: fitted.history}, {kind: fitted.step})
    display(record.figure(figure, "ratio_fit"))
    levels = {"sigmas": (0.0,)} if chosen.ratio == "time_independent" else {}
    spread = weights.weights_of(fitted, problem.biased, pi, **levels, device=on)
    spread.to_csv(record.folder / "weights.csv", index=False)

# %% [markdown]
# **Figure: fitting the ratio.** Cross-entropy on training batches and on held-out images. The dotted line marks the
# step whose weights are used: a fixed length, not the best step. With the default parameters the network has 40
# reference images; the held-out loss stays close to chance level and rises again, while the training loss falls. The
# paper stops its discriminator early too, and gives it the features of an ImageNet classifier.
#
# ## Training
#
# A run that was stopped goes on from its last state in `checkpoints/`. With `num_processes` above 1 that many processes
# train first, under torchrun, and here their finished state is resumed. *Expect* the loss to fall fast and then to
# level off.

# %%
denoiser = experiment.denoiser()
with cost.stage(record.stages, experiment.stage, on):
    if num_processes > 1:
        processes.launch(params, experiment.folder)
    reports = list(experiment.train(denoiser, fitted))
figure = plots.training_loss([r.step for r in reports], [r.loss for r in reports], method)
display(record.figure(figure, "training_loss"))

# %% [markdown]
# **Figure: training loss.** Each point is the mean since the last report. The weight is part of the loss, so losses of
# two methods must not be compared.
#
# ## Samples
#
# *Expect* images that look like the data and are copies of none: a model that has memorised its images draws them
# again.

# %%
with cost.stage(record.stages, "sampling", on):
    samples = processes.samples(experiment, denoiser)
assert (
    samples.shape == (n_samples, *data.images.shape[1:]) and len(np.unique(samples, axis=0)) > n_samples / 2
)
seen = experiment.training_images()
_, nearest = distances.nearest(samples[:12], data.images[seen], device=on)
rows = [samples[:12], data.images[seen[nearest]]]
figure = plots.image_grid(np.concatenate(rows), 12, ["sample", "nearest"])
display(record.figure(figure, "nearest"))

# %% [markdown]
# **Figure: copies or not.** The first twelve samples, and below each its nearest training image. Where both are the
# same the model copies; their distance, averaged over all samples, is `nearest` below.

# %%
plots.save_first(samples, record.folder / "samples.png")
figure = plots.image_grid(samples[12 : 12 + 80], 16)
display(record.figure(figure, "samples"))

# %% [markdown]
# **Figure: samples.** The next eighty samples in the order in which they were drawn. Nothing is picked. How many
# samples lie among the real images is *precision* below.
#
# ## Measures
#
# A classifier of the groups, trained on all of the data, names the group of every sample. Distances are taken to the
# largest part of the data that has the reference set's shares, in the features of Inception (FID, KID) or of that
# classifier; the latter are *not* FID, and the record has them under other names. Those of the reference set and of the
# biased set stand beside those of the samples. A model that copies its reference images has their Frechet distance,
# which may be low: recall and the nearest training image tell it apart. [Measures](../docs/measures.md) defines each.

# %% tags=["nbval-ignore-output"]
found = report(experiment, samples, extractor, inception_file, stages=record.stages)
measures = found.measures
if has_groups:
    print(f"classifier: accuracy {found.about['classifier_accuracy']:.3f} on held-out images")
    plots.save_examples(samples, found.groups, len(data.group_names), record.folder / "samples_by_group.png")
if found.context:
    display(plots.distance_table({"samples": measures, **found.context}))
else:
    print("no distances between sets: -p feature_extractor inception takes them")
for name in ("total_variation", "fairness_discrepancy", "nearest"):
    if name in measures:
        print(f"{name:24s} {measures[name]:.3f}")

# %% [markdown]
# **Table: distances to the real images.** The kernel distance is the mean over random subsets, "+-" its standard
# deviation over them. It estimates a squared distance without bias, so between sets that are alike it scatters around
# 0 and may be negative. With the default parameters a subset of the 50 reference images has 25, and that row is noise.

# %%
if has_groups:
    shares, label = problem.images.shares(), f"samples of {chosen.label}"
    figure = plots.group_shares(
        {
            "biased set": shares["biased"],
            "reference set": shares["reference"],
            label: np.array(measures["group_shares"]),
        },
        data.group_names,
        {label: measures["group_intervals"]},
    )
    display(record.figure(figure, "group_shares"))
    variation = found.about["biased_total_variation"]
    print(f"total variation of the biased set from the reference set: {variation:.3f}")

# %% [markdown]
# **Figure: shares of the groups.** Bars over the samples' shares are Wilson's 95 % intervals of counting the samples
# of this one run, not of seeds. With the default parameters the total variation of the samples is between 0 and that of
# the biased set: fairer, not fair. The paper reports the same for the four subgroups of CelebA. One run says little;
# [notebook 06](06_results.ipynb) puts all methods and seeds side by side.
#
# ## What we learned

# %% tags=["nbval-ignore-output", "bookkeeping"]
if has_groups:
    distance = f"{measures['total_variation']:.2f}"
    print(
        f"1. {chosen.label} draws groups at a total variation of {distance} from the reference set's shares;"
    )
    print(f"   that of the biased set is {variation:.2f}.")
if found.context:
    print(
        f"2. {measures['precision']:.0%} of the samples lie among the real images (precision), and the samples"
    )
    print(f"   cover {measures['recall']:.0%} of the real images (recall).")
print(
    f"3. The mean distance of a sample to its nearest training image is {measures['nearest']:.2f}, in root mean"
)
print("   square over pixels; that of a copy is 0.")

# %% [markdown]
# A test runs this notebook anew and compares these two numbers. They are rounded, for the last digits depend on the
# processor.

# %%
if has_groups:
    left = measures["total_variation"] / variation
    print(f"share of the bias that is left, in fifths: {round(5 * left) / 5:.1f}")
if found.context:
    print(f"precision, in fifths: {round(5 * measures['precision']) / 5:.1f}")

# %% tags=["bookkeeping"]
folder = save_pretrained(denoiser, record.folder / "denoiser")  # a diffusers folder
record.hashes |= experiment.hashes | found.hashes
record.hashes["denoiser"] = runs.sha256(folder / "diffusion_pytorch_model.safetensors")
np.save(record.folder / "samples.npy", samples)
history = pd.DataFrame({"step": [r.step for r in reports], "loss": [r.loss for r in reports]})
history.to_csv(record.folder / "training.csv", index=False)
metrics = found.about | {
    **measures,
    "method": chosen.label,
    "setting": split.setting,
    "reference_fraction": pi,
    "n_biased": len(problem.biased),
    "n_reference": len(problem.reference),
    "n_samples": n_samples,
    "parameters": {"denoiser": parameters_of(denoiser)},
    "heldout_ratio_loss": fitted.heldout_loss if fitted else None,
    "final_loss": reports[-1].loss if reports else None,
}
record.finish(metrics, device=devices.named(on))
experiment.forget()  # a repetition trains again
print(f"recorded: {run}")
