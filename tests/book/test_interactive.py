"""The interactive 2-D figure: its mathematics against gaussians.py, and its controls in a headless browser."""

import base64
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import torch
from browser import Browser, needs_chromium, served

from tiwlib.gaussians import MODES, P_DATA, SIGMA_DATA, ExactRatio, GaussianMixture
from tiwlib.noise import sampling_grid
from tiwlib.objectives import weight_and_correction
from tiwlib.sampling import heun

FOLDER = Path(__file__).parents[2] / "book" / "interactive"
MODULE = FOLDER / "tiw2d.js"
METHODS = ("dsm_obs", "w_only", "c_only", "tiw_dsm", "released")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def exact(minority: float) -> ExactRatio:
    return ExactRatio(P_DATA, GaussianMixture((1 - minority, minority), MODES))


def node(tmp_path: Path, script: str, request: dict, source: str | None = None) -> dict:
    """What `script` returns in node. It sees the module as `m` and the request; source: the module, changed."""
    (tmp_path / "tiw2d.mjs").write_text(source or MODULE.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "run.mjs").write_text(
        'import * as m from "./tiw2d.mjs"; import { readFileSync } from "node:fs";'
        f"const request = JSON.parse(readFileSync(0)); const run = () => {{ {script} }};"
        "process.stdout.write(JSON.stringify(run()));"
    )
    command = ["node", str(tmp_path / "run.mjs")]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ------------------------------------------------------------------------------------------ mathematics

CASES = """
return request.cases.map(({ x, sigma, minority, pi }) => {
  const s = { minority, pi };
  const fields = Object.keys(m.METHODS).map((name) => [name, m.field(name, s, x, sigma)]);
  return { log_prob: m.logProb(m.batchShare(s), x, sigma), score: m.score(minority, x, sigma),
    log_ratio: m.logRatio(s, x, sigma), grad_log_ratio: m.gradLogRatio(s, x, sigma), weight: m.weight(s, x, sigma),
    correction: m.correction("tiw_dsm", s, x, sigma), released: m.correction("released", s, x, sigma),
    fields: Object.fromEntries(fields) };
});
"""


