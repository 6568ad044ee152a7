"""The first screen of the README: what was measured in one table, the verdict on it, and one picture."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np

from ledger import image_rows
from ledger.copies import RARE, of_tiw
from ledger.markdown import header, line, text_of
from ledger.rules import FAILS, HOLDS, OPEN, UNREADABLE, UNTESTED
from tiwlib.measures.floor import fair_floor
from tiwlib.measures.readable import Readability
from tiwlib.objectives import METHODS
from tiwlib.runs import finished, guard, results_root
from tiwlib.runs.tables import run_label, without_tuning

COLOUR, BETTER = (
    "digits-colour-90",
    "mnist8-colour-90",
)  # the second takes the first one's place once it can be read
TAIL = "digits-lt"
RIVAL = re.compile(r"TIW-DSM beats (?P<rival>\S+) in (?P<measure>.+)")


def ledger() -> list[dict]:
    """The entries of results/claims.json."""
    return json.loads((results_root() / "claims.json").read_text())


def record(part: str, notebook: str, run: str = "default") -> dict:
    """metrics, params or provenance of one finished run."""
    return json.loads((results_root() / notebook / run / f"{part}.json").read_text())


def of_setting(setting: str, method: str, **params) -> list[dict]:
    """The metrics of a method's finished runs on a setting, as the tables choose them, or with these parameters."""
    chosen = image_rows.of_setting(without_tuning(finished("05_train")), setting, method, **params)
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


OTHER = {"ratio": "posterior", "base_steps": 400}  # the ratio that docs/estimators.md recommends
ROWS = (
    ("dsm_obs", {}),
    ("dsm_ref", {}),
    ("iw_dsm", {}),
    ("tiw_dsm", {}),
    ("tiw_dsm", OTHER),
)  # a method, its ratio


def red(rows: list[dict]) -> float:
    """The mean share of the common hue."""
    return mean(rows, lambda metrics: metrics["group_shares"][0])


def debiases() -> str:
    """What TIW-DSM does to the shares of the groups, and what for, in words and numbers."""
    obs, tiw = (of_setting(shown(), method) for method in ("dsm_obs", "tiw_dsm"))
    in_data = mean(obs, lambda m: 0.5 + (1 - m["reference_fraction"]) * m["biased_total_variation"])
    tail = [of_setting(TAIL, method) for method in ("dsm_obs", "tiw_dsm")]
    change = [mean(rows, n) for n in ("total_variation", "precision", "recall") for rows in tail]
    unfair = (red(tiw) - 0.5) / (red(obs) - 0.5), change[1] / change[0]
    way = "most of the way" if max(map(abs, unfair)) < 0.5 else "a part of the way"
    return (
        f"**TIW-DSM moves the shares of the groups {way} to fair ones.** On {PLACES[shown()]}, {in_data:.0%} red, "
        f"plain training draws {red(obs):.0%} red and TIW-DSM {red(tiw):.0%}; fair is 50%. On {PLACES[TAIL]} the total "
        "variation of the class shares from equal ones falls from {:.2f} to {:.2f}, precision goes from {:.2f} to "
        "{:.2f}, and recall from {:.2f} to {:.2f}.".format(*change)
        + on_other_ratio()
        + copied()
        + beside_iw()
    )


def copied() -> str:
    """Whether its rare hue is copied where few images have it, and new where many do, by the claims among all."""
    few, many = (judged(f"copies-{name}tiw-dsm-blue") for name in ("", f"{BETTER}-"))
    if few.get("verdict_among_all") != FAILS:
        return ""
    rare = of_tiw(RARE, COLOUR)
    said = (
        f" Of {PLACES[COLOUR]} those of the rare hue, {rare.trained_on[0]} in training, come out as near copies "
        f"({rare.part.mean():.2f} as far from a training image as unseen digits"
    )
    if many.get("verdict_among_all") == HOLDS:
        rare = of_tiw(RARE, BETTER)
        said += f"); of {PLACES[BETTER]}, with {rare.trained_on[0]:,}, they are new ({rare.part.mean():.2f}"
    return said + "; [results](docs/results.md))."


