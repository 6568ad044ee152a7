"""The paper's numbers on its own data, all of them single runs there: for whoever has the GPUs."""

from ledger.claim import Claim
from ledger.digits import RIVALS, trained
from ledger.evidence import below, difference, near, repeated
from tiwlib.data.sources import CELEBA_GROUPS

# The paper's numbers on its own data: claimed value, of what, and what we would measure.
FID_CIFAR = {"tiw_dsm": 11.51, "dsm_obs": 12.99, "iw_dsm": 15.79, "w_only": 13.27}
FID_C_ONLY = {"5": 0.11, "10": 0.07, "25": -0.16, "50": 0.08}
FID_CELEBA = {"tiw_dsm": 2.40, "iw_dsm": 2.43}
SHARES_CELEBA = dict(zip(CELEBA_GROUPS, (0.310, 0.278, 0.201, 0.211), strict=True))
NAMES = {**RIVALS, "tiw_dsm": "TIW-DSM", "w_only": "W-only", "c_only": "C-only"}


def fid(method: str, value: float, sweep: str, setting: str) -> Claim:
    return Claim(
        f"{setting}-{method.replace('_', '-')}-fid",
        f"{NAMES[method]} has an FID of {value:.2f}",
        "paper, one run",
        setting,
        f"FID (Inception), {NAMES[method]}",
        lambda: repeated(trained(method, "fid", sweep, setting=setting)),
        near(value, 0.5),
        sweep,
    )


def fid_order(better: str, worse: str, sweep: str, setting: str) -> Claim:
    return Claim(
        f"{setting}-{better.replace('_', '-')}-{worse.replace('_', '-')}",
        f"{NAMES[better]} beats {NAMES[worse]} in FID",
        "paper, one run",
        setting,
        f"FID (Inception), {NAMES[better]} minus {NAMES[worse]}",
        lambda: difference(*(trained(m, "fid", sweep, setting=setting) for m in (better, worse))),
        below(0),
        sweep,
    )


def c_only_fid(percent: str, gap: float) -> Claim:
    setting = f"cifar10-lt-{percent}"
    return Claim(
        f"{setting}-c-only",
        f"The correction alone does as well as the full objective: C-only's FID is {gap:+.2f} from it",
        "paper, one run",
        setting,
        "FID (Inception), C-only minus TIW-DSM",
        lambda: difference(*(trained(m, "fid", "cifar10", setting=setting) for m in ("c_only", "tiw_dsm"))),
        near(0, 0.25),
        "cifar10",
    )


def celeba_share(group: str, share: float) -> Claim:
    return Claim(
        f"celeba-5-share-{group.replace(', ', '-').replace(' ', '-')}",
        f"Of TIW-DSM's faces {share:.1%} are {group}",
        "paper, one run",
        "celeba-5",
        "share of the samples",
        lambda: repeated(
            trained(
                "tiw_dsm",
                lambda metrics: metrics["group_shares"][metrics["group_names"].index(group)],
                "celeba",
                setting="celeba-5",
            )
        ),
        near(share, 0.03),
        "celeba",
    )


CLAIMS = [
    *(fid(method, value, "cifar10", "cifar10-lt-5") for method, value in FID_CIFAR.items()),
    *(fid_order("tiw_dsm", rival, "cifar10", "cifar10-lt-5") for rival in RIVALS),
    *(c_only_fid(percent, gap) for percent, gap in FID_C_ONLY.items()),
    *(fid(method, value, "celeba", "celeba-5") for method, value in FID_CELEBA.items()),
    fid_order("tiw_dsm", "iw_dsm", "celeba", "celeba-5"),
    *(celeba_share(group, share) for group, share in SHARES_CELEBA.items()),
]
