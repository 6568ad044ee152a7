"""One claim, and its verdict."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from ledger.evidence import Measured, Missing
from ledger.rules import OPEN, UNTESTED, Rule

SEEDS = 5  # a claim about trained networks asks for as many; with fewer, the entry says so


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is claimed, and what decides it.

    id: unique. source: whose claim. setting, quantity: in which problem, and which number. measure: gives that number
    or raises Missing. rule: when the claim holds. sweep: the file in workflow/ that makes the runs, or the script and
    part of benchmarks/ that makes the rows, "benchmarks/speed.py". of_samples: whether the number is read off generated
    images, and is worth nothing where they cannot be read.
    """

    id: str
    statement: str
    source: str
    setting: str
    quantity: str
    measure: Callable[[], Measured]
    rule: Rule
    sweep: str = "ledger"
    of_samples: bool = True

    @property
    def command(self) -> str:
        if self.sweep.startswith("benchmarks/"):
            return f"python {self.sweep}"
        return "make ledger" if self.sweep == "ledger" else f"make sweep CONFIG=workflow/{self.sweep}.yaml"

    def judged(self) -> dict:
        """The entry of claims.json."""
        entry = {
            **{name: getattr(self, name) for name in ("id", "statement", "source", "setting", "quantity")},
            "rule": self.rule.text,
            "command": self.command,
        }
        try:
            measured = self.measure()
        except Missing as missing:
            return {**entry, "verdict": UNTESTED, "why": f"{missing}: {self.command}"}
        verdict = self.rule.verdict(measured)
        numbers = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(measured).items()}
        entry |= {name: numbers[name] for name in ("interval", "seeds", "runs")}
        entry |= {name: _rounded(numbers[name]) for name in ("value", "low", "high")}
        entry |= {
            "verdict": verdict,
            "values": [_rounded(value) for value in numbers["values"]],
            "notebooks": sorted({run.split("/")[0] for run in measured.runs} - {"benchmarks"}),
            "asks": SEEDS if measured.values else 0,
            "p_value": _rounded(self.rule.p_value(measured)),
            "underpowered": self.rule.underpowered(measured),
        }
        if verdict == OPEN:
            entry["why"] = "the interval lies on both sides of the limit"
            entry["seeds_to_decide"] = self.rule.seeds_to_decide(measured)
        return entry


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