def judged(id: str) -> dict:
    """The entry of one claim."""
    return next(entry for entry in ledger() if entry["id"] == id)


def on_other_ratio() -> str:
    """What TIW-DSM does on the ratio that the docs recommend, where the claims on both problems hold."""
    if {judged(id)["verdict"] for id in ("estimator-short-base", "estimator-short-base-hue")} != {HOLDS}:
        return ""
    tail, hues = (of_setting(setting, "tiw_dsm", **OTHER) for setting in (TAIL, COLOUR))
    plain, fallen = of_setting(COLOUR, "tiw_dsm"), mean(tail, "total_variation")
    ratio = "our [posterior ratio](docs/estimators.md)"
    if shown() == COLOUR:
        return f" On {ratio} it draws {red(hues):.0%} red, and the total variation falls to {fallen:.2f}."
    return (
        f" On {ratio} the total variation falls to {fallen:.2f}; of "
        f"{plain[0]['n_biased'] + plain[0]['n_reference']} {PLACES[COLOUR]} it draws {red(hues):.0%} red, on the plain "
        f"ratio {red(plain):.0%}."
    )


def label_of(method: str, params: dict) -> str:
    """The method, and where its ratio is from if it is not the plain discriminator."""
    return METHODS[method].label + (f", [{params['ratio']} ratio](docs/estimators.md)" if params else "")


def methods() -> str:
    """Every method on both kinds of digits: shares of the groups and, on the long tail, the quality of the samples."""
    counted = [of_setting(setting, "tiw_dsm")[0] for setting in (shown(), TAIL)]
    floor = fair_floor((0.1,) * 10, counted[1]["n_samples"])[0]
    titles = (
        "share of red (0.5 is fair)",
        f"total variation (0 is fair, {floor:.3f} is what counting leaves)",
        "precision",
        "recall",
    )
    lines = header("method", *titles)
    for method, params in ROWS:
        hues, tail = (of_setting(setting, method, **params) for setting in (shown(), TAIL))
        cells = [text_of([red([row]) for row in hues], "group_shares")]
        cells += [text_of([row[n] for row in tail], n) for n in ("total_variation", "precision", "recall")]
        if any(cells):
            lines.append(line(label_of(method, params), *cells))
    hues, tail = (f"{m['n_biased']:,} biased and {m['n_reference']} reference images" for m in counted)
    seeds = len(of_setting(TAIL, "tiw_dsm"))
    return "\n".join(
        [
            *lines,
            "",
            f"Digits of 8 x 8 pixels, {counted[0]['n_samples']:,} samples each. First column: {PLACES[shown()]}, "
            f"{hues}; the others: {PLACES[TAIL]} (scikit-learn), {tail}, {seeds} seeds. In brackets: "
            "Student's 95 % interval (a to b), or up to three seeds' values (a, b). Precision: the samples' part among "
            "real images; recall: the real images' part among samples.",
        ]
    )


def beside_iw() -> str:
    """That TIW-DSM is not shown to be fairer than IW-DSM, and somewhere less fair, where the claims say so."""
    said = [entry for entry in ledger() if "TIW-DSM beats IW-DSM in total variation" in entry["statement"]]
    verdicts = {entry["verdict"] for entry in said}
    if HOLDS in verdicts or FAILS not in verdicts:
        return ""
    return " On the plain ratio our seeds show it nowhere fairer than IW-DSM, which weights each image once."


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
    "IW-DSM": "with a ratio of images without noise",
    "DSM(ref)": "plain training on the reference images alone",
}
MEASURES = {"total variation of shares": "group shares", "classifier Frechet distance": "Frechet distance"}
PLACES = {
    TAIL: "long-tailed digits",
    COLOUR: "coloured digits",
    "mnist8-lt-5": "long-tailed MNIST",
    BETTER: "coloured MNIST",
}


