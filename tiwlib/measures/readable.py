"""Whether the shares in a table can be read: what its plain model draws must be legible, with the shares of its data.

Plain training, DSM(obs), removes no bias. Where its samples are no images of a group, or have other shares than the
batches that it was trained on, then training or judge have moved the shares, and so they may for every method.
"""

from dataclasses import dataclass

import numpy as np

from tiwlib.measures.floor import fair_floor
from tiwlib.measures.intervals import share_interval
from tiwlib.measures.shares import total_variation

LEAST_PRECISION, MOST_UNSURE = 0.8, 0.05  # set before the runs that they judge


@dataclass(frozen=True, kw_only=True)
class Readability:
    """What the runs of a plain model say of a table, in means over the runs; None is not known.

    runs       their number
    precision  in the features of all other distances, in [0, 1]
    unsure     share of the samples that the judge cannot read, in [0, 1]
    distance   total variation of the samples' shares from the batches', in [0, 1]
    allowed    largest distance that counting and the judge's errors explain, in [0, 1]
    """

    runs: int
    precision: float | None = None
    unsure: float | None = None
    distance: float | None = None
    allowed: float | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """What makes the table not readable, in words; () where nothing does."""
        if not self.runs:
            return ("no finished run of its plain model",)
        faults = []
        if self.precision is not None and self.precision < LEAST_PRECISION:
            faults.append(f"precision {self.precision:.2f}, below {LEAST_PRECISION:g}")
        if self.unsure is not None and self.unsure > MOST_UNSURE:
            faults.append(f"{self.unsure:.1%} unsure, above {MOST_UNSURE:.0%}")
        if self.distance is not None and self.distance > self.allowed:
            faults.append(f"shares {self.distance:.3f} from its batches', above {self.allowed:.3f}")
        return tuple(faults)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What the records do not hold; () where there is no run at all."""
        names = {"precision": self.precision, "unsure": self.unsure, "shares of the batches": self.distance}
        return tuple(name for name, value in names.items() if value is None) if self.runs else ()

    @property
    def readable(self) -> bool:
        """Whether nothing that is known speaks against it."""
        return not self.faults

    @property
    def text(self) -> str:
        """The verdict with its reasons, as tables print it."""
        verdict = "readable" if self.readable else f"not readable: {'; '.join(self.faults)}"
        return verdict + (f" (not recorded: {', '.join(self.unknown)})" if self.unknown else "")


def of_plain_model(rows: list[dict], batches: list[np.ndarray | None], errors: list[float]) -> Readability:
    """The readability of a table, from the metrics of its plain model's runs.

    rows     metrics of each run: precision, unsure, group_shares and n_samples, as far as they are known
    batches  (G,) for each run, the group shares of what it was trained on, or None where they are not known
    errors   of each run's judge, the share of images that it may name wrongly, in [0, 1]
    Counting: of a sampler with exactly the shares of the batches, 95 of 100 runs stay within the allowed distance.
    """
    judged = [
        (row, shares, error)
        for row, shares, error in zip(rows, batches, errors, strict=True)
        if shares is not None and "group_shares" in row
    ]
    distances = [total_variation(np.array(row["group_shares"]), shares) for row, shares, _ in judged]
    allowed = [fair_floor(tuple(shares), row["n_samples"])[1] + error for row, shares, error in judged]
    return Readability(
        runs=len(rows),
        precision=_mean([row.get("precision") for row in rows]),
        unsure=_mean([row.get("unsure") for row in rows]),
        distance=_mean(distances),
        allowed=_mean(allowed),
    )


def judge_error(accuracy: float, n: int) -> float:
    """The share of images that a judge may name wrongly, of accuracy on n held-out ones: Wilson's upper 95 % limit.

    Two wrong of 359 are no proof that the judge errs as rarely as in one of 200 images.
    """
    return share_interval(round((1 - accuracy) * n), n)[2]


def _mean(values: list[float | None]) -> float | None:
    """The mean; None where a value is missing or there is none."""
    return float(np.mean(values)) if values and None not in values else None
