"""The page "Paper -> here": what the paper has, where it is in this repository, and our number beside the paper's.

No number stands in this file: the paper's are in the statements and rules of results/claims.json, ours are measured.
"""

from dataclasses import dataclass
from fnmatch import fnmatch

import api
from ledger_page import PROJECT, VERDICTS, anchor, claims, escaped, measured

MODULES = (
    *(
        "noise",
        "gaussians",
        "objectives",
        "closed_form",
        "ratio",
        "networks",
        "backbones",
        "sampling",
        "training",
    ),
    *("data", "measures"),
)


@dataclass(frozen=True)
class Item:
    """An equation, figure, table or setting of the paper.

    text: what it is, with its number where we know it. code: names in tiwlib. claims: patterns of claims' ids, each
    of which must match one. notebook: its number, beside those of the claims' runs.
    """

    text: str
    code: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    notebook: str = ""


EQUATIONS = (
    Item("The density ratio from a discriminator, $r = d / (1 - d)$ (eq. 9)", ("ratio.fit",), notebook="01"),
    Item(
        "The weight of half-and-half batches, $w = 2 d$ (eq. 36-37)",
        ("objectives.log_weight",),
        notebook="01",
    ),
    Item("DSM, denoising score matching", ("objectives.dsm",), ("obs-biased",)),
    Item("IW-DSM, with time-independent weights $w(x_0, 0)$", ("objectives.iw_dsm",), notebook="01"),
    Item("TIW-DSM, with time-dependent weight and correction", ("objectives.tiw_dsm",), notebook="01"),
    Item(
        "Theorem 1: TIW-DSM equals score matching on $p_{\\rm data}$ up to a constant",
        ("objectives.tiw_dsm", "closed_form.minimiser"),
        ("theorem-1*",),
    ),
    Item("The loss weight $\\lambda$", ("noise.loss_weight",), notebook="01"),
    Item("The noise level $\\sigma(t)$ of time $t$", ("noise.vp_sigma", "noise.vp_time"), notebook="03"),
)

FIGURES = (
    Item(
        "Figures 2-3: two modes in two dimensions, their scores and their ratio",
        ("gaussians.ExactRatio", "gaussians.GaussianMixture"),
        ("obs-biased", "theorem-1-trained", "ref-trained"),
    ),
    Item(
        "The error of the time-dependent ratio beside the time-independent one",
        ("closed_form.ratio_errors", "closed_form.clean_ratio_error"),
        ("ratio-error-*",),
    ),
    Item(
        "Time-independent weights of the biased images: most of them vanish",
        ("ratio.fit",),
        ("*weights-75",),
        notebook="06",
    ),
    Item(
        "The power $\\alpha$ of the weight",
        ("objectives.tiw_dsm", "objectives.iw_dsm", "closed_form.tilted_share"),
        ("*dsm-alpha-*", "alpha-*"),
    ),
    Item("Samples of CIFAR-10, CIFAR-100, FFHQ and CelebA"),
)

TABLES = (
    Item(
        "FID on CIFAR-10 with a long tail, reference set of 5 %",
        ("measures.distances",),
        ("cifar10-lt-5-*-fid", "cifar10-lt-5-tiw-*"),
    ),
    Item(
        "The same order of methods on small data: digits, MNIST",
        (),
        ("digits-tiw-dsm-[or]*", "digits-tiw-iw-dsm-*", "mnist*-tiw-*"),
    ),
    Item("FID on CIFAR-10 with reference sets of 10, 25 and 50 %, but for the ablation"),
    Item("FID on CIFAR-100 with a long tail"),
    Item("FID on FFHQ with 80 and 90 % of one gender"),
    Item("FID on CelebA, reference set of 5 %", (), ("celeba-5-*dsm*",)),
    Item("Subgroups of CelebA: gender and black hair", ("data.bias",), ("celeba-5-share-*",)),
    Item(
        "Ablation: weight alone (W-only), correction alone (C-only), at 5, 10, 25 and 50 %",
        ("objectives.tiw_dsm",),
        ("*w-only*", "*c-only*"),
    ),
)

