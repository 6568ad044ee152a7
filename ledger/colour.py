"""Claims that the coloured digits decide, where the hue is read off the pixels: notebook 05, five seeds."""

from ledger.claim import Claim
from ledger.digits import FRECHET, LABELS, MARGIN, VARIATION, dashed, trained
from ledger.evidence import Values, difference, repeated
from ledger.rules import above, below, near
from tiwlib.measures.floor import fair_floor

SETTING, SWEEP = "digits-colour-90", "colour"
FAIR = fair_floor((0.5, 0.5), 1000)[1]  # what 95 % of perfectly fair draws of a run's images stay below
NAMES = {VARIATION: "total variation of shares", FRECHET: "Frechet distance", "recall": "recall"}


def of_colour(method: str, metric) -> Values:
    return trained(method, metric, SWEEP, setting=SETTING)


def of_batches(metrics: dict) -> float:
    """Total variation of what a run's batches are drawn from: the reference set's part of them is fair."""
    return (1 - metrics["reference_fraction"]) * metrics["biased_total_variation"]


def beats(rival: str, metric: str, source: str) -> Claim:
    """That TIW-DSM has a lower number than a rival, seed by seed."""
    return Claim(
        id=dashed("colour", "tiw", rival, metric),
        statement=f"On coloured digits TIW-DSM beats {LABELS[rival]} in {NAMES[metric]}",
        source=source,
        setting=SETTING,
        quantity=f"{NAMES[metric]}, TIW-DSM minus {LABELS[rival]}",
        measure=lambda: difference(of_colour("tiw_dsm", metric), of_colour(rival, metric)),
        rule=below(0),
        sweep=SWEEP,
    )


CLAIMS = [
    beats("dsm_obs", VARIATION, "paper, in FID on FFHQ and CelebA"),
    beats("iw_dsm", VARIATION, "paper, in FID on FFHQ and CelebA"),
    beats("dsm_ref", FRECHET, "paper, in FID on FFHQ and CelebA"),
    Claim(
        id="colour-tiw-recall",
        statement="On coloured digits TIW-DSM covers more of the data than DSM(ref)",
        source="ours",
        setting=SETTING,
        quantity="recall, TIW-DSM minus DSM(ref)",
        measure=lambda: difference(of_colour("tiw_dsm", "recall"), of_colour("dsm_ref", "recall")),
        rule=above(0),
        sweep=SWEEP,
    ),
    Claim(
        id="colour-obs-keeps-the-bias",
        statement="On coloured digits plain training draws the shares of its data",
        source="ours",
        setting=SETTING,
        quantity="total variation of shares, DSM(obs) minus its data's",
        measure=lambda: difference(of_colour("dsm_obs", VARIATION), of_colour("dsm_obs", of_batches)),
        rule=near(0, MARGIN),
        sweep=SWEEP,
    ),
    Claim(
        id="colour-tiw-fair",
        statement="On coloured digits TIW-DSM's shares cannot be told from a fair sampler's",
        source="ours",
        setting=SETTING,
        quantity="total variation of shares, TIW-DSM",
        measure=lambda: repeated(of_colour("tiw_dsm", VARIATION)),
        rule=below(FAIR),
        sweep=SWEEP,
    ),
]
