"""Claims on estimators of the ratio for few references: notebook 05 on digits-lt, and benchmarks/estimators.py."""

from ledger.ablations import step
from ledger.claim import Claim
from ledger.colour import FAIR as FAIR_HUES
from ledger.digits import FAIR, FRECHET, VARIATION, trained
from ledger.evidence import Measured, Values, difference, of_benchmark, repeated, timed
from ledger.rules import above, below, near
from tiwlib.closed_form import One, ratio_errors
from tiwlib.gaussians import TWO_D_PAIRS

SETTING, SWEEP, ESTIMATOR = "digits-lt", "estimators", "posterior"
HUES, SHORT = "digits-colour-90", 400  # steps of the plain denoiser that the ratio stands on
VARIATION_AFTER = "variation_after_weighting"
SOURCE, BEFORE = "ours, a threshold set before the runs", "ours, set before the runs"


def estimated(metric: str, method: str = "tiw_dsm", ratio: str = ESTIMATOR) -> Values:
    """A metric of the runs with another estimator than the plain one, on a base as long as the run."""
    return trained(method, metric, SWEEP, ratio=ratio)


def on_short_base(metric: str, setting: str, method: str = "tiw_dsm") -> Values:
    """The same on a plain denoiser of SHORT steps."""
    sweep = "colour" if setting == HUES else SWEEP
    return trained(method, metric, sweep, setting=setting, ratio=ESTIMATOR, base_steps=SHORT)


def of_two_d(estimator: str, metric: str, **where) -> Values:
    """An error of the benchmark of the 2-D example, integrated over diffusion time."""
    return of_benchmark("estimators-two-d", metric, estimator=estimator, **where)


def of_images(estimator: str, setting: str, part: str = "digits") -> Values:
    """What the weights leave of the bias of images that are in neither set."""
    return of_benchmark(f"estimators-{part}", VARIATION_AFTER, estimator=estimator, setting=setting)


def as_share_of_one(estimator: str, bias: str) -> Measured:
    """The integrated squared error of a ratio at 100 reference points, over that of r = 1."""
    values = of_two_d(estimator, "ratio_error", bias=bias, n_reference=100)
    exact = TWO_D_PAIRS[bias]
    of_one = float(ratio_errors(One(), exact, n=2000, times=25)["ratio"].mean())
    shares = {pair: value / of_one for pair, value in values.by_pair.items()}
    return repeated(Values(by_pair=shares, runs=values.runs, bounds=values.bounds))


def in_two_d(id: str, statement: str, quantity: str, measure, rule) -> Claim:
    return Claim(
        id=f"estimator-{id}",
        statement=statement,
        source="ours",
        setting="2-D",
        quantity=quantity,
        measure=measure,
        rule=rule,
        sweep="benchmarks/estimators.py two_d",
    )


def claim(
    id: str, statement: str, quantity: str, measure, rule, source: str = SOURCE, setting: str = SETTING
) -> Claim:
    return Claim(
        id=f"estimator-{id}",
        statement=statement,
        source=source,
        setting=setting,
        quantity=quantity,
        measure=measure,
        rule=rule,
        sweep="colour" if setting == HUES else SWEEP,
    )


