"""Claims that MNIST decides, 10,000 images with a long tail and 500 balanced ones: notebook 04."""

from ledger.claim import Claim
from ledger.digits import EQUAL_SHARES, NEARNESS, RIVALS, UNFAIR, tiw_below, trained, vanishing_claim
from ledger.evidence import below, difference, repeated

WHERE = {"setting": "mnist-lt-5", "sweep": "mnist"}

CLAIMS = [
    *(claim for rival in RIVALS for claim in tiw_below(rival, **WHERE)),
    Claim(
        "mnist-ref-nearest",
        "DSM(ref)'s samples lie nearer to its training images than TIW-DSM's to theirs",
        "ours",
        "mnist-lt-5",
        "distance to the nearest training image, DSM(ref) minus TIW-DSM",
        lambda: difference(*(trained(method, NEARNESS, **WHERE) for method in ("dsm_ref", "tiw_dsm"))),
        below(0),
        "mnist",
    ),
    Claim(
        "mnist-fair",
        "With fifty reference images a class TIW-DSM's shares are fair",
        "paper, in shares of CelebA's groups",
        "mnist-lt-5",
        "total variation of shares, TIW-DSM",
        lambda: repeated(trained("tiw_dsm", UNFAIR, **WHERE)),
        below(EQUAL_SHARES),
        "mnist",
    ),
    vanishing_claim("mnist-weights-75", **WHERE),
]
