"""The first screen of the README: the verdict in three sentences, and one picture, made from the records."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np

from ledger import image_rows
from ledger.rules import FAILS, HOLDS, OPEN, UNREADABLE, UNTESTED
from tiwlib.measures.floor import fair_floor
from tiwlib.measures.readable import Readability
from tiwlib.runs import finished, guard, results_root
from tiwlib.runs.tables import run_label, without_tuning

COLOUR, BETTER = (
    "digits-colour-90",
    "mnist14-colour-90",
)  # the second takes the first one's place once it can be read
TAIL = "digits-lt"
RIVAL = re.compile(r"TIW-DSM beats (?P<rival>\S+) in (?P<measure>.+)")


def ledger() -> list[dict]:
    """The entries of results/claims.json."""
    return json.loads((results_root() / "claims.json").read_text())


def record(part: str, notebook: str, run: str = "default") -> dict:
    """metrics, params or provenance of one finished run."""
    return json.loads((results_root() / notebook / run / f"{part}.json").read_text())


def of_setting(setting: str, method: str, ratio: str = "plain") -> list[dict]:
    """The metrics of a method's finished runs on a setting, as the tables choose them, with this estimator."""
    chosen = image_rows.of_setting(without_tuning(finished("05_train")), setting, method, ratio=ratio)
    return [r["metrics"] for r in chosen]


def mean(rows: list[dict], metric) -> float:
    return float(np.mean([row[metric] if isinstance(metric, str) else metric(row) for row in rows]))


def picture_of(setting: str) -> Path:
    """The figure of notebook 06 that shows plain training beside TIW-DSM, below the results."""
    return Path("06_results", setting, "figures", "side_by_side.png")


def table_of(setting: str) -> Readability:
    """The readability of the table that TIW-DSM's runs on a setting stand in."""
    trained = finished("05_train")
    tiw = [r for r in without_tuning(trained) if r["params"]["setting"] == setting]
    tiw = [r for r in tiw if r["params"]["method"] == "tiw_dsm" and r["params"]["ratio"] == "plain"]
    return guard.readability(tiw[0]["params"], trained) if tiw else Readability(runs=0)


def shown() -> str:
    """The setting of the first sentence and its picture: the larger images, where their table can be read."""
    there = (results_root() / picture_of(BETTER)).exists()
    return BETTER if there and table_of(BETTER).readable else COLOUR


def debiases() -> str:
    """What plain training and TIW-DSM draw, on digits with a hue and with a long tail, and how good the samples are."""
    obs, tiw = (of_setting(shown(), method) for method in ("dsm_obs", "tiw_dsm"))
    first = [mean(rows, lambda m: m["group_shares"][0]) for rows in (obs, tiw)]
    in_data = mean(obs, lambda m: 0.5 + (1 - m["reference_fraction"]) * m["biased_total_variation"])
    tails = [of_setting(TAIL, method) for method in ("dsm_obs", "tiw_dsm")]
    tail = [mean(rows, "total_variation") for rows in tails]
    floor = fair_floor((0.1,) * 10, tiw[0]["n_samples"])[0]
    quality = [[mean(rows, name) for rows in reversed(tails)] for name in ("precision", "recall")]
    return (
        f"**TIW-DSM removes most of a bias, not all of it.** Plain training, DSM(obs), on digits of which "
        f"{in_data:.0%} have one hue draws {first[0]:.0%} in that hue, TIW-DSM {first[1]:.0%} (means of "
        f"{len(obs)} and {len(tiw)} seeds, 50 % is fair). On digits with a long tail the total variation of the "
        f"classes, 0 if they are fair, falls from {tail[0]:.2f} to {tail[1]:.2f} ({len(tails[0])} seeds each), where "
        f"counting a fair sampler's images leaves {floor:.2f}. Of the samples behind that total variation "
        f"{quality[0][0]:.0%} lie among real images (precision; DSM(obs): {quality[0][1]:.0%}), and they cover "
        f"{quality[1][0]:.0%} of the real images (recall; DSM(obs): {quality[1][1]:.0%})."
    )


