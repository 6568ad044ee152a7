"""What the denoiser of an experiment on images draws, measured: for comparisons that change one thing at a time."""

from tiwlib.measures import classifier
from tiwlib.measures.distances import to_uint8
from tiwlib.measures.judges import ClassifierJudge
from tiwlib.measures.samples import balanced, of_samples
from tiwlib.runs.experiment import Experiment


def measured(experiment: Experiment, denoiser) -> dict:
    """The measures of n_samples images, by the classifier of their groups; see measures.samples.of_samples.

    They are compared with the largest part of the data that has the reference set's shares.
    """
    images, device = experiment.problem.images, experiment.device
    data, target = images.data, images.shares()["reference"]
    judge = ClassifierJudge(classifier.fit_once(data, device=device).network, data.group_names, device=device)
    return of_samples(
        to_uint8(experiment.sample(denoiser)),
        judge=judge,
        real=data.images[balanced(data.groups, target)],
        training=data.images[experiment.training_images()],
        target=target,
        seed=experiment.config.seed,
        device=device,
    )
