"""The numbers of the README and the docs: tables made from the records under results/, put between markers.

`python -m ledger.report` rewrites them; a test compares.
"""

import re
from collections import Counter
from pathlib import Path

from ledger import counted_once, measured
from ledger.baseline_tables import baselines
from ledger.bias_left import bias_left
from ledger.copies import copies
from ledger.estimator_tables import (
    bases,
    blind_spot,
    estimators,
    estimators_digits,
    estimators_digits_gain,
    estimators_hues,
    estimators_images,
    estimators_images_loss,
    estimators_measures,
    estimators_two_d,
    estimators_two_d_gain,
    gradient_noise,
    minimisers_apart,
    ratio_terms,
    trained_on_exact,
    tries,
    tries_two_d,
)
from ledger.front import headline, ledger, methods, picture
from ledger.image_tables import (
    alphas,
    decided,
    digits_sizes,
    hues,
    lengths,
    mnist8_sizes,
    parts,
    subgroups,
    training_choices,
    vanishing_weights,
)
from ledger.markdown import header, line, plain, row
from ledger.provenance import times, unhashed
from ledger.rules import FAILS, HOLDS, OPEN, UNREADABLE, UNTESTED
from ledger.superseded import first_ratio_errors, first_training
from ledger.tables import (
    digits,
    invdiff_losses,
    mnist,
    notebooks,
    pretrained,
    ratio,
    ratio_size,
    speed,
    two_d,
)
from tiwlib.measures.intervals import as_text
from tiwlib.runs import PROJECT


def verdict() -> str:
    """How many claims hold: each number once, alone and judged among all."""
    entries = ledger()
    tests = counted_once(entries)
    alone, together = (Counter(entry[name] for entry in tests) for name in ("verdict", "verdict_among_all"))
    repeats = len(measured(entries)) - len(tests)
    few = sum(len(entry["seeds"]) < entry["asks"] for entry in tests)
    weak = sum(entry["underpowered"] for entry in tests)
    among = Counter(entry["verdict"] for entry in entries)
    return (
        f"Of {len(tests)} claims that were measured ({repeats} more rest on a number that another one has), "
        f"{alone[HOLDS]} hold, {alone[FAILS]} do not hold here and {alone[OPEN]} are not decided; judged together "
        f"(Benjamini and Hochberg, 5 %) {together[HOLDS]}, {together[FAILS]} and {together[OPEN]}. "
        f"{few} rest on fewer seeds than the ledger asks; {weak} could not have held: their interval is wider than "
        f"the limit. {among[UNREADABLE]} are not judged, for their samples cannot be read; {among[UNTESTED]} were not "
        "tested."
    )


def measured_text(claim: dict) -> str:
    """The number of a claim with its interval, or with its single values where there are few."""
    cell = {"mean": claim["value"], "low": claim["low"], "high": claim["high"]}
    if len(claim["values"]) == len(claim["seeds"]):  # else it is computed, or timings of one run
        cell["seeds"] = claim["values"]
    return f"{claim['quantity']}: {as_text(cell)}"


def needs(claim: dict) -> str:
    """What a claim that is not decided, or could not have held, would have needed."""
    texts = ["interval wider than the limit"] if claim["underpowered"] else []
    if "seeds_to_decide" in claim:
        texts.append(f"decided by {claim['seeds_to_decide']} seeds at this mean and spread")
    if "same_number_as" in claim:
        texts.append(f"the same number as {claim['same_number_as']}")
    return "; ".join(texts)


def claims() -> str:
    """The ledger: every claim with its verdict; those without a run yet are folded away."""
    entries = ledger()
    lines = header(
        "claim",
        "whose",
        "setting, notebook",
        "measured",
        "holds if",
        "verdict",
        "among all",
        "seeds",
        "needs",
    )
    for claim in measured(entries):
        where = ", ".join([claim["setting"], *(name[:2] for name in claim["notebooks"])])
        seeds = f"{len(claim['seeds'])} of {claim['asks']}" if claim["asks"] else "closed form"
        texts = (claim["statement"], claim["source"], where, measured_text(claim), claim["rule"])
        ends = (claim["verdict_among_all"], seeds, needs(claim))
        lines.append(line(*map(plain, texts), f"**{plain(claim['verdict'])}**", *map(plain, ends)))
    return "\n".join([*lines, *folded(entries, UNREADABLE), *folded(entries, UNTESTED)])


def folded(entries: list[dict], verdict: str) -> list[str]:
    """Claims that are not judged, folded away with the reason, and the number where one was measured."""
    chosen = [claim for claim in entries if claim["verdict"] == verdict]
    if not chosen:
        return []
    lines = ["", f"<details><summary>{verdict}: {len(chosen)} claims</summary>", ""]
    lines += header("claim", "whose", "setting", "measured", "why not judged", "holds if")
    for claim in chosen:
        number = measured_text(claim) if "value" in claim else ""
        texts = (claim["statement"], claim["source"], claim["setting"], number, claim["why"], claim["rule"])
        lines.append(row(*texts))
    return [*lines, "", "</details>"]


PAGES = {
    PROJECT / "README.md": (headline, methods, picture, times, notebooks),
    PROJECT / "docs" / "results.md": (
        *(
            hues,
            copies,
            bias_left,
            mnist8_sizes,
            subgroups,
            two_d,
            ratio,
            first_ratio_errors,
            digits,
            digits_sizes,
            parts,
            alphas,
            vanishing_weights,
        ),
        *(decided, lengths, training_choices, first_training, mnist, baselines),
    ),
    PROJECT / "docs" / "estimators.md": (
        *(estimators, estimators_hues, bases),
        *(estimators_two_d, estimators_two_d_gain, estimators_digits, estimators_digits_gain),
        *(estimators_images, estimators_images_loss),
        *(estimators_measures, tries, tries_two_d, ratio_terms, blind_spot),
        *(gradient_noise, trained_on_exact, minimisers_apart),
    ),
    PROJECT / "docs" / "baselines.md": (invdiff_losses,),
    PROJECT / "docs" / "ledger.md": (verdict, unhashed, claims),
    PROJECT / "docs" / "pretrained.md": (pretrained,),
    PROJECT / "docs" / "performance.md": (speed, ratio_size),
}


def filled(page: Path) -> str:
    """A page with each of its marked parts made anew: <!-- two_d --> ... <!-- end -->."""
    text = page.read_text()
    for part in PAGES[page]:
        pattern = rf"(<!-- {part.__name__} -->\n).*?(<!-- end -->)"
        text, count = re.subn(pattern, lambda m, part=part: f"{m[1]}{part()}\n{m[2]}", text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"{page.name}: has {count} parts marked <!-- {part.__name__} -->, must be one")
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page))
