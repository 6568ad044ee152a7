"""The data themselves through the judge: what a table would show of a sampler that draws real images."""

import numpy as np

from tiwlib.data.bias import Biased
from tiwlib.measures import classifier
from tiwlib.measures.samples import Judge, balanced, of_samples, probabilities


def of_real_images(
    images: Biased, judge: Judge, shares: np.ndarray, *, n: int = 1000, seed: int = 0, device="cpu"
) -> dict:
    """All measures of held-out real images with these group shares, and the part of them that is named wrongly.

    shares  (G,), of the batches of a plain model
    n       images at most; fewer where a group has too few
    The images are drawn from those that the judge's classifier was not fitted on. They are compared with others of the
    reference set's shares, and their nearest training image is another image.
    """
    data, target = images.data, images.shares()["reference"]
    held_out = np.random.default_rng(seed).permutation(classifier.split(len(data.images))[1])
    rows = np.sort(held_out[balanced(data.groups[held_out], shares, n)])
    others = np.setdiff1d(np.arange(len(data.images)), rows)
    real = others[balanced(data.groups[others], target)]
    training = np.setdiff1d(np.concatenate([images.split.biased, images.split.reference]), rows)
    measures = of_samples(
        data.images[rows],
        judge=judge,
        real=data.images[real],
        training=data.images[training],
        target=target,
        seed=seed,
        device=device,
    )
    wrong = probabilities(judge, data.images, rows).argmax(1) != data.groups[rows]
    return measures | {"named_wrongly": float(wrong.mean()), "n_samples": len(rows), "n_real": len(real)}
