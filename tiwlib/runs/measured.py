"""What the denoiser of an experiment on images draws, measured: shares of groups, distances between sets, copies."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tiwlib.measures import distances, inception, judges
from tiwlib.measures.distances import to_uint8
from tiwlib.measures.samples import balanced, of_samples, probabilities, see, set_hash
from tiwlib.measures.shares import total_variation
from tiwlib.runs import cost
from tiwlib.runs.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was measured, and with what.

    measures  of the samples, by name, see measures.samples.of_samples
    context   the distances of the reference set and of the biased set to the same real images, by the set's name;
              empty where none were taken
    about     what of the data and the networks a record keeps; JSON-serialisable
    groups    int64 (N,), the group of each sample, None where the images have none
    hashes    of the classifier
    """

    measures: dict
    context: dict
    about: dict
    groups: np.ndarray | None = None
    hashes: dict = field(default_factory=dict)


def report(
    experiment: Experiment,
    samples: np.ndarray,
    extractor: str = "classifier",
    inception_file: Path | None = None,
    stages: dict | None = None,
) -> Report:
    """Measure samples, uint8 (N, C, H, W), of an experiment on images.

    They are compared with the largest part of the data that has the reference set's shares, or with the reference set
    where the images have no groups. extractor: whose features the distances are taken in, see inception.choose.
    inception_file: as inception.weights gives it. stages: where seconds and memory are noted.
    """
    images, device, seed = experiment.problem.images, experiment.device, experiment.config.seed
    data, split, seen = images.data, images.split, experiment.training_images()
    exact, by_inception = judges.with_float64(device), extractor == "inception"
    about = {"training_images": {"count": len(seen), "sha256": set_hash(data, seen)}, "seed": seed}
    known, hashes, judge, target, groups = {}, {}, None, None, None
    if data.groups is not None:
        with _timed(stages, "classifier", device):
            judge, classifier = judges.of_data(data, device=device)
        shares = images.shares()
        target, hashes["classifier"] = shares["reference"], classifier.sha256
        groups = probabilities(judge, samples).argmax(1)
        known = {
            "classifier_accuracy": classifier.accuracy,
            "group_names": list(data.group_names),
            "biased_total_variation": total_variation(shares["biased"], target),
        }
    whose = {
        "judge": judge,
        "extractor": inception.Inception(inception_file, exact) if by_inception else None,
    }
    real_rows = split.reference if target is None else balanced(data.groups, target)
    with _timed(stages, "measures", exact):
        real = None if extractor == "none" else see(data.images, real_rows, **whose)
        options = {"training": data.images[seen], "target": target, "seed": seed, "device": device}
        measures = of_samples(samples, **whose, real=real, **options)
    context = {}
    if real:
        sets = {"reference": split.reference, "biased": split.biased}
        features = {name: see(data.images, rows, **whose).features for name, rows in sets.items()}
        options = {"inception": by_inception, "seed": seed}
        context = {name: distances.between(of, real.features, **options) for name, of in features.items()}
        kind = "reference set" if target is None else "the reference set's shares"
        about["real"] = {
            "name": f"{data.name}, {kind}",
            "count": len(real_rows),
            "sha256": set_hash(data, real_rows),
        }
        about["feature_extractor"] = {
            "name": extractor,
            "sha256": inception.SHA256 if by_inception else hashes["classifier"],
            "dtype": "float64",
        }
        known |= {"n_real": len(real_rows), "context": context}
    known["measured_with"] = about
    return Report(measures=measures, context=context, about=known, groups=groups, hashes=hashes)


def measured(experiment: Experiment, denoiser) -> dict:
    """The measures of n_samples images of a denoiser, by the classifier of their groups; see `report`."""
    return report(experiment, to_uint8(experiment.sample(denoiser))).measures


def _timed(stages: dict | None, name: str, device):
    return nullcontext() if stages is None else cost.stage(stages, name, device)
