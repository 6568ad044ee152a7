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
# $$\mathcal L_{\rm TIW} = \mathbb E\; \lambda(\sigma)\, w(x,\sigma)\,
# \big\| D(x;\sigma) - \big(x_0 + \sigma^2 \nabla_x \log w(x,\sigma)\big) \big\|^2, \qquad
# w = \frac{r}{\pi r + 1 - \pi}$$
#
# `method` chooses the objective. DSM(ref) and DSM(obs) leave out $w$; IW-DSM takes $w(x_0, 0)$ and no
# correction; W-only and C-only keep one half of TIW-DSM each.
#
# | reads | writes | takes |
# |---|---|---|
# | the images of the setting (notebook 04) | `results/05_train/<run>/` | two minutes on two cores |
# | or your own two folders | `checkpoints/`, while it trains | hours on a GPU at the paper's size |

# %%
import numpy as np
import pandas as pd
from IPython.display import display

from tiwlib import devices, plots, runs
from tiwlib.measures import distances, inception, judges, weights
from tiwlib.measures.judges import with_float64
from tiwlib.measures.samples import balanced, of_samples, probabilities, see, set_hash
from tiwlib.measures.shares import total_variation
from tiwlib.networks import parameters_of
from tiwlib.runs import cost, processes
from tiwlib.runs.experiment import from_parameters
from tiwlib.runs.pretrained import save_pretrained

# %% tags=["parameters"]
run = ""  # name of the record; empty: setting, method and seed
method = "tiw_dsm"  # dsm_ref, dsm_obs, iw_dsm, tiw_dsm, w_only or c_only
seed = 0  # of the split, the networks, the training and the samples
setting = "digits-lt"  # a name of `python -m tiwlib.data list`, or the path of a .json file
root = "data"  # where downloads and arrays are kept
source = ""  # a folder or zip of the setting's images, instead of a download
biased = ""  # your own biased images, a folder or zip, instead of a setting
reference = ""  # your own unbiased images, a folder or zip, beside `biased`
biased_groups = ""  # groups of your own biased images, if any: "folders" or a CSV
reference_groups = ""  # groups of your own unbiased images, if any: "folders" or a CSV
size = 64  # side in pixels to which your own pair is cropped and scaled
reference_fraction = None  # pi, a float: share of reference images in a batch; None is the method's own
alpha = 1.0  # power of the weight
ratio = "plain"  # estimator of the ratio: plain (the paper's), features, mixture, distilled or posterior
ratio_steps = 150  # training length of the ratio network (notebook 03)
ratio_lr = 3e-4  # learning rate of the ratio network
ratio_dropout = 0.5  # dropout of the ratio network
ratio_features = ""  # file of ResNet-18 weights, for a plain ratio on their frozen features; empty: none
network = "small"  # the denoiser's size: "small", or "paper" for the paper's 55 million parameters
width = 16  # channels of the small denoiser's first level
dropout = 0.0  # of the denoiser
steps = 1000  # training length of the denoiser
batch_size = 128  # images a step
micro_batch = 0  # images at a time on each device, where a batch does not fit into its memory; 0: all
lr = 1e-3  # learning rate of the denoiser
warmup = 50  # steps until the learning rate is reached
lr_decay = False  # let the learning rate fall to zero along half a cosine
ema_half_life = None  # of the average of the weights, in steps, a float; None is a fourteenth of the training
flip = False  # mirror half of the images (not for digits)
precision = "fp32"  # or "bf16": matrix products and convolutions in bfloat16
compiled = False  # compile the networks first: takes minutes, pays on a GPU in long runs
device = ""  # "" takes a GPU if there is one; or "cpu", "cuda", "cuda:1"
num_processes = 1  # GPUs (or CPU processes) that share a batch, by torchrun
checkpoint_minutes = 5.0  # between two saved states
n_samples = 1000  # images drawn at the end
sampling_steps = 18  # levels of the Heun sampler; the paper takes 40 for CelebA
feature_extractor = ""  # of the distances: inception, classifier or none; empty is what suits the data
inception_weights = ""  # path of weights-inception-2015-12-05-6726825d.pth; empty: torch-fidelity's download

# %%
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
# Fitted once for each split and cached in `checkpoints/`: methods that need the same one share it. The network
# sees 80 % of both sets; the rest tells how far the training loss can be trusted. How its weights spread over the
# biased images, at several noise levels, goes into `weights.csv` of the record.

# %%
fitted = experiment.ratio()
record.stages |= experiment.costs
if fitted:
    figure = plots.fit_history({chosen.ratio: fitted.history}, {chosen.ratio: fitted.step})
    display(record.figure(figure, "ratio_fit"))
    levels = {"sigmas": (0.0,)} if chosen.ratio == "time_independent" else {}
    spread = weights.weights_of(fitted, problem.biased, pi, **levels, device=on)
    spread.to_csv(record.folder / "weights.csv", index=False)

