"""A recorded run's denoiser to take along: half-precision weights, checked when loaded, and a card made by the run.

`python -m tiwlib.runs.model_card digits-lt-tiw_dsm-seed0` writes pretrained/<run>/. The denoiser is the one that the
run left beside its record; where git has not kept it, the run is repeated. Either way its samples are measured again
from the weights as they are stored, and must be those of the record within CHANCE.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import torch

from tiwlib import runs
from tiwlib.data import SOURCES
from tiwlib.data.derived import Derived
from tiwlib.data.settings import find
from tiwlib.measures.intervals import as_text, cell
from tiwlib.networks import DenoiserNet
from tiwlib.objectives import METHODS
from tiwlib.runs.cache import whole
from tiwlib.runs.experiment import NOTEBOOK, Experiment, of_record
from tiwlib.runs.measured import measured
from tiwlib.runs.pretrained import WEIGHTS, load_pretrained, save_pretrained
from tiwlib.runs.tables import LABELS, TUNING, without_tuning

FOLDER = runs.PROJECT / "pretrained"
# How far a measure of 1,000 images may be from the record's: about two standard deviations of drawing them anew. The
# Frechet distance is relative.
CHANCE = {"total_variation": 0.03, "frechet": 0.15, "precision": 0.03, "recall": 0.03, "nearest": 0.01}


def publish(run: str, folder: Path | None = None) -> Path:
    """Write weights, card.json and README.md of a finished run of notebook 05; returns their folder.

    run: its name under results/05_train/. folder: pretrained/<run> of the project if None; what it holds is replaced
    whole. A run that is not recorded, one of a tuning seed, which stands in no table, and a denoiser whose samples
    differ from the record's by more than CHANCE, are a ValueError, and the folder stays as it was.
    """
    record = runs.read_record(runs.results_root() / NOTEBOOK / runs.checked_name(run))
    if not without_tuning([record]):
        raise ValueError(
            f"run={run!r}: its seed must be below {TUNING}; others have chosen a training length"
        )
    experiment, folder = of_record(record), folder or FOLDER / run
    denoiser = _denoiser(experiment, runs.results_root() / NOTEBOOK / run / "denoiser").cpu()
    with tempfile.TemporaryDirectory() as scratch:
        full = save_pretrained(denoiser, Path(scratch) / "full")
        half = save_pretrained(denoiser, Path(scratch) / "half", torch.float16)
        again = measured(experiment, load_pretrained(half))
        _refuse_another(run, record["metrics"], again)
        content = described(run, record, again, experiment) | {
            "repeat": runs.sha256(full / WEIGHTS) == record["provenance"]["hashes"]["denoiser"],
            "sha256": runs.sha256(half / WEIGHTS),
        }
        with whole(folder) as partial:
            shutil.copytree(half, partial)
            runs.write_json(partial / "card.json", content)
            (partial / "README.md").write_text(card(content))
    return folder


def _refuse_another(run: str, recorded: dict, again: dict) -> None:
    """Measures that differ from the record's by more than CHANCE are a ValueError."""
    for name, allowed in CHANCE.items():
        was = recorded[name]
        if abs(again[name] - was) > allowed * (was if name == "frechet" else 1):
            raise ValueError(f"run={run!r}: {name} is {again[name]:.3g}, that of the record {was:.3g}")


def _denoiser(experiment: Experiment, left: Path) -> DenoiserNet:
    """The one that the run has left, else that of its repetition."""
    if left.is_dir():
        return load_pretrained(left)
    return experiment.trained_once(experiment.ratio())[0]


