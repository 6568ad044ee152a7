"""Claims that MNIST decides, 10,000 images with a long tail and 500 balanced ones: notebook 05."""

from ledger.claim import Claim
from ledger.digits import FAIR, RIVALS, VARIATION, tiw_below, trained, vanishing_claim
from ledger.evidence import difference, repeated
from ledger.rules import below

WHERE = {"setting": "mnist-lt-5", "sweep": "mnist"}

CLAIMS = [
    *(claim for rival in RIVALS for claim in tiw_below(rival, **WHERE)),
    Claim(
        id="mnist-ref-nearest",
        statement="DSM(ref)'s samples lie nearer to its training images than TIW-DSM's to theirs",
        source="ours",
        quantity="distance to the nearest training image, DSM(ref) minus TIW-DSM",
        measure=lambda: difference(
            trained("dsm_ref", "nearest", **WHERE), trained("tiw_dsm", "nearest", **WHERE)
        ),
        rule=below(0),
        **WHERE,
    ),
    Claim(
        id="mnist-fair",
        statement="With fifty reference images a class TIW-DSM's shares are those of a fair sampler",
        source="ours",
        quantity="total variation of shares, TIW-DSM",
        measure=lambda: repeated(trained("tiw_dsm", VARIATION, **WHERE)),
        rule=below(FAIR),
        **WHERE,
    ),
    vanishing_claim("mnist-weights-75", **WHERE),
]