CLAIMS = [
    claim(
        "fairer",
        "With 50 reference images TIW-DSM is fairer with the posterior ratio than with the plain discriminator",
        "total variation of shares, posterior minus plain",
        lambda: difference(estimated(VARIATION), trained("tiw_dsm", VARIATION)),
        below(0),
    ),
    claim(
        "fair",
        "With 50 reference images and the posterior ratio TIW-DSM has a total variation of at most 0.07",
        "total variation of shares, TIW-DSM with the posterior ratio",
        lambda: repeated(estimated(VARIATION)),
        below(0.07),
    ),
    claim(
        "frechet",
        "With the posterior ratio TIW-DSM has a lower Frechet distance than DSM(ref)",
        "Frechet distance, TIW-DSM with the posterior ratio minus DSM(ref)",
        lambda: difference(estimated(FRECHET), trained("dsm_ref", FRECHET)),
        below(0),
    ),
    claim(
        "recall",
        "With the posterior ratio TIW-DSM has a recall of at least 0.70",
        "recall, TIW-DSM with the posterior ratio",
        lambda: repeated(estimated("recall")),
        above(0.7),
    ),
    claim(
        "same-ratio",
        "On one and the same ratio TIW-DSM is fairer than IW-DSM",
        "total variation of shares, TIW-DSM minus IW-DSM, both with the posterior ratio",
        lambda: difference(estimated(VARIATION), estimated(VARIATION, "iw_dsm")),
        below(0),
        source="ours, the paper's question on equal ratios",
    ),
    claim(
        "same-ratio-oracle",
        "On a ratio from the true groups TIW-DSM is fairer than IW-DSM",
        "total variation of shares, TIW-DSM minus IW-DSM, both with the oracle ratio",
        lambda: difference(
            estimated(VARIATION, ratio="oracle"), estimated(VARIATION, "iw_dsm", ratio="oracle")
        ),
        below(0),
        source="ours, the paper's question on equal ratios",
    ),
    claim(
        "oracle-fair",
        "With a ratio from the true groups TIW-DSM draws shares that a fair sampler could have drawn",
        "total variation of shares, TIW-DSM with the oracle ratio",
        lambda: repeated(estimated(VARIATION, ratio="oracle")),
        below(FAIR),
        source="ours, what is possible",
    ),
    *(
        claim(
            f"short-base{end}",
            f"TIW-DSM is fairer with the posterior ratio on a plain denoiser of {SHORT} steps than with the paper's "
            "discriminator",
            "total variation of shares, posterior on the short base minus plain",
            lambda setting=setting, sweep=sweep: difference(
                on_short_base(VARIATION, setting),
                trained("tiw_dsm", VARIATION, sweep, setting=setting, ratio="plain"),
            ),
            below(0),
            BEFORE,
            setting,
        )
        for end, setting, sweep in (("", SETTING, "ledger"), ("-hue", HUES, "colour"))
    ),
    claim(
        "short-base-hue-fair",
        f"With the posterior ratio on a plain denoiser of {SHORT} steps TIW-DSM draws shares of the hues that cannot "
        "be told from a fair sampler's",
        "total variation of shares, TIW-DSM with the posterior ratio on the short base",
        lambda: repeated(on_short_base(VARIATION, HUES)),
        below(FAIR_HUES),
        BEFORE,
        HUES,
    ),
    claim(
        "short-base-hue-same-ratio",
        f"On one posterior ratio, of a plain denoiser of {SHORT} steps, TIW-DSM is fairer than IW-DSM in hues",
        "total variation of shares, TIW-DSM minus IW-DSM, both on the short base",
        lambda: difference(on_short_base(VARIATION, HUES), on_short_base(VARIATION, HUES, "iw_dsm")),
        below(0),
        BEFORE,
        HUES,
    ),
    claim(
        "short-base-long",
        f"On classes a plain denoiser of {SHORT} steps gives as fair a posterior ratio as one that is trained as long "
        "as TIW-DSM itself",
        "total variation of shares, TIW-DSM on the short base minus on the long one",
        lambda: difference(on_short_base(VARIATION, SETTING), estimated(VARIATION)),
        near(0, 0.02),
        BEFORE,
    ),
    *(
        in_two_d(
            f"2d-{name}{end}",
            f"With {n} reference points {name} has a smaller error of the correction than the plain discriminator",
            f"error of sigma grad log r, {name} minus plain, {n} reference points",
            lambda name=name, n=n: difference(
                of_two_d(name, "score_error", bias="shares", n_reference=n),
                of_two_d("plain", "score_error", bias="shares", n_reference=n),
            ),
            below(0),
        )
        for name in ("mixture", "posterior")
        for n, end in ((25, ""), (500, "-500"))
    ),
    *(
        Claim(
            id=f"estimator-weights-{n}",
            statement=f"With {n} reference digits the posterior weights leave less of the bias of unseen ones than "
            "the plain discriminator",
            source="ours",
            setting=setting,
            quantity="total variation after weighting, posterior minus plain",
            measure=lambda setting=setting: difference(
                of_images("posterior", setting), of_images("plain", setting)
            ),
            rule=below(0),
            sweep="benchmarks/estimators.py digits",
            of_samples=False,
        )
        for n, setting in ((25, "digits-lt-5"), (250, "digits-lt-50"))
    ),
    Claim(
        id="estimator-weights-hue",
        statement="With 50 reference images the posterior weights leave more of a hue's bias in unseen digits than the "
        "plain discriminator",
        source="ours, two trained seeds were seen before",
        setting=HUES,
        quantity="total variation after weighting, posterior minus plain",
        measure=lambda: difference(
            of_images("posterior", HUES, "images"), of_images("plain", HUES, "images")
        ),
        rule=above(0),
        sweep="benchmarks/estimators.py images",
        of_samples=False,
    ),
    in_two_d(
        "blind-spot",
        "A bias that moves every mode and no share is not seen by clusters: mixture learns nothing of it",
        "integrated squared error of r, mixture of the two modes, as a share of the error of r = 1",
        lambda: as_share_of_one("mixture", "within_modes"),
        near(1, 0.1),
    ),
    in_two_d(
        "blind-spot-plain",
        "The plain discriminator sees a bias that moves every mode and no share",
        "integrated squared error of r, plain, as a share of the error of r = 1",
        lambda: as_share_of_one("plain", "within_modes"),
        below(1),
    ),
    *(
        Claim(
            id=id,
            statement=f"{where} a step of TIW-DSM on the posterior ratio costs at most 1.10 of a plain step",
            source=SOURCE,
            setting=setting,
            quantity="time of a step over plain training's",
            measure=lambda network=network: timed(step("tiw_dsm_posterior", network)),
            rule=below(1.1),
            of_samples=False,
            sweep=f"benchmarks/speed.py --networks {network} --precisions fp32 --machine x86_64-2-cores-busy",
        )
        for id, network, where, setting in (
            ("estimator-step", "digits", "On digits", SETTING),
            (
                "estimator-step-paper",
                "paper",
                "At the paper's network and a sum over 10,500 images",
                "32 x 32 x 3 images, batches of 4, a CPU",
            ),
        )
    ),
]
