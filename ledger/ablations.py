"""Claims about what each objective learns, what the ratio must be, and what a step costs: notebook 02, benchmarks."""

from ledger.claim import Claim
from ledger.evidence import (
    Measured,
    Missing,
    Values,
    computed,
    difference,
    number,
    of_benchmark,
    records,
    repeated,
    timed,
)
from ledger.rules import Rule, above, below, near
from ledger.two_d import CLOSED, HALF
from tiwlib.runs.tables import benchmark

SMALL = "2-D, 100 reference points"
READERS = "ours, asked by readers"
ROWS = "ratio-ablations"
SPEED = "x86_64-2-cores-busy-speed"  # the table whose rows have single turns


def minimum(part: str, key: str) -> Measured:
    """Minority share that an objective of notebook 02 converges to, the ratio exact."""
    (record,) = records("ledger", "02_what_each_objective_learns")
    return computed(number(record, lambda metrics: metrics[part][key]), record["run"])


def minus(metric: str, value, baseline, column: str = "variant", **where) -> Measured:
    """A metric of the rows whose `column` is `value`, minus that of `baseline`, seed by seed."""
    a, b = (of_benchmark(ROWS, metric, **where, **{column: v}) for v in (value, baseline))
    return difference(a, b)


def foretelling(column: str, result: str = "share_error") -> Values:
    """Rank correlation of two columns of the ratio's quality, within each seed."""
    rows = benchmark(ROWS, part="quality")
    values = {
        (int(seed), None): float(part[column].corr(part[result], method="spearman"))
        for seed, part in rows.groupby("seed")
    }
    return Values(by_pair=values, runs=(f"benchmarks/{ROWS}",), bounds=(-1.0, 1.0))


def step(method: str, network: str) -> Values:
    """Time of a training step over a plain one's, in float32, turn by turn of the clock."""
    rows = benchmark(SPEED, network=network, precision="fp32", method=method, device="cpu")
    turns = rows.over_dsm_turns.dropna() if "over_dsm_turns" in rows else []
    if len(turns) != 1:
        raise Missing(f"{len(turns)} rows of {SPEED} with {network}, {method} and single turns")
    values = {(turn, None): value for turn, value in enumerate(turns.iloc[0])}
    return Values(by_pair=values, runs=(f"benchmarks/{SPEED}",), bounds=(0.0, float("inf")))


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


def ablation(part: str, **about) -> Claim:
    """A claim on rows of benchmarks/ratio_ablations.py."""
    return Claim(sweep=f"benchmarks/ratio_ablations.py --parts {part}", **about)


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
        rule=below(0.5 - CLOSED),
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
        rule=near(0.5, CLOSED),
    ),
    converges(
        id="alpha-small",
        statement="A weight to the power 0.5 leaves part of the bias",
        source="ours, at the paper's values of alpha",
        part="alpha",
        key="0.5",
        rule=below(0.5 - CLOSED),
    ),
    converges(
        id="alpha-large",
        statement="A weight to the power 2 overshoots",
        source="ours, at the paper's values of alpha",
        part="alpha",
        key="2",
        rule=above(0.5 + CLOSED),
    ),
    ablation(
        "threshold",
        id="threshold",
        statement="Plain training is enough below a sigma of one mode's width: no correction is needed there",
        source=READERS,
        setting=SMALL,
        quantity="error of the minority share, above sigma 1 minus always",
        measure=lambda: minus("share_error", 1.0, 0.0, "threshold", part="threshold", variant="learned"),
        rule=near(0, 0.01),
    ),
    ablation(
        "digits_trained",
        id="threshold-digits",
        statement="On digits too, correcting above a sigma of 0.3 alone loses nothing",
        source=READERS,
        setting="digits-lt",
        quantity="total variation of shares, above sigma 0.3 minus always",
        measure=lambda: minus("total_variation", "above_0_3", "plain", part="digits_trained"),
        rule=near(0, 0.05),
    ),
    ablation(
        "digits_trained",
        id="ensemble-digits-trained",
        statement="A denoiser trained with the ensemble draws fairer digits",
        source="ours",
        setting="digits-lt",
        quantity="total variation of shares, ensemble minus plain",
        measure=lambda: minus("total_variation", "ensemble", "plain", part="digits_trained"),
        rule=below(0),
    ),
    ablation(
        "quality",
        id="heldout-foretells",
        statement="A ratio's held-out loss foretells how fair the result is",
        source=READERS,
        setting="2-D",
        quantity="rank correlation of held-out loss and share's error, within a seed",
        measure=lambda: repeated(foretelling("heldout_loss")),
        rule=above(0.5),
    ),
    ablation(
        "ensemble",
        id="ensemble-score",
        statement="The average logit of five cross-fitted ratios is a better ratio than one",
        source="ours",
        setting=SMALL,
        quantity="error of the score, ensemble minus plain",
        measure=lambda: minus("score_error", "ensemble", "plain", part="ensemble", reference=100),
        rule=below(0),
    ),
    ablation(
        "digits",
        id="ensemble-digits",
        statement="On digits, the averaged logit of five ratios reweights unseen images to fairer shares than one",
        source="ours",
        setting="digits-lt",
        quantity="total variation after weighting, ensemble minus plain",
        measure=lambda: minus("variation_after_weighting", "ensemble", "plain", part="digits"),
        rule=below(0),
        of_samples=False,
    ),
    ablation(
        "ensemble_trained",
        id="cross-fitting-trained",
        statement="A denoiser trained with cross-fitted ratios has fairer shares than with one ratio",
        source="ours",
        setting=SMALL,
        quantity="error of the minority share, cross-fitted minus plain",
        measure=lambda: minus("share_error", "cross_fitted", "plain", part="ensemble_trained"),
        rule=below(0),
    ),
    Claim(
        id="step-cost",
        statement="A step of TIW-DSM need not cost what the authors' does, 1.43 of a plain step",
        source="ours",
        setting="digits-lt",
        quantity="time of a step over plain training's",
        measure=lambda: timed(step("tiw_dsm", "digits")),
        rule=below(1.43),
        of_samples=False,
        sweep="benchmarks/speed.py --networks digits --precisions fp32 --machine x86_64-2-cores-busy",
    ),
]