# %% [markdown]
# ## Training
#
# A run that was stopped goes on from its last state in `checkpoints/`. With `num_processes` above 1 the same loop
# runs in so many processes under torchrun first, and here the finished state is resumed.

# %%
denoiser = experiment.denoiser()
with cost.stage(record.stages, experiment.stage, on):
    if num_processes > 1:
        processes.launch(params, experiment.folder)
    reports = list(experiment.train(denoiser, fitted))
figure = plots.training_loss([r.step for r in reports], [r.loss for r in reports], method)
display(record.figure(figure, "training_loss"))

# %% [markdown]
# ## Samples
#
# Below the samples, the training image nearest to each: a model that has memorised its few images draws them
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
plots.save_first(samples, record.folder / "samples.png")
figure = plots.image_grid(samples[12 : 12 + 80], 16)
display(record.figure(figure, "samples"))

# %% [markdown]
# ## Measures
#
# A classifier of the groups, trained on all of the data, names the group of every sample. Distances between sets
# are taken to the largest part of the data that has the reference set's shares, in the features of Inception (FID,
# KID) or of that classifier. The latter are *not* FID and must not be read beside it; their keys have other names.
#
# The same distances of the reference set and of the biased set stand beside those of the samples. A model that
# copies its reference images has their Frechet distance, which may be low: recall and the nearest training image
# tell it apart.

# %% tags=["nbval-ignore-output"]
judge, target, measured = None, None, {}
measured_with = {
    "seed": seed,
    "training_images": {"count": len(seen), "sha256": set_hash(data, seen)},
}
if has_groups:
    with cost.stage(record.stages, "classifier", on):
        judge, group_classifier = judges.of_data(data, device=on)
    shares = problem.images.shares()
    target = shares["reference"]
    measured |= {
        "classifier_accuracy": group_classifier.accuracy,
        "group_names": list(data.group_names),
        "biased_total_variation": total_variation(shares["biased"], target),
    }
    record.hashes["classifier"] = group_classifier.sha256
    groups = probabilities(judge, samples).argmax(1)
    plots.save_examples(samples, groups, len(target), record.folder / "samples_by_group.png")
    print(f"classifier: accuracy {group_classifier.accuracy:.3f} on held-out images")

# %% tags=["nbval-ignore-output"]
exact, by_inception = with_float64(on), extractor == "inception"
whose = {"judge": judge, "extractor": inception.Inception(inception_file, exact) if by_inception else None}
real_rows = balanced(data.groups, target) if has_groups else split.reference
with cost.stage(record.stages, "measures", exact):
    real = see(data.images, real_rows, **whose) if extractor != "none" else None
    measures = of_samples(
        samples, **whose, real=real, training=data.images[seen], target=target, seed=seed, device=on
    )
if real:
    sets = {"reference": split.reference, "biased": split.biased}
    context = {
        name: distances.between(
            see(data.images, rows, **whose).features, real.features, inception=by_inception, seed=seed
        )
        for name, rows in sets.items()
    }
    table = {"samples": {name: measures[name] for name in context["biased"]}, **context}
    display(pd.DataFrame(table).T.round(3))
    measured |= {"n_real": len(real_rows), "context": context}
    measured_with |= {
        "real": {
            "name": f"{data.name}, " + ("the reference set's shares" if has_groups else "reference set"),
            "count": len(real_rows),
            "sha256": set_hash(data, real_rows),
        },
        "feature_extractor": {
            "name": extractor,
            "sha256": inception.SHA256 if by_inception else group_classifier.sha256,
            "dtype": "float64",
        },
    }
else:
    towards = "" if has_groups else ", to the reference set"
    print(f"no distances between sets: -p feature_extractor inception takes them{towards}")
for name in ("total_variation", "fairness_discrepancy", "nearest"):
    if name in measures:
        print(f"{name:24s} {measures[name]:.3f}")

# %%
if has_groups:
    label = f"samples of {chosen.label}"
    figure = plots.group_shares(
        {
            "biased set": shares["biased"],
            "reference set": target,
            label: np.array(measures["group_shares"]),
        },
        data.group_names,
        {label: measures["group_intervals"]},
    )
    display(record.figure(figure, "group_shares"))
    variation = measured["biased_total_variation"]
    print(f"total variation of the biased set from the reference set: {variation:.3f}")

# %% [markdown]
# ## The record

# %%
folder = save_pretrained(denoiser, record.folder / "denoiser")  # a diffusers folder
record.hashes |= experiment.hashes
record.hashes["denoiser"] = runs.sha256(folder / "diffusion_pytorch_model.safetensors")
np.save(record.folder / "samples.npy", samples)
history = pd.DataFrame({"step": [r.step for r in reports], "loss": [r.loss for r in reports]})
history.to_csv(record.folder / "training.csv", index=False)
measured |= {
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
    "measured_with": measured_with,
}
record.finish(measured, device=devices.named(on))
experiment.forget()  # a repetition trains again
print(f"recorded: {run}")
