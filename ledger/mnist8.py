"""Claims that MNIST at 8 x 8 decides: a long tail at four sizes of the reference set, and two crossed attributes.

The thresholds were set before the first run.
"""

import numpy as np

from ledger.claim import Claim
from ledger.digits import (
    FAIR,
    FRECHET,
    LABELS,
    RIVALS,
    VARIATION,
    dashed,
    tiw_below,
    trained,
    vanishing_claim,
)
from ledger.evidence import Values, difference, of_runs, records, repeated
from ledger.paper_scale import SHARES_CELEBA
from ledger.rules import below
from tiwlib.measures.floor import fair_floor
from tiwlib.measures.intervals import DISTANCE
from tiwlib.measures.shares import total_variation

TAIL, SWEEP = "mnist8-lt-5", "mnist8_lt"
SUBGROUPS, SUBGROUP_SWEEP = "mnist8-digit-colour", "mnist8_subgroups"
CELEBA = (0.465, 0.296, 0.115, 0.124)  # shares of the four subgroups in the paper's biased set
QUARTERS = np.full(4, 0.25)
LEFT = total_variation(np.array(list(SHARES_CELEBA.values())), QUARTERS) / total_variation(
    np.array(CELEBA), QUARTERS
)
LARGER = ("10", "25", "50")  # per cent of the biased set
CHECKED = (("dsm_obs", VARIATION), ("iw_dsm", FRECHET), ("dsm_ref", FRECHET))  # at each of them
NAMES = {VARIATION: "total variation of shares", FRECHET: "classifier Frechet distance"}


def at_size(size: str, rival: str, metric: str) -> Claim:
    """That TIW-DSM beats a rival with a larger reference set, too."""
    setting = f"mnist8-lt-{size}"
    return Claim(
        id=dashed(setting, "tiw", rival, metric),
        statement=f"TIW-DSM beats {LABELS[rival]} in {NAMES[metric]}",
        source="paper, in FID on CIFAR-10",
        setting=setting,
        quantity=f"{NAMES[metric]}, TIW-DSM minus {LABELS[rival]}",
        measure=lambda: difference(
            trained("tiw_dsm", metric, SWEEP, setting=setting), trained(rival, metric, SWEEP, setting=setting)
        ),
        rule=below(0),
        sweep=SWEEP,
    )


def of_subgroups(method: str, metric, bounds=DISTANCE) -> Values:
    """A number of the subgroups' runs of a method. bounds: of one that is no measure by name."""
    where = {"method": method, "setting": SUBGROUPS, "reference_fraction": None, "alpha": 1.0}
    return of_runs(records(SUBGROUP_SWEEP, "05_train", **where), metric, bounds)


def left(metrics: dict) -> float:
    """What a model leaves of its biased set's total variation, as a share of it."""
    return metrics[VARIATION] / metrics["biased_total_variation"]


def subgroup_rival(rival: str) -> Claim:
    return Claim(
        id=dashed("subgroups-tiw", rival),
        statement=f"TIW-DSM beats {LABELS[rival]} in total variation of shares",
        source="paper, in FID on CelebA",
        setting=SUBGROUPS,
        quantity=f"total variation of shares, TIW-DSM minus {LABELS[rival]}",
        measure=lambda: difference(of_subgroups("tiw_dsm", VARIATION), of_subgroups(rival, VARIATION)),
        rule=below(0),
        sweep=SUBGROUP_SWEEP,
    )


CLAIMS = [
    *(claim for rival in RIVALS for claim in tiw_below(rival, TAIL, SWEEP)),
    Claim(
        id="mnist8-fair",
        statement="With fifty reference images a class TIW-DSM's shares are those of a fair sampler",
        source="ours",
        setting=TAIL,
        quantity="total variation of shares, TIW-DSM",
        measure=lambda: repeated(trained("tiw_dsm", VARIATION, SWEEP, setting=TAIL)),
        rule=below(FAIR),
        sweep=SWEEP,
    ),
    Claim(
        id="mnist8-ref-nearest",
        statement="DSM(ref)'s samples lie nearer to its training images than TIW-DSM's to theirs",
        source="ours",
        setting=TAIL,
        quantity="distance to the nearest training image, DSM(ref) minus TIW-DSM",
        measure=lambda: difference(
            trained("dsm_ref", "nearest", SWEEP, setting=TAIL),
            trained("tiw_dsm", "nearest", SWEEP, setting=TAIL),
        ),
        rule=below(0),
        sweep=SWEEP,
    ),
    vanishing_claim("mnist8-weights-75", TAIL, SWEEP),
    *(at_size(size, rival, metric) for size in LARGER for rival, metric in CHECKED),
    *(subgroup_rival(rival) for rival in ("dsm_obs", "iw_dsm")),
    Claim(
        id="subgroups-left",
        statement="TIW-DSM leaves no more of the subgroups' bias than the paper's does on CelebA",
        source="paper, one run on CelebA",
        setting=SUBGROUPS,
        quantity="total variation of shares, TIW-DSM over the biased set's",
        measure=lambda: repeated(of_subgroups("tiw_dsm", left)),
        rule=below(round(LEFT, 3)),
        sweep=SUBGROUP_SWEEP,
    ),
    Claim(
        id="subgroups-fair",
        statement="TIW-DSM draws the four subgroups as a fair sampler does",
        source="ours",
        setting=SUBGROUPS,
        quantity="total variation of shares, TIW-DSM",
        measure=lambda: repeated(of_subgroups("tiw_dsm", VARIATION)),
        rule=below(fair_floor((0.25,) * 4, 1000)[1]),
        sweep=SUBGROUP_SWEEP,
    ),
]
