"""The paper's numbers on its own data, all of them single runs there: for whoever has the GPUs."""

from ledger.claim import Claim
from ledger.digits import LABELS, RIVALS, dashed, trained
from ledger.evidence import UNIT, difference, of_runs, records, repeated
from ledger.rules import below, near
from tiwlib.data.sources import CELEBA_GROUPS

# The paper's numbers on its own data: claimed value, of what, and what we would measure.
FID_CIFAR = {"tiw_dsm": 11.51, "dsm_obs": 12.99, "iw_dsm": 15.79, "w_only": 13.27}
FID_C_ONLY = {"5": 0.11, "10": 0.07, "25": -0.16, "50": 0.08}
FID_CELEBA = {"tiw_dsm": 2.40, "iw_dsm": 2.43}
SHARES_CELEBA = dict(zip(CELEBA_GROUPS, (0.310, 0.278, 0.201, 0.211), strict=True))


def fid(method: str, value: float, sweep: str, setting: str) -> Claim:
    return Claim(
        id=dashed(setting, method, "fid"),
        statement=f"{LABELS[method]} has an FID of {value:.2f}",
        source="paper, one run",
        setting=setting,
        quantity=f"FID (Inception), {LABELS[method]}",
        measure=lambda: repeated(trained(method, "fid", sweep, setting=setting)),
        rule=near(value, 0.5),
        sweep=sweep,
    )


def fid_order(better: str, worse: str, sweep: str, setting: str) -> Claim:
    return Claim(
        id=dashed(setting, better, worse),
        statement=f"{LABELS[better]} beats {LABELS[worse]} in FID",
        source="paper, one run",
        setting=setting,
        quantity=f"FID (Inception), {LABELS[better]} minus {LABELS[worse]}",
        measure=lambda: difference(
            trained(better, "fid", sweep, setting=setting), trained(worse, "fid", sweep, setting=setting)
        ),
        rule=below(0),
        sweep=sweep,
    )


def c_only_fid(percent: str, gap: float) -> Claim:
    setting = f"cifar10-lt-{percent}"
    return Claim(
        id=f"{setting}-c-only",
        statement=f"The correction alone does as well as the full objective: C-only's FID is {gap:+.2f} from it",
        source="paper, one run",
        setting=setting,
        quantity="FID (Inception), C-only minus TIW-DSM",
        measure=lambda: difference(
            trained("c_only", "fid", "cifar10", setting=setting),
            trained("tiw_dsm", "fid", "cifar10", setting=setting),
        ),
        rule=near(0, 0.25),
        sweep="cifar10",
    )


def celeba_share(group: str, share: float) -> Claim:
    def of_group(metrics: dict) -> float:
        return metrics["group_shares"][metrics["group_names"].index(group)]

    where = {"setting": "celeba-5", "method": "tiw_dsm", "reference_fraction": None, "alpha": 1.0}
    return Claim(
        id=f"celeba-5-share-{group.replace(', ', '-').replace(' ', '-')}",
        statement=f"Of TIW-DSM's faces {share:.1%} are {group}",
        source="paper, one run",
        setting="celeba-5",
        quantity="share of the samples",
        measure=lambda: repeated(of_runs(records("celeba", "05_train", **where), of_group, UNIT)),
        rule=near(share, 0.03),
        sweep="celeba",
    )


CLAIMS = [
    *(fid(method, value, "cifar10", "cifar10-lt-5") for method, value in FID_CIFAR.items()),
    *(fid_order("tiw_dsm", rival, "cifar10", "cifar10-lt-5") for rival in RIVALS),
    *(c_only_fid(percent, gap) for percent, gap in FID_C_ONLY.items()),
    *(fid(method, value, "celeba", "celeba-5") for method, value in FID_CELEBA.items()),
    fid_order("tiw_dsm", "iw_dsm", "celeba", "celeba-5"),
    *(celeba_share(group, share) for group, share in SHARES_CELEBA.items()),
]
