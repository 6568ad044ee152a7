"""The book in headless Chromium: formulas, console, other hosts, both widths, contrast, search, weight."""

import pytest
from browser import Browser, needs_chromium, served
from built_book import ROOT

pytestmark = needs_chromium

NOTEBOOKS = [f"notebooks/{path.stem}.html" for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
PAGES = [
    "index",
    "interactive/index",
    "paper",
    "questions",
    "ledger",
    "notation",
    "checklists",
    "own_images",
    "api/objectives",
]
PAGES = [f"book/{name}.html" for name in PAGES] + ["docs/sweeps.html", "docs/performance.html", *NOTEBOOKS]
WEIGHT = 2_000_000  # bytes of a page with all that it loads


@pytest.fixture(scope="module")
def site(book):
    with served(book.folder) as origin:
        yield origin


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


def opened(browser: Browser, address: str, width: int = 1280, scheme: str = "light"):
    """A page, loaded with its formulas, in a window of this width and a light or dark scheme."""
    browser.events.clear()
    browser("Network.setCacheDisabled", cacheDisabled=True)
    browser("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    resize(browser, width)
    browser("Page.navigate", url=address)
    browser.until(f"location.href === '{address}' && document.readyState === 'complete'")
    browser.value("window.MathJax?.startup?.promise?.then(() => 1)")


def resize(browser: Browser, width: int):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser("Emulation.setDeviceMetricsOverride", **size)


def weight(browser: Browser) -> int:
    """Bytes that came over the wire since the page was opened."""
    browser.value("1")
    loaded = (e["params"] for e in browser.events if e["method"] == "Network.loadingFinished")
    return sum(params["encodedDataLength"] for params in loaded)


FORMULAS = "[...document.querySelectorAll('article .math')]"
WIDER = """[...document.querySelectorAll('article *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1
  && !e.closest('.table-wrapper, pre, .highlight, .cell_output, .math, mjx-container, .tiw2d, svg'))
  .map((e) => e.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(browser, site, name):
    """No fault in the console, no other host, all formulas rendered, no overflow at either width, below 2 MB."""
    opened(browser, site + name)
    assert browser.faults() == []
    assert all(url.startswith((site, "data:")) for url in browser.requests())
    assert weight(browser) < WEIGHT
    assert browser.value(f"{FORMULAS}.filter((e) => !e.querySelector('mjx-container')).length") == 0
    assert browser.value("document.querySelectorAll('mjx-merror, .system-message').length") == 0
    for width in (1280, 400):
        resize(browser, width)
        assert browser.value("document.documentElement.scrollWidth") <= width
        assert browser.value(WIDER) == []
    blocks = "[...document.querySelectorAll('table:is(.claims, .paper)')].map((t) => t.parentElement)"
    assert browser.value(f"{blocks}.filter((e) => e.scrollWidth > e.clientWidth + 1).length") == 0
    broken = "[...document.images].filter((i) => !i.naturalWidth && getComputedStyle(i).display !== 'none')"
    assert browser.value(f"{broken}.map((i) => i.src)") == []


LEFT = """Math.min(...[...document.querySelectorAll('dt.sig')].map((e) => { const range = document.createRange();
  range.selectNodeContents(e); return range.getBoundingClientRect().left - e.getBoundingClientRect().left; }))"""


def test_a_signature_begins_within_its_box(browser, site):
    """The theme indents its first line to the left: the name must stand in the box and on a narrow screen."""
    opened(browser, site + "book/api/gaussians.html", 400)
    assert browser.value(LEFT) >= 0
    browser.value("document.querySelector('dt.sig').style.paddingLeft = 0; 1")
    assert browser.value(LEFT) < 0


def test_the_faults_of_a_page_are_seen(browser, site):
    opened(browser, site + "book/notation.html", 400)
    browser.value("document.querySelector('article p').style.width = '900px'; console.error('fault'); 1")
    browser.value("document.querySelector('article mjx-container').remove()")
    assert browser.value(WIDER)
    assert browser.value(f"{FORMULAS}.filter((e) => !e.querySelector('mjx-container')).length") == 1
    assert len(browser.faults()) == 1


def test_a_formula_has_the_papers_number(browser, site):
    opened(browser, site + "book/notation.html")
    text = "[...document.querySelectorAll('mjx-container mjx-assistive-mml')].map((e) => e.textContent).join(' ')"
    assert "(9)" in browser.value(text).replace(" ", "") and "(36-37)" in browser.value(text).replace(" ", "")


CONTRAST = """(() => {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => { context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data]; };
  const over = (a, b) => [0, 1, 2].map((i) => (a[i] * a[3] + b[i] * (255 - a[3])) / 255);
  const back = (e) => { if (!e) return [255, 255, 255]; const c = rgba(getComputedStyle(e).backgroundColor);
    return c[3] === 255 ? c : over(c, back(e.parentElement)); };
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const low = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    const words = walker.currentNode.data.trim().slice(0, 30);
    if (!words || !e.checkVisibility() || e.closest('script, style, noscript, title, option')) continue;
    const b = back(e), f = over(rgba(getComputedStyle(e).color), b);
    const [x, y] = [light(f), light(b)].sort((p, q) => q - p);
    const ratio = (x + 0.05) / (y + 0.05);
    if (ratio < 4.5) low[`${e.tagName}.${e.className} ${ratio.toFixed(2)}`] = words;
  }
  return low;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name",
    [
        "book/index.html",
        "book/ledger.html",
        "book/api/ratio.html",
        "book/interactive/index.html",
        NOTEBOOKS[-1],
    ],
)
def test_text_has_contrast(browser, site, name, scheme):
    """At least 4.5 : 1 for every text that is seen, computed from the colours that the browser uses."""
    opened(browser, site + name, scheme=scheme)
    assert browser.value(CONTRAST) == {}


def test_low_contrast_is_seen(browser, site):
    opened(browser, site + "book/index.html")
    browser.value("document.querySelector('article p').style.color = '#999999'")
    assert browser.value(CONTRAST) != {}


@pytest.mark.parametrize("words, found", [("importance", "notation"), ("log_weight", "objectives")])
def test_search(browser, site, words, found):
    opened(browser, f"{site}search.html?q={words}")
    browser.until("document.querySelectorAll('#search-results li a').length")
    browser.until("document.querySelector('#search-results p')?.textContent.includes('found')")
    links = browser.value("[...document.querySelectorAll('#search-results li a')].map((a) => a.href)")
    assert any(found in link for link in links), links
    assert browser.faults() == []


def test_waiting_outlives_a_page_that_is_left(browser, site):
    """The first address may lead on just when it is asked; here the question itself leads on."""
    opened(browser, site + "book/index.html")
    browser.until(
        "location.pathname === '/book/notation.html' || new Promise(() => location.assign('notation.html'))"
    )
    assert browser.value("location.pathname") == "/book/notation.html"


def test_the_first_address_leads_to_the_first_page(browser, site):
    browser("Page.navigate", url=site)
    browser.until("location.pathname === '/book/index.html'")


def test_the_ledger_filters_and_a_tile_leads_to_its_row(browser, site):
    opened(browser, site + "book/ledger.html")
    rows = "[...document.querySelectorAll('table.claims tbody tr')].filter((r) => r.checkVisibility()).length"
    everything = browser.value(rows)
    assert (
        browser.value("document.querySelector('#filter output').textContent")
        == f"{everything} of {everything} claims"
    )
    choose = "(() => {{ const e = document.querySelector('#filter [name={}]'); e.value = '{}';"
    choose += "e.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"
    browser.value(choose.format("words", "theorem 1"))
    by_words = browser.value(rows)
    assert 0 < by_words < everything
    browser.value(choose.format("words", "no such claim"))
    assert browser.value(rows) == 0
    browser.value(choose.format("words", ""))
    browser.value(choose.format("verdict", "not tested here"))
    assert 0 < browser.value(rows) < everything
    browser.value("document.querySelector('a.tile.holds').click()")  # its row is hidden by the filter
    browser.until("document.querySelector(location.hash).checkVisibility()")
    assert browser.value(rows) == everything


def test_a_page_reads_with_scripts_off(browser, site):
    browser("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser("Page.navigate", url=site + "book/ledger.html")
        browser.until("document.readyState === 'complete' && document.querySelector('table.claims')")
        seen = "[...document.querySelectorAll('{}')].every((e) => e.checkVisibility())"
        assert browser.value(
            seen.format("table.claims .statement, table.heat .tile, .sidebar-tree > ul > li > a")
        )
    finally:
        browser("Emulation.setScriptExecutionDisabled", value=False)