def cases(n: int = 100) -> list[dict]:
    """n points with a sigma, a share of the minority and pi each, the ends of their ranges among them."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(n, 3, generator=generator, dtype=torch.float64)
    sigma = (0.01 * 40_000 ** values[:, 0]).tolist()  # 0.01 to 400
    minority, pi = (0.05 + 0.45 * values[:, 1]).tolist(), values[:, 2].tolist()
    sigma[:5], pi[5:10], pi[10:15], minority[15:20] = [0.0] * 5, [0.0] * 5, [1.0] * 5, [0.5] * 5
    pi[20:40] = [0.5] * 20
    noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    x = noise * torch.tensor(sigma, dtype=torch.float64).square().add(5).sqrt()[:, None]
    rows = zip(x.tolist(), sigma, minority, pi, strict=True)
    return [dict(zip(("x", "sigma", "minority", "pi"), row, strict=True)) for row in rows]


def reference(case: dict) -> dict:
    """The same quantities by gaussians.py and autograd."""
    x, sigma = (
        torch.tensor([case["x"]], dtype=torch.float64),
        torch.tensor([case["sigma"]], dtype=torch.float64),
    )
    ratio = exact(case["minority"])
    batch = ratio.p_bias.mix(ratio.p_data, case["pi"])
    weight, correction = weight_and_correction(ratio, x, sigma, case["pi"])
    with torch.enable_grad():
        at = x.clone().requires_grad_()
        (grad_d,) = torch.autograd.grad(ratio.log_ratio(at, sigma).sigmoid().sum(), at)
    score, data = batch.score(x, sigma), ratio.p_data.score(x, sigma)
    fields = {"dsm_obs": score, "w_only": score, "c_only": data, "tiw_dsm": data, "released": score - grad_d}
    values = {
        "log_prob": batch.log_prob(x, sigma),
        "score": ratio.p_bias.score(x, sigma),
        "log_ratio": ratio.log_ratio(x, sigma),
        "grad_log_ratio": ratio.grad_log_ratio(x, sigma),
        "weight": weight,
        "correction": correction,
        "released": -grad_d,
    }
    return {name: value[0] for name, value in values.items()} | {
        "fields": {name: value[0] for name, value in fields.items()}
    }


def differences(computed: list[dict]) -> dict[str, float]:
    """The largest absolute difference of each quantity over the cases; fields as `fields method`."""
    largest: dict[str, float] = {}
    for case, row in zip(cases(), computed, strict=True):
        truth = reference(case)
        pairs = [(name, row[name], truth[name]) for name in truth if name != "fields"]
        pairs += [(f"fields {name}", row["fields"][name], truth["fields"][name]) for name in METHODS]
        for name, value, expected in pairs:
            difference = (torch.tensor(value, dtype=torch.float64) - expected).abs().max().item()
            largest[name] = max(largest.get(name, 0.0), difference)
    return largest


@needs_node
def test_scores_ratio_and_corrections_agree_with_gaussians(tmp_path):
    for name, difference in differences(node(tmp_path, CASES, {"cases": cases()})).items():
        assert difference < 1e-6, name


@needs_node
@pytest.mark.parametrize(
    "right, wrong, seen_in",
    [
        ("=> -d * (1 - d)", "=> d * (1 - d)", "released"),
        ("=> 1 - settings.pi * weight", "=> 1 + settings.pi * weight", "correction"),
        ("settings.pi * r + 1 - settings.pi", "settings.pi + r * (1 - settings.pi)", "weight"),
        ("(data, i) => data - bias[i]", "(data, i) => bias[i] - data", "grad_log_ratio"),
        ("(1 - pi) * minority + pi * DATA_SHARE", "pi * minority + (1 - pi) * DATA_SHARE", "log_prob"),
        ("variance = STD ** 2 + sigma ** 2", "variance = STD ** 2 + 1.001 * sigma ** 2", "score"),
    ],
)
def test_a_wrong_formula_is_seen(tmp_path, right, wrong, seen_in):
    source = MODULE.read_text(encoding="utf-8")
    assert source.count(right) == 1
    computed = node(tmp_path, CASES, {"cases": cases()}, source.replace(right, wrong))
    assert differences(computed)[seen_in] > 1e-5


FLOWS = """
const grid = m.samplingGrid(request.steps), noise = request.noise && Float64Array.from(request.noise);
const start = noise ?? m.startingNoise(request.n, request.seed);
const ends = request.methods.map((name) => m.heun(name, request.settings, start, grid).at(-1));
return { grid, start: Array.from(start), ends: ends.map((x) => Array.from(x)),
  shares: ends.map((x) => m.minorityCount(x) / (x.length / 2)) };
"""


@needs_node
def test_heun_takes_the_same_steps_as_the_sampler(tmp_path):
    noise = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    request = {"steps": 40, "noise": noise.flatten().tolist(), "settings": {"minority": 0.2, "pi": 0.5}}
    computed = node(tmp_path, FLOWS, request | {"methods": ["dsm_obs", "tiw_dsm"]})
    grid = sampling_grid(40, SIGMA_DATA, dtype=torch.float64)
    assert torch.allclose(torch.tensor(computed["grid"], dtype=torch.float64), grid, rtol=1e-12)
    ratio = exact(0.2)
    for end, density in zip(computed["ends"], (ratio.p_bias.mix(P_DATA, 0.5), P_DATA), strict=True):
        expected = heun(density, noise * grid[0], grid)
        assert (torch.tensor(end, dtype=torch.float64).reshape(-1, 2) - expected).abs().max() < 1e-6


@needs_node
def test_starting_noise_is_standard_normal_and_repeats(tmp_path):
    request = {"steps": 2, "n": 20_000, "settings": {"minority": 0.2, "pi": 0.5}, "methods": []}
    first, again, other = (
        torch.tensor(node(tmp_path, FLOWS, request | {"seed": seed})["start"], dtype=torch.float64).reshape(
            -1, 2
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.mean(0).abs().max() < 5 / 20_000**0.5  # five standard errors
    assert (first.T.cov() - torch.eye(2)).abs().max() < 5 * (2 / 20_000) ** 0.5
    assert abs((first.abs() < 1).double().mean() - 0.6827) < 0.01


@needs_node
@pytest.mark.parametrize("minority, pi", [(0.2, 0.5), (0.1, 0.0), (0.3, 0.25)])
def test_the_share_of_the_particles_is_the_closed_form_one(tmp_path, minority, pi):
    """p_batch's share without a correction, 0.5 with it: within four standard errors, and the modes' overlap."""
    settings = {"minority": minority, "pi": pi}
    request = {"steps": 40, "n": 4000, "seed": 1, "settings": settings, "methods": METHODS}
    shares = dict(zip(METHODS, node(tmp_path, FLOWS, request)["shares"], strict=True))
    batch = (1 - pi) * minority + pi * 0.5
    for method, expected in (("dsm_obs", batch), ("w_only", batch), ("c_only", 0.5), ("tiw_dsm", 0.5)):
        assert abs(shares[method] - expected) < 4 * (expected * (1 - expected) / 4000) ** 0.5 + 0.003, method
    assert shares["released"] < batch - 0.01  # its sign leads away from the minority


# ------------------------------------------------------------------------------------------ the files


def test_the_module_is_one_short_file_that_can_stand_in_a_page():
    source = MODULE.read_text(encoding="utf-8")
    assert [path.name for path in FOLDER.glob("*.js")] == ["tiw2d.js"]
    assert len(source.splitlines()) <= 300
    assert "export function render({ model, el })" in source and "export default { render };" in source
    assert "</script" not in source and "import" not in source
    for path in (MODULE, FOLDER / "tiw2d.css"):
        assert not re.search(r"https?:|url\(|//[a-z]+\.", path.read_text(encoding="utf-8")), path.name


def test_the_page_has_a_picture_where_scripts_are_off():
    page = (FOLDER / "index.md").read_text(encoding="utf-8")
    for name in ("tiw2d.js", "tiw2d.css", "fallback.png"):
        assert name in page and (FOLDER / name).is_file(), name
    assert (FOLDER / "fallback.png").stat().st_size < 100_000
    assert "<noscript>" in page


# ------------------------------------------------------------------------------------------ the browser

HTML = """<!doctype html><html lang="en"><meta charset="utf-8"><title>figure</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="tiw2d.css">
<div id="figure"></div><script type="module">import figure from "./tiw2d.js";
window.state = {}; window.listeners = {};
const model = { get: (name) => state[name], set: (name, value) => { state[name] = value; }, save_changes() {},
  on: (event, callback) => { listeners[event] = callback; } };