def caveat() -> str:
    """Which of the numbers of the first sentence come from samples that cannot be read; "" where all can."""
    texts = [
        f"{setting} ({'; '.join(table.faults)})"
        for setting in (shown(), TAIL)
        if not (table := table_of(setting)).readable
    ]
    return f"**Not readable**, and judged by no claim: {', '.join(texts)}." if texts else ""


RIVALS = {
    "DSM(obs)": "plain training on all images",
    "IW-DSM": "importance weights of the clean images",
    "DSM(ref)": "plain training on the reference images alone",
}
MEASURES = {"total variation of shares": "group shares", "classifier Frechet distance": "Frechet distance"}
PLACES = {
    "digits-lt": "long-tailed digits",
    COLOUR: "coloured digits",
    "mnist14-lt-5": "long-tailed MNIST",
    "mnist14-colour-90": "coloured MNIST",
}


def listed(words: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def better_than() -> str:
    """What TIW-DSM beats, a sentence for each rival, by the claims that say so."""
    found = {rival: {HOLDS: {}, FAILS: {}, OPEN: {}} for rival in RIVALS}
    for entry in ledger():
        claim = RIVAL.search(entry["statement"])
        if claim and entry["verdict"] in (HOLDS, FAILS, OPEN) and entry["setting"] in PLACES:
            measure = MEASURES.get(claim["measure"], claim["measure"])
            measures = found[claim["rival"]][entry["verdict"]].setdefault(PLACES[entry["setting"]], [])
            measures.append(measure)
    words = {HOLDS: "it is better", FAILS: "it is not better", OPEN: "our seeds do not tell them apart"}
    sentences = []
    for rival, by_verdict in found.items():
        parts = [
            f"{word} {', and '.join(f'in {listed(measures)} on {place}' for place, measures in places.items())}"
            for verdict, word in words.items()
            if (places := by_verdict[verdict])
        ]
        if parts:
            sentences.append(f"Against **{rival}**, {RIVALS[rival]}, {'; '.join(parts)}.")
    recalls = [mean(of_setting("digits-lt", method), "recall") for method in ("dsm_ref", "tiw_dsm")]
    if not sentences:
        return ""
    return (
        f"**Better than what?** {' '.join(sentences)} But DSM(ref) copies its few images: on long-tailed digits "
        f"its samples cover {recalls[0]:.0%} of the real images, TIW-DSM's {recalls[1]:.0%}."
    )


def cost_and_rest() -> str:
    """What TIW-DSM costs, and how all claims stand."""
    step = next(entry for entry in ledger() if entry["id"] == "step-cost")
    texts = []
    for whose, chosen in (("the paper's", True), ("our own", False)):
        counts = Counter(e["verdict"] for e in ledger() if e["source"].startswith("paper") == chosen)
        texts.append(
            f"of {whose} {sum(counts.values())} claims {counts[HOLDS]} hold, {counts[FAILS]} do not, "
            f"{counts[OPEN]} {'is' if counts[OPEN] == 1 else 'are'} not decided at this size, "
            f"{counts[UNREADABLE]} rest on samples that cannot be read and {counts[UNTESTED]} are not tested"
        )
    return (
        f"**Cost, and what was not tested.** A training step takes {step['value']:.2f} times a plain one on digits, "
        f"after the ratio was fitted once; sampling takes nothing more. [{'; '.join(texts).capitalize()}]"
        "(docs/ledger.md). The paper's FID tables are not reproduced: CIFAR-10, CelebA and FFHQ were not trained here."
    )


def headline() -> str:
    """The verdict in three sentences, and what cannot be read."""
    return "\n\n".join(filter(None, (debiases(), caveat(), better_than(), cost_and_rest())))


def picture() -> str:
    """The samples of plain training and of TIW-DSM side by side, with an alternative text that says the result."""
    setting = shown()
    metrics = record("metrics", "06_results", setting)["side_by_side"]
    said = "; ".join(f"{run_label(key)}: {share:.0%} in the common hue" for key, share in metrics.items())
    return f"![Samples of digits in two hues. {said}]({Path('results') / picture_of(setting)})"
