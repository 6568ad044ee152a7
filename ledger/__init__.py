"""Every claim of the paper and of ours with a verdict: `python -m ledger` writes results/claims.json.

A claim is an entry of a list: a statement, where it is from, how it is measured from the records that a sweep makes,
and the rule by which the interval decides. Nothing is typed by hand but the statements and the rules.
"""

from ledger import (
    ablations,
    baselines,
    bias_left,
    colour,
    copies,
    digits,
    estimators,
    mnist,
    mnist8,
    paper_scale,
    same_ratio,
    two_d,
)
from ledger.readable import mark_unreadable
from ledger.rules import LEVEL, OPEN, UNREADABLE, UNTESTED, among_all

CLAIMS = (
    *two_d.CLAIMS,
    *colour.CLAIMS,
    *digits.CLAIMS,
    *estimators.CLAIMS,
    *same_ratio.CLAIMS,
    *bias_left.CLAIMS,
    *copies.CLAIMS,
    *mnist8.CLAIMS,
    *mnist.CLAIMS,
    *ablations.CLAIMS,
    *baselines.CLAIMS,
    *paper_scale.CLAIMS,
)


def judged(claims=CLAIMS) -> list[dict]:
    """All claims with what was measured and the verdict of each alone and among all, as claims.json holds them."""
    ids = [claim.id for claim in claims]
    if repeats := sorted({i for i in ids if ids.count(i) > 1}):
        raise ValueError(f"claims that share an id: {', '.join(repeats)}")
    entries = [claim.judged() for claim in claims]
    mark_unreadable(entries, [claim.of_samples for claim in claims])
    mark_repeated_numbers(entries)
    judge_together(entries)
    return entries


def mark_repeated_numbers(entries: list[dict]) -> None:
    """Name in `same_number_as` the first claim that rests on the same number under the same rule: one test, not two.

    Closed forms that are one density give the same number to the last digit: no chance is in them.
    """
    first = {}
    for entry in measured(entries):
        key = (entry["value"], entry["rule"])
        if not entry["values"] and first.setdefault(key, entry["id"]) != entry["id"]:
            entry["same_number_as"] = first[key]


def judge_together(entries: list[dict]) -> None:
    """The verdict that is left to each claim when all numbers that were looked at are judged together."""
    tests = counted_once(entries)
    adjusted = dict(zip((e["id"] for e in tests), among_all([e["p_value"] for e in tests]), strict=True))
    for entry in measured(entries):
        p = adjusted[entry.get("same_number_as", entry["id"])]
        entry["p_value_among_all"] = float(f"{p:.6g}")
        entry["verdict_among_all"] = entry["verdict"] if p < LEVEL else OPEN
        entry["looked_at"] = len(tests)


def measured(entries: list[dict]) -> list[dict]:
    """The claims that a rule has judged."""
    return [entry for entry in entries if entry["verdict"] not in (UNTESTED, UNREADABLE)]


def counted_once(entries: list[dict]) -> list[dict]:
    """The measured claims without those that repeat another one's number."""
    return [entry for entry in measured(entries) if "same_number_as" not in entry]