def described(run: str, record: dict, again: dict, experiment: Experiment) -> dict:
    """All that the card says of data and measures; JSON-serialisable."""
    params, images = record["params"], experiment.problem.images
    source = SOURCES[find(params["setting"]).source]
    source = SOURCES[source.base] if isinstance(source, Derived) else source  # for its licence
    alike = [
        r["metrics"]
        for r in without_tuning(runs.finished(NOTEBOOK))
        if set(runs.differences(r["params"], params)) <= {"seed", "run"}
    ]
    return {
        "run": run,
        "method": METHODS[params["method"]].label,
        "setting": params["setting"],
        "training": {
            name: params[name] for name in ("steps", "batch_size", "width", "sampling_steps", "seed")
        },
        "data": {"name": images.data.name, "licence": source.licence, "sha256": images.data.sha256},
        "images": {"biased": len(images.split.biased), "reference": len(images.split.reference)},
        "reference_fraction": experiment.reference_fraction,
        "shape": list(experiment.problem.shape),
        "group_names": list(images.data.group_names),
        "shares": {name: shares.tolist() for name, shares in images.shares().items()},
        "group_shares": again["group_shares"],
        "group_intervals": again["group_intervals"],
        "n_samples": experiment.config.n_samples,
        "measures": {name: again[name] for name in CHANCE},
        "of_record": {name: record["metrics"][name] for name in CHANCE},
        "over_seeds": {name: [metrics[name] for metrics in alike] for name in CHANCE},
        "parameters": record["metrics"]["parameters"]["denoiser"],
        "machine": f"{record['provenance']['device']} of {record['provenance']['machine']}",
    }


def card(content: dict) -> str:
    """The model card as Markdown, of the content of card.json."""
    c, t = content, content["training"]
    shares = "\n".join(
        f"| {name} | {biased:.1%} | {reference:.1%} | {share:.1%} ({low:.1%} to {high:.1%}) |"
        for name, biased, reference, share, (low, high) in zip(
            c["group_names"], c["shares"]["biased"], c["shares"]["reference"], c["group_shares"],
            c["group_intervals"], strict=True,
        )
    )  # fmt: skip
    measures = "\n".join(
        f"| {LABELS[name]} | {c['measures'][name]:.3g} | {c['of_record'][name]:.3g} "
        f"| {as_text(cell(c['over_seeds'][name]), name)} |"
        for name in CHANCE
    )
    repeat = "bit for bit" if c["repeat"] else "up to the arithmetic of another machine or version"
    seeds = len(next(iter(c["over_seeds"].values())))
    return f"""# {c["method"]} on {c["setting"]}: a denoiser of {" x ".join(map(str, c["shape"]))} images

Made by `python -m tiwlib.runs.model_card {c["run"]}` from the record
`results/{NOTEBOOK}/{c["run"]}`; every number here stands in [card.json](card.json).

```python
from tiwlib import sampling
from tiwlib.runs.pretrained import load_pretrained

denoiser = load_pretrained("pretrained/{c["run"]}")
x = sampling.sample(denoiser, 16, {tuple(c["shape"])}, sigma_data=denoiser.sigma_data)  # in [-1, 1]
```

## Model

A U-Net of {c["parameters"]:,} parameters with EDM's preconditioning, trained by {c["method"]} for {t["steps"]:,} steps
of {t["batch_size"]} images, {c["reference_fraction"]:.0%} of which come from the reference set, with seed {t["seed"]}.
The weights are {repeat} those of the recorded run, which ran on the {c["machine"]}, and then rounded to half precision.
The loader checks hash, shapes and finite values. sha256 of `{WEIGHTS}`:
`{c["sha256"]}`.

## Data

{c["images"]["biased"]:,} biased and {c["images"]["reference"]:,} reference images of the setting `{c["setting"]}`,
drawn from *{c["data"]["name"]}* ({c["data"]["licence"]}). Training has used no labels. A classifier names the group of
each of {c["n_samples"]:,} samples; brackets hold Wilson's 95 % interval of counting them.

| group | biased set | reference set | samples |
|---|---:|---:|---:|
{shares}

## Measures

The second column is measured on samples of the stored weights, the third on those of the recorded run. The last is the
mean over all {seeds} recorded seeds of this method, with Student's 95 % interval where there are four or more.

| measure | these weights | recorded run | over seeds |
|---|---:|---:|---:|
{measures}

## Intended use and limits

The model is for teaching and for tests: it draws samples without training. It is one seed; a comparison of methods
needs all. The images are small, and the classifier puts a sample that it cannot read into some group all the same. The
shares are fair only as far as the table says, and the reference set decides what counts as unbiased. Do not use the
samples in place of the data, and do not read the Frechet distance as FID.
"""


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(publish(name).relative_to(runs.PROJECT))
