"""Every claim of the paper and of ours with a verdict: `python -m ledger` writes results/claims.json.

A claim is an entry of a list: a statement, where it is from, how it is measured from the records that a sweep makes,
and the rule by which the interval decides. Nothing is typed by hand but the statements and the rules.
"""

from ledger import ablations, digits, mnist, paper_scale, plane, siblings

CLAIMS = (
    *plane.CLAIMS,
    *digits.CLAIMS,
    *mnist.CLAIMS,
    *ablations.CLAIMS,
    *siblings.CLAIMS,
    *paper_scale.CLAIMS,
)


def judged() -> list[dict]:
    """All claims with what was measured, as claims.json holds them."""
    ids = [claim.id for claim in CLAIMS]
    if repeats := sorted({i for i in ids if ids.count(i) > 1}):
        raise ValueError(f"claims that share an id: {', '.join(repeats)}")
    return [claim.judged() for claim in CLAIMS]
