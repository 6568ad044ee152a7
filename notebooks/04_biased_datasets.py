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
# # 4. Biased data sets
#
# **Question.** What exactly is in the biased set, what in the reference set, and is it the same on every
# machine?
#
# A setting takes two disjoint sets out of a data set whose images have groups $g$: many images $\mathcal D_{\rm bias}$
# with biased shares $p_{\rm bias}(g)$, and few images $\mathcal D_{\rm ref}$ with equal ones. For a long tail of $G$
# groups, numbered from 0, whose last one has $\rho$ times the images of the first,
#
# $$p_{\rm bias}(g) \propto \rho^{\,g/(G-1)}, \qquad p_{\rm ref}(g) = 1/G .$$
#
# The size of the reference set is given relative to the biased set, 5 to 50 % in the paper. The groups are used only to
# draw and to measure: training sees nothing but which set an image is in. The paper has long tails of CIFAR-10 and
# CIFAR-100, FFHQ by gender, and CelebA by gender and hair. The settings of digits have the same shape at sizes that a
# laptop can train, with the hue of a digit in gender's place (`digits-colour-90`). The page
# [Notation and glossary](../book/notation.md) has the other symbols.
#
# | reads | writes | takes |
# |---|---|---|
# | the setting's images, fetched if missing | `results/04_biased_datasets/<run>/` | seconds |
# | or your own folders or zips | an array below `root`, once per data set | a minute for 60,000 files |
#
# `python -m tiwlib.data list` names the settings. `data/README.md` says where the data come from, and how
# to give your own: a biased and a reference folder without groups, or one folder with groups.

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
import numpy as np
from IPython.display import display

from tiwlib import plots, runs
from tiwlib.data import bias, manifest, settings
from tiwlib.measures.shares import total_variation

# %% tags=["parameters"]
run = "default"  # name of the record under results/04_biased_datasets/
setting = "digits-lt"  # a name from `python -m tiwlib.data list`, or the path of a .json file
root = "data"  # where downloads and arrays are kept
source = ""  # a folder or zip of the setting's images, instead of a download
biased = ""  # your own biased images, a folder or zip, instead of a setting
reference = ""  # your own unbiased images, a folder or zip, beside biased ones
biased_groups = ""  # groups of your biased images, if any: "folders" or a CSV
reference_groups = ""  # groups of your unbiased images, if any: "folders" or a CSV
size = 64  # side in pixels to which your own pair is cropped and scaled
seed = 0  # seed of the draw
shares = [0.05, 0.1, 0.25, 0.5]  # sizes of the nested reference sets that are shown

# %% tags=["bookkeeping"]
params = runs.parameters("04_biased_datasets", globals())
record = runs.start("04_biased_datasets", run, params)
images = bias.from_parameters(params, runs.PROJECT, download=True)
data, split = images.data, images.split
named = biased == ""  # else it is the reader's own pair, where nothing is left to draw
has_groups = data.groups is not None
record.hashes |= {"split": split.sha256, "images": data.sha256}

# %% [markdown]
# ## The two sets

# %%
channels, height, width = data.images.shape[1:]
print(f"{split.setting}: {data.name}, {len(data.images):,} images of {channels} x {height} x {width}")
print(f"biased {len(split.biased):,}, reference {len(split.reference):,}, seed {split.seed}")
print(f"split sha256 {split.sha256}")
assert not np.intersect1d(split.biased, split.reference).size, "disjoint"
metrics = {
    "data": data.name,
    "images": len(data.images),
    "biased": len(split.biased),
    "reference": len(split.reference),
    "split_sha256": split.sha256,
}