def listed(words: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def places_of(places: dict[str, list[str]]) -> str:
    """What was measured, and where: "group shares on coloured digits and on long-tailed digits"."""
    where = {}
    for place, measures in places.items():
        for measure in measures:
            where.setdefault(measure, []).append(place)
    alike = {}
    for measure, there in where.items():
        alike.setdefault(tuple(there), []).append(measure)
    return ", and in ".join(
        f"{listed(measures)} on {listed(list(there))}" for there, measures in alike.items()
    )


def better_than() -> str:
    """What TIW-DSM beats, a sentence for each rival, by the claims that say so."""
    found = {rival: {HOLDS: {}, FAILS: {}, OPEN: {}} for rival in RIVALS}
    for entry in ledger():
        claim = RIVAL.search(entry["statement"])
        if claim and entry["verdict"] in (HOLDS, FAILS, OPEN) and entry["setting"] in PLACES:
            measure = MEASURES.get(claim["measure"], claim["measure"])
            measures = found[claim["rival"]][entry["verdict"]].setdefault(PLACES[entry["setting"]], [])
            measures.append(measure)
    words = {HOLDS: "it is better", FAILS: "it is worse", OPEN: "our seeds leave it open"}
    sentences = []
    for rival, by_verdict in found.items():
        parts = [
            f"{word} in {places_of(places)}"
            for verdict, word in words.items()
            if (places := by_verdict[verdict])
        ]
        if parts:
            sentences.append(f"Against **{rival}**, {RIVALS[rival]}, {'; '.join(parts)}.")
    nearest = [mean(of_setting(TAIL, method), "nearest") for method in ("dsm_ref", "tiw_dsm")]
    if not sentences:
        return ""
    return (
        f"**Better than what?** {' '.join(sentences)} DSM(ref) copies its few images: on {PLACES[TAIL]} its "
        f"samples are {nearest[1] / nearest[0]:.0f} times as near to a training image as TIW-DSM's."
    )


def cost_and_rest() -> str:
    """What TIW-DSM costs, and how all claims stand."""
    step = judged("step-cost")
    seconds = stages("tiw_dsm")
    texts = []
    for whose, chosen in (
        ("tests put the paper's claims to our data and measures", True),
        ("claims are our own", False),
    ):
        counts = Counter(e["verdict"] for e in ledger() if e["source"].startswith("paper") == chosen)
        decided = f"{counts[HOLDS]} hold, {counts[FAILS]} do not hold here, {counts[OPEN]} are open"
        rest = f"{counts[UNTESTED]} were not run, {counts[UNREADABLE]} rest on samples too poor to judge"
        texts.append(f"{sum(counts.values())} {whose}: {decided}, {rest}.")
    return (
        "**Cost.** The ratio is fitted once, before the denoiser: on long-tailed digits it took "
        f"{seconds['ratio']:.0f} seconds, training {seconds['training']:.0f}. A training step then takes "
        f"{step['value']:.2f} times a plain one, sampling nothing more.\n\n"
        f"**How many claims were tested.** {' '.join(texts)} The [ledger](docs/ledger.md) has each with its interval. "
        "The paper's FID tables are not reproduced: CIFAR-10, CelebA and FFHQ were not trained here."
    )


def stages(method: str) -> dict[str, float]:
    """Seconds of one thread that the fits of a method took on the long tail, in the first run without a stop."""
    runs = image_rows.of_setting(without_tuning(finished("05_train")), TAIL, method)
    found = [r["provenance"]["stages"] for r in runs]
    whole = next(each for each in found if "training" in each)
    return {name: whole[name]["seconds"] for name in ("ratio", "training")}


def headline() -> str:
    """The verdict, and what cannot be read."""
    return "\n\n".join(filter(None, (debiases(), caveat(), better_than(), cost_and_rest())))


def picture() -> str:
    """The samples of plain training and of TIW-DSM side by side, with an alternative text that says the result."""
    setting = shown()
    metrics = record("metrics", "06_results", setting)["side_by_side"]
    said = "; ".join(f"{run_label(key)}: {share:.0%} red" for key, share in metrics.items())
    return f"![Samples of digits in two hues, one seed. {said}]({Path('results') / picture_of(setting)})"