window.unmount = figure.render({ model, el: document.getElementById("figure") });</script></html>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser, tmp_path):
    """The figure, mounted in a bare page of 1280 pixels. After the test: no console errors, no other host."""
    for path in (MODULE, FOLDER / "tiw2d.css"):
        shutil.copy(path, tmp_path)
    (tmp_path / "index.html").write_text(HTML, encoding="utf-8")

    with served(tmp_path) as origin:
        browser.events.clear()
        browser("Emulation.setEmulatedMedia", features=[])
        browser(
            "Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False
        )
        browser("Page.navigate", url=origin)
        browser.until("document.querySelectorAll('output')[1]?.textContent")
        yield browser
        assert browser.faults() == []
    urls = browser.requests()
    assert urls and all(url.startswith((origin, "data:")) for url in urls), urls


SHARES = "[...document.querySelectorAll('output')].map((o) => parseFloat(o.textContent))"
PIXELS = "[...document.querySelectorAll('canvas')].map((c) => c.toDataURL())"


def change(page, name: str, value):
    """Give a control a value, as its own event would."""
    page.value(
        f"(() => {{ const e = document.querySelector('[name={name}]'); e.value = {json.dumps(value)};"
        "e.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    page.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@needs_chromium
def test_every_control_changes_the_picture_and_settings_change_the_count(page):
    shares, pixels = page.value(SHARES), page.value(PIXELS)
    assert abs(shares[0] - 35) < 5 and abs(shares[1] - 50) < 5
    for name, value, counts in [
        ("level", 28, False),
        ("minority", 0.4, True),
        ("pi", 0.1, True),
        ("view", "correction", False),
        ("left", "c_only", True),
        ("right", "w_only", True),
    ]:
        change(page, name, value)
        after = page.value(SHARES), page.value(PIXELS)
        assert after[1] != pixels, name
        assert (after[0] != shares) == counts, name
        assert page.value(f"state.{name}") == value  # the model receives the change
        shares, pixels = after
    page.value("state.minority = 0.05; listeners['change:minority']()")  # the model gives a change
    page.until("document.querySelector('[name=minority]').value === '0.05'")


@needs_chromium
def test_methods_with_the_same_minimiser_give_the_same_picture(page):
    for left, right in (("dsm_obs", "w_only"), ("c_only", "tiw_dsm")):
        change(page, "left", left)
        change(page, "right", right)
        shares, pixels = page.value(SHARES), page.value(PIXELS)
        assert shares[0] == shares[1] and pixels[0] == pixels[1]


@needs_chromium
def test_the_figure_says_that_the_released_code_knows_one_half_only(page):
    note = "document.querySelector('.note').textContent"
    change(page, "left", "released")
    assert page.value(note) == ""
    change(page, "pi", 0.25)
    assert "1/2 only" in page.value(note)
    change(page, "left", "dsm_obs")
    assert page.value(note) == ""


@needs_chromium
def test_keyboard(page):
    """Tab reaches every control, arrows move a slider and a list, the space bar presses a button."""
    reached = []
    for _ in range(10):
        page.key("Tab", 9)
        reached.append(page.value("document.activeElement.name || document.activeElement.className"))
        if reached[-1] == "level":
            page.key("ArrowLeft", 37)
            page.until("document.querySelector('[name=level]').value === '39'")
        if reached[-1] == "left":
            page.key("ArrowDown", 40)
            page.until("state.left === 'w_only'")
        if reached[-1] == "noise":
            before = page.value(SHARES)
            page.key(" ", 32, " ")
            page.until("state.seed === 2")
            page.until(
                f"JSON.stringify({SHARES}) !== {json.dumps(json.dumps(before, separators=(',', ':')))}"
            )
    assert reached == [
        *("level", "minority", "pi", "play", "noise"),
        *("view", "particles", "arrows", "left", "right"),
    ]
    unnamed = "[...document.querySelectorAll('input, select')].filter((e) => !e.labels[0]?.textContent.trim()).length"
    assert page.value(unnamed) == 0


@needs_chromium
def test_touch(page):
    """A tap on a slider moves it, a tap on the button plays the particles down to sigma = 0."""
    middle = "(() => {{ const b = document.querySelector('{0}').getBoundingClientRect();"
    middle += "return [b.x + b.width / 4, b.y + b.height / 2]; }})()"
    page("Emulation.setTouchEmulationEnabled", enabled=True)
    for selector, effect in (("[name=level]", "state.level < 15"), (".play", "state.level > 20")):
        x, y = page.value(middle.format(selector))
        page("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        page("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        page.until(effect)
    page("Emulation.setTouchEmulationEnabled", enabled=False)
    page.until("state.level === 40 && document.querySelector('.play').textContent === 'Play'")


@needs_chromium
def test_nothing_moves_where_the_reader_wants_no_motion(page):
    page(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-reduced-motion", "value": "reduce"}],
    )
    for level in (0, 40):
        page.value("document.querySelector('.play').click()")
        assert page.value("state.level") == level


@needs_chromium
@pytest.mark.parametrize("width", [400, 1280])
def test_no_horizontal_overflow(page, width, tmp_path):
    page(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
    )
    change(page, "right", "released")
    change(page, "pi", 0.3)
    assert page.value("document.documentElement.scrollWidth") <= width
    inner = "[...document.querySelectorAll('.tiw2d *')].map((e) => e.getBoundingClientRect().right)"
    assert max(page.value(inner)) <= width
    assert min(page.value("[...document.querySelectorAll('canvas')].map((c) => c.clientWidth)")) > 140
    picture = base64.b64decode(page("Page.captureScreenshot")["data"])
    (tmp_path / f"figure_{width}.png").write_bytes(picture)


@needs_chromium
def test_the_figure_runs_in_the_page_itself_without_a_server(browser, tmp_path):
    """The raw blocks of index.md, put together as Sphinx does it, opened as a file."""
    blocks = re.findall(
        r"```\{raw\} html\n(.*?)```", (FOLDER / "index.md").read_text(encoding="utf-8"), re.DOTALL
    )
    files = [re.fullmatch(r":file: (\S+)\n", block) for block in blocks]
    parts = [
        (FOLDER / f[1]).read_text(encoding="utf-8") if f else b for f, b in zip(files, blocks, strict=True)
    ]
    (tmp_path / "page.html").write_text(
        '<!doctype html><meta charset="utf-8">' + "".join(parts), encoding="utf-8"
    )
    browser.events.clear()
    browser("Page.navigate", url=(tmp_path / "page.html").as_uri())
    browser.until("document.querySelectorAll('output')[1]?.textContent")
    assert browser.faults() == []


@needs_chromium
def test_unmounting_leaves_nothing_running(page):
    page.value("document.querySelector('.play').click()")
    page.until("state.level > 0 && state.level < 40")
    page.value("window.unmount() && 1")
    level = page.value("state.level")
    time.sleep(0.3)
    assert page.value("state.level") == level
