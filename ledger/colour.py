"""Claims that painted digits decide, where the hue is read off the pixels: notebook 05, five seeds."""

from dataclasses import dataclass

from ledger.claim import Claim
from ledger.digits import FRECHET, LABELS, MARGIN, VARIATION, dashed, trained
from ledger.evidence import Values, difference, repeated
from ledger.rules import above, below, near
from tiwlib.measures.floor import fair_floor

FAIR = fair_floor((0.5, 0.5), 1000)[1]  # what 95 % of perfectly fair draws of a run's images stay below
NAMES = {VARIATION: "total variation of shares", FRECHET: "Frechet distance", "recall": "recall"}
SOURCE = "paper, in FID on FFHQ and CelebA"


def of_batches(metrics: dict) -> float:
    """Total variation of what a run's batches are drawn from: the reference set's part of them is fair."""
    return (1 - metrics["reference_fraction"]) * metrics["biased_total_variation"]


@dataclass(frozen=True, kw_only=True)
class Painted:
    """Images in two hues. prefix: of the claims' ids; images: what they are called in a statement."""

    prefix: str
    images: str
    setting: str
    sweep: str

    def values(self, method: str, metric) -> Values:
        return trained(method, metric, self.sweep, setting=self.setting, ratio="plain")

    def claim(self, id: str, statement: str, quantity: str, measure, rule, source: str = "ours") -> Claim:
        return Claim(
            id=dashed(self.prefix, id),
            statement=f"On {self.images} {statement}",
            source=source,
            setting=self.setting,
            quantity=quantity,
            measure=measure,
            rule=rule,
            sweep=self.sweep,
        )

    def beats(self, rival: str, metric: str) -> Claim:
        """That TIW-DSM has a lower number than a rival, seed by seed."""
        return self.claim(
            f"tiw-{rival}-{metric}",
            f"TIW-DSM beats {LABELS[rival]} in {NAMES[metric]}",
            f"{NAMES[metric]}, TIW-DSM minus {LABELS[rival]}",
            lambda: difference(self.values("tiw_dsm", metric), self.values(rival, metric)),
            below(0),
            SOURCE,
        )

    def recall(self) -> Claim:
        return self.claim(
            "tiw-recall",
            "TIW-DSM covers more of the data than DSM(ref)",
            "recall, TIW-DSM minus DSM(ref)",
            lambda: difference(self.values("tiw_dsm", "recall"), self.values("dsm_ref", "recall")),
            above(0),
        )

    def keeps_the_bias(self) -> Claim:
        return self.claim(
            "obs-keeps-the-bias",
            "plain training draws the shares of its data",
            "total variation of shares, DSM(obs) minus its data's",
            lambda: difference(self.values("dsm_obs", VARIATION), self.values("dsm_obs", of_batches)),
            near(0, MARGIN),
        )

    def fair(self) -> Claim:
        return self.claim(
            "tiw-fair",
            "TIW-DSM's shares cannot be told from a fair sampler's",
            "total variation of shares, TIW-DSM",
            lambda: repeated(self.values("tiw_dsm", VARIATION)),
            below(FAIR),
        )

    def claims(self) -> list[Claim]:
        rivals = (
            self.beats("dsm_obs", VARIATION),
            self.beats("iw_dsm", VARIATION),
            self.beats("dsm_ref", FRECHET),
        )
        return [*rivals, self.recall(), self.keeps_the_bias(), self.fair()]


DIGITS = Painted(prefix="colour", images="coloured digits", setting="digits-colour-90", sweep="colour")
MNIST_90 = Painted(
    prefix="mnist8-colour-90",
    images="coloured MNIST, 90 % of one hue,",
    setting="mnist8-colour-90",
    sweep="mnist8_colour",
)
MNIST_80 = Painted(
    prefix="mnist8-colour-80",
    images="coloured MNIST, 80 % of one hue,",
    setting="mnist8-colour-80",
    sweep="mnist8_colour80",
)
CLAIMS = [*DIGITS.claims(), *MNIST_90.claims(), MNIST_80.beats("dsm_obs", VARIATION), MNIST_80.fair()]
