"""Claims about what each objective learns, what the ratio must be, and what it costs: notebooks 02 and 08."""

from ledger.claim import Claim
from ledger.evidence import ANY, Measured, Values, counted, number, records, repeated, timed, within_run
from ledger.rules import Rule, above, below, near
from ledger.two_d import HALF, MONTE_CARLO

SMALL = "2-D, 100 reference points"
READERS = "ours, asked by readers"
DIFFERENCE = (
    -1.0,
    1.0,
)  # the range of a difference of two shares, or of two total variations, and of a correlation


def minimum(part: str, key: str) -> Measured:
    """Minority share that an objective of notebook 02 converges to, the ratio exact."""
    (record,) = records("ledger", "02_what_each_objective_learns")
    share = number(record, lambda metrics: metrics[part][key]["share"])
    return counted(share, record["metrics"]["n_samples"], record["run"])


def seeds_of(*keys: str, run: str = "default", bounds=ANY) -> Values:
    """A number of notebook 08 over its repetitions; keys lead to it."""

    def extract(metrics: dict) -> dict[int, float]:
        cell = metrics
        for key in keys:
            cell = cell[key]
        return dict(enumerate(cell["seeds"]))

    return within_run(records("ledger", "08_ablations", run=run), extract, bounds)


def converges(*, id: str, statement: str, source: str, part: str, key: str, rule: Rule) -> Claim:
    return Claim(
        id=id,
        statement=statement,
        source=source,
        setting="2-D, exact ratio",
        quantity=HALF,
        measure=lambda: minimum(part, key),
        rule=rule,
    )


def ablation(*keys: str, run: str = "default", bounds=ANY, **about) -> Claim:
    """A claim on the number of notebook 08 that `keys` lead to."""
    return Claim(measure=lambda: repeated(seeds_of(*keys, run=run, bounds=bounds)), **about)


CLAIMS = [
    converges(
        id="released-worse",
        statement="The formula in the authors' code moves away from the unbiased share, below its batches' 0.35",
        source="ours, of the released code",
        part="minimisers",
        key="released",
        rule=below(0.35),
    ),
    converges(
        id="released-sign",
        statement="Mending its sign does not mend it, for it takes the gradient of d, not of log d",
        source="ours, of the released code",
        part="minimisers",
        key="released_sign_mended",
        rule=below(0.5 - MONTE_CARLO),
    ),
    converges(
        id="mixture-untold",
        statement="At one reference sample in 21, a weight computed with pi = 1/2 leaves half of the bias",
        source="ours",
        part="minimisers",
        key="tiw_dsm_1_20_half",
        rule=below(0.45),
    ),
    converges(
        id="mixture-told",
        statement="At one reference sample in 21, a weight computed with the true pi removes the bias",
        source="ours",
        part="minimisers",
        key="tiw_dsm_1_20",
        rule=near(0.5, MONTE_CARLO),
    ),
    converges(
        id="alpha-small",
        statement="A weight to the power 0.5 leaves part of the bias",
        source="ours, at the paper's values of alpha",
        part="alpha",
        key="0.5",
        rule=below(0.5 - MONTE_CARLO),
    ),
    converges(
        id="alpha-large",
        statement="A weight to the power 2 overshoots",
        source="ours, at the paper's values of alpha",
        part="alpha",
        key="2",
        rule=above(0.5 + MONTE_CARLO),
    ),
    ablation(
        *("threshold", "learned_ratio_1_share_error_minus_always"),
        id="threshold",
        statement="Plain training is enough below a sigma of one mode's width: no correction is needed there",
        source=READERS,
        setting=SMALL,
        quantity="error of the minority share, above sigma 1 minus always",
        rule=near(0, 0.01),
        bounds=DIFFERENCE,
    ),
    ablation(
        *("digits_trained", "total_variation_above_0_3_minus_plain"),
        id="threshold-digits",
        statement="On digits too, correcting above a sigma of 0.3 alone loses nothing",
        source=READERS,
        setting="digits-lt",
        quantity="total variation of shares, above sigma 0.3 minus always",
        rule=near(0, 0.05),
        run="digits",
        bounds=DIFFERENCE,
    ),
    ablation(
        *("digits_trained", "total_variation_ensemble_minus_plain"),
        id="ensemble-digits-trained",
        statement="A denoiser trained with the ensemble draws fairer digits",
        source="ours",
        setting="digits-lt",
        quantity="total variation of shares, ensemble minus plain",
        rule=below(0),
        run="digits",
        bounds=DIFFERENCE,
    ),
    ablation(
        *("rank_correlation_with_share_error", "heldout_loss"),
        id="heldout-foretells",
        statement="A ratio's held-out loss foretells how fair the result is",
        source=READERS,
        setting="2-D",
        quantity="rank correlation of held-out loss and share's error, within a seed",
        rule=above(0.5),
        bounds=DIFFERENCE,
    ),
    ablation(
        *("better_ratio", "reference_100_score_error_ensemble_minus_plain"),
        id="ensemble-score",
        statement="The average logit of five cross-fitted ratios is a better ratio than one",
        source="ours",
        setting=SMALL,
        quantity="error of the score, ensemble minus plain",
        rule=below(0),
    ),
    ablation(
        *("digits_ratio", "variation_ensemble_minus_plain"),
        id="ensemble-digits",
        statement="On digits, the averaged logit of five ratios reweights unseen images to fairer shares than one",
        source="ours",
        setting="digits-lt",
        quantity="total variation after weighting, ensemble minus plain",
        rule=below(0),
        bounds=DIFFERENCE,
    ),
    ablation(
        *("better_ratio_trained", "share_error_cross_fitted_minus_plain"),
        id="cross-fitting-trained",
        statement="A denoiser trained with cross-fitted ratios has fairer shares than with one ratio",
        source="ours",
        setting=SMALL,
        quantity="error of the minority share, cross-fitted minus plain",
        rule=below(0),
        bounds=DIFFERENCE,
    ),
    Claim(
        id="step-cost",
        statement="A step of TIW-DSM need not cost what the authors' does, 1.43 of a plain step",
        source="ours",
        setting="digits-lt",
        quantity="time of a step over plain training's",
        measure=lambda: timed(seeds_of("cost", "tiw_dsm", "times_plain", bounds=(0.0, float("inf")))),
        rule=below(1.43),
    ),
]