SETTINGS = (
    Item("Biased data sets: long tails, shares of a group", ("data.bias", "data.settings"), notebook="04"),
    Item(
        "The score network, with EDM's preconditioning", ("networks.DenoiserNet", "backbones"), notebook="05"
    ),
    Item("The discriminator", ("networks.RatioNet", "estimators.frozen"), notebook="03"),
    Item(
        "Training: noise distribution, average of the weights",
        ("noise.LogNormal", "training.train"),
        notebook="05",
    ),
    Item("Sampling: EDM's Heun", ("sampling.heun", "noise.sampling_grid"), notebook="05"),
)


def entries() -> set[str]:
    """Every dotted name that has an entry on an API page."""
    pages = sorted(path.stem for path in (PROJECT / "book" / "api").glob("*.md") if path.stem != "index")
    return {name for page in pages for module in api.modules(f"tiwlib.{page}") for name in api.names(module)}


def links_to_code(item: Item, known: set[str]) -> str:
    for name in item.code:
        if f"tiwlib.{name}" not in known:
            raise ValueError(f"{item.text}: tiwlib.{name} is on no API page")
    return ", ".join(f"{{py:obj}}`{name} <tiwlib.{name}>`" for name in item.code)


def of(item: Item) -> list[dict]:
    """The claims of an item. A pattern without one is a ValueError."""
    matching = {p: [c for c in claims() if fnmatch(c["id"], p)] for p in item.claims}
    if empty := [p for p, group in matching.items() if not group]:
        raise ValueError(f"{item.text}: no claim is called {', '.join(empty)}")
    return [c for c in claims() if any(c in group for group in matching.values())]


def links_to_notebooks(item: Item) -> str:
    stems = {name for claim in of(item) for name in claim.get("notebooks", [])}
    if item.notebook:
        stems |= {path.stem for path in (PROJECT / "notebooks").glob(f"{item.notebook}_*.ipynb")}
    present = sorted(stem for stem in stems if (PROJECT / "notebooks" / f"{stem}.ipynb").exists())
    if item.notebook and not present:
        raise ValueError(f"{item.text}: there is no notebook {item.notebook}")
    return ", ".join(f"[{stem[:2]}](../notebooks/{stem}.ipynb)" for stem in present)


def outcome(claim: dict) -> str:
    """The claim in a line: its statement, our number, the verdict."""
    kind, mark = VERDICTS[claim["verdict"]]
    number = f" **{escaped(measured(claim))}**" if "value" in claim else " not yet"
    where = f"{escaped(claim['quantity'])}, {escaped(claim['setting'])}"
    statement = f"[{escaped(claim['statement'])}](#{anchor(claim)})"
    return f"[[{mark}]{{.tile .{kind}}} {statement}. Here:{number} ({where})]{{.outcome}}"


def outcomes(*patterns: str) -> str:
    """A list of the claims with these ids, each with our number and verdict. A pattern without one is a ValueError."""
    return "\n".join(f"- {outcome(claim)}" for claim in of(Item("outcomes", claims=patterns)))


def table(part: str) -> str:
    """The table of one part: equations, figures, tables or settings."""
    known = entries()
    lines = [
        "{.paper}",
        "| the paper | code | notebook | the paper's statement, our number |",
        "|---|---|---|---|",
    ]
    for item in {"equations": EQUATIONS, "figures": FIGURES, "tables": TABLES, "settings": SETTINGS}[part]:
        outcomes = " ".join(map(outcome, of(item)))
        if not (item.claims or item.notebook):
            outcomes = "[– not yet]{.verdict .untested}"
        lines.append(
            f"| {item.text} | {links_to_code(item, known)} | {links_to_notebooks(item)} | {outcomes} |"
        )
    return "\n".join(lines)
