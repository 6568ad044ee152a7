"""One claim, and its verdict."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from ledger import evidence


@dataclass(frozen=True)
class Claim:
    """What is claimed, and what decides it.

    id: unique. source: whose claim. setting, quantity: in which problem, and which number. measure: gives that number
    or raises Missing. rule: when the claim holds. sweep: the file in workflow/ that makes the runs.
    """

    id: str
    statement: str
    source: str
    setting: str
    quantity: str
    measure: Callable[[], evidence.Measured]
    rule: evidence.Rule
    sweep: str = "ledger"

    @property
    def command(self) -> str:
        return "make ledger" if self.sweep == "ledger" else f"make sweep CONFIG=workflow/{self.sweep}.yaml"

    def judged(self) -> dict:
        """The entry of claims.json."""
        entry = {
            **{name: getattr(self, name) for name in ("id", "statement", "source", "setting", "quantity")},
            "rule": self.rule.text,
            "command": self.command,
        }
        try:
            found = self.measure()
        except evidence.Unmeasured as missing:
            return {**entry, "verdict": evidence.UNTESTED, "why": str(missing)}
        except evidence.Missing as missing:
            return {**entry, "verdict": evidence.UNTESTED, "why": f"{missing}: {self.command}"}
        verdict = self.rule.verdict(found)
        entry |= {**asdict(found), "notebooks": sorted({run.split("/")[0] for run in found.runs})}
        entry |= {name: float(f"{entry[name]:.6g}") for name in ("value", "low", "high")}
        why = {"why": "the interval lies on both sides of the limit"} if verdict == evidence.OPEN else {}
        return {**entry, "verdict": verdict, **why}