# %% mystnb={"image": {"alt": "Most biased images are of the first groups; the reference set shows all alike"}}
COLUMNS, ROWS = 16, 3
rows, titles = [], []
for name, indices in {"biased": split.biased, "reference": split.reference}.items():
    n = min(len(indices), COLUMNS * ROWS)
    chosen = data.images[indices[np.linspace(0, len(indices) - 1, n).astype(int)]]
    blank = np.full((-n % COLUMNS, *chosen.shape[1:]), 255, np.uint8)  # the next set begins in a new row
    rows += [chosen, blank]
    titles += [name] * -(-n // COLUMNS)
figure = plots.image_grid(np.concatenate(rows), COLUMNS, titles)
display(record.figure(figure, "images"))

# %% [markdown]
# **Figure 1.** Images at equal distances through each set. Both sets stand sorted by group, so where there are groups,
# the space that a group takes here is its share. With the default setting most of the biased images are of the first
# digits, and the reference set has as many of each.
#
# ## Shares of the groups
#
# The distance between biased and reference shares is the total variation, half the sum of absolute differences: 0 where
# both are the same, 1 where they have no group in common. Within a group the two sets do not differ, so it also bounds
# how well they can be told apart: of new images, half from each density, no discriminator names the right set for a
# share above $(1 + \text{total variation}) / 2$.

# %%
if has_groups:
    groups = len(data.group_names)
    counts = {"full": data.group_sizes(), **split.counts(data.groups, groups)}
    group_shares = {name: numbers / numbers.sum() for name, numbers in counts.items()}
    distance = round(total_variation(group_shares["biased"], group_shares["reference"]), 6)
    for name, numbers in counts.items():
        print(f"{name:10s} {numbers.sum():7,} images, {numbers.min():,} to {numbers.max():,} in a group")
    print(f"total variation of biased from reference: {distance:.3f}")
    print(f"a discriminator is right for a share of at most {(1 + distance) / 2:.3f}")
    if named:
        assert np.ptp(counts["reference"]) <= 1, "the reference set is balanced"
    metrics |= {
        "group_names": data.group_names,
        "counts": {name: numbers.tolist() for name, numbers in counts.items()},
        "total_variation": distance,
    }
else:
    print("no groups: the method needs none, and what is measured by group is left out")

# %% mystnb={"image": {"alt": "Shares of the biased set fall from the first group to the last; the others are flat"}}
if has_groups:
    names = {"full": "all images", "biased": "biased set", "reference": "reference set"}
    figure = plots.shares_of_sets({names[k]: v for k, v in group_shares.items()}, data.group_names)
    display(record.figure(figure, "group_shares"))

# %% [markdown]
# **Figure 2.** The share of each group in all images, in the biased set and in the reference set. The shares are counts
# of the split, without an interval. The biased set differs from the reference set in its shares alone, for within a
# group every image is as likely to be drawn for one as for the other.
#
# ## Nested reference sets
#
# Each group has one seeded order of its images. The reference set takes the front, the biased set the back, so a
# smaller reference set is part of a larger one, and all sizes share one biased set.

# %% mystnb={"image": {"alt": "In each group the reference sets are nested at one end, the biased set at the other"}}
if named:
    references, before = {}, np.array([], np.int64)
    for share in sorted(shares):
        other = settings.Setting(data.name, split.definition["bias"], split.definition["arguments"], share)
        try:
            larger = bias.draw(f"{share:.0%}", other, data.group_sizes(), data.group_names, seed)
        except ValueError as error:
            print(f"left out: {error}")
            continue
        assert np.isin(before, larger.reference).all(), "nested"
        assert np.array_equal(larger.biased, split.biased), "one biased set"
        before = larger.reference
        references[f"{share:.0%}"] = larger.counts(data.groups, groups)["reference"]
        print(f"{share:4.0%}: {len(before):6,} reference images, sha256 {larger.sha256[:16]}")
    metrics["nested"] = {
        f"percent_{label.removesuffix('%')}": int(numbers.sum()) for label, numbers in references.items()
    }
    figure = plots.use_of_groups(counts["full"], counts["biased"], references, data.group_names)
    display(record.figure(figure, "nested_references"))

# %% [markdown]
# **Figure 3.** Each bar is one group from left to right in the order of its draw. Whatever the size of the reference
# set, it starts at the left and the biased set ends at the right. Between them lie images that neither takes, on which
# a ratio can be tested. The paper's sizes are 5, 10, 25 and 50 % of the biased set.
#
# ## The row of the manifest
#
# `data/manifest.json` has the hash of every named setting whose group sizes are known without its images. The
# split above is that of the manifest, or this cell fails.

# %%
if split.setting in settings.SETTINGS:
    for field, value in manifest.row(split.setting).items():
        print(f"{field:16s} {value}")
    known = manifest.known_hash(split.setting, split.seed)
    assert known in (None, split.sha256), f"the manifest has {known}"
    metrics["in_manifest"] = known is not None
else:
    print("the reader's own data have no row")

# %% [markdown]
# ## What we learned
#
# A split follows from the sizes of the groups, the setting and the seed, so every machine draws the same one. Reference
# sets are nested and share one biased set, so runs of two sizes differ in nothing else. The total variation printed
# above is what plain training on the biased set alone would leave if it fitted its data, and what the methods are to
# remove.

# %% tags=["bookkeeping"]
record.finish(metrics)
print(f"recorded: {run}")
