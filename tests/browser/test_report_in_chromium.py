"""The report's page in a real browser: no network, no errors; sorting, filtering, small screens.

Needs Chromium, its driver and selenium (Debian: chromium, chromium-driver); skipped without them.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

import mcodec
from mcodec.api import reporttext
from support import cases
from support.pages import HOSTILE, hostile_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a headless Chromium with an empty profile."""
    binary = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # The driver is named, so that selenium looks for none in the network.
    found = webdriver.Chrome(options=options, service=service.Service(driver))
    try:
        yield found
    finally:
        found.quit()


def show(
    browser: Any,
    folder: Path,
    models: dict[str, Any],
    width: int = 1200,
    theme: str = "light",
    **options: Any,
) -> str:
    """Open the report of a packed file at a width, under a theme; return its address."""
    mcodec.pack(models, folder / "x.mc", jobs=1, **options)
    mcodec.report(folder / "x.mc", folder / "x.html")
    look(browser, width, theme)
    address = (folder / "x.html").as_uri()
    browser.get(address)
    return address


def look(browser: Any, width: int, theme: str) -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def run(browser: Any, script: str) -> Any:
    return browser.execute_script(f"return {script}")


def requests(browser: Any) -> list[str]:
    """Return all addresses that were asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]


def shown(browser: Any) -> list[str]:
    """Return the names of the table's rows that are seen, in their order."""
    script = "Array.from(document.querySelectorAll('#tensors tbody tr')).filter((r) => !r.hidden)"
    names: list[str] = run(browser, f"{script}.map((r) => r.cells[0].textContent)")
    return names


def two() -> dict[str, Any]:
    return {"A": cases.network(1), "B": cases.network(2)}


@pytest.mark.parametrize("make", [two, hostile_models], ids=["plain", "hostile"])
@pytest.mark.parametrize("bits", [None, 6])
def test_no_errors_and_no_network(
    browser: Any, tmp_path: Path, make: Any, bits: int | None
) -> None:
    browser.get("about:blank")
    requests(browser), browser.get_log("browser")
    address = show(browser, tmp_path, make(), bits=bits)
    assert requests(browser) == [address]
    assert browser.get_log("browser") == []
    assert run(browser, "window.hacked") is None
    assert run(browser, "performance.getEntriesByType('resource').length") == 0
    assert run(browser, "document.querySelectorAll('main section').length") >= 8


def test_hostile_names_are_seen_as_they_are(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, hostile_models())
    tasks = [reporttext.plain(name, 40) for name in list(HOSTILE)[:2]]
    expected = [f"{task}:{name}" for task in tasks for name in HOSTILE.values()]
    assert shown(browser) == expected
    box = browser.find_element("id", "filter")
    box.send_keys(")><img src=x"[1:])
    assert shown(browser) == [name for name in expected if "><img src=x" in name]
    assert run(browser, "document.images.length") == 0
    assert run(browser, "window.hacked") is None


def test_nothing_runs_that_is_not_the_pages_own(browser: Any, tmp_path: Path) -> None:
    """A script put into the page, as by a name that escaped its escaping, does not run."""
    show(browser, tmp_path, two())
    run(
        browser,
        "(() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
        "document.body.append(s); const i = document.createElement('img');"
        "i.src = 'https://example.invalid/x.png'; document.body.append(i); })()",
    )
    assert run(browser, "window.hacked") is None
    said = " ".join(entry["message"] for entry in browser.get_log("browser"))
    assert said.count("Content Security Policy") >= 2


def test_sort(browser: Any, tmp_path: Path) -> None:
    models = two()
    models["A"]["lost"] = np.full((140, 140), np.inf, np.float32)
    show(browser, tmp_path, models, bits=6)
    at_first = shown(browser)
    assert at_first == [f"{task}:{name}" for task, names in models.items() for name in names]
    found = {f"{one.task}:{one.name}": one for one in mcodec.report(tmp_path / "x.mc").tensors}
    heads = browser.find_elements("css selector", "#tensors thead button")
    assert [head.text for head in heads][:2] == ["tensor", "dtype"]
    numbers = {"weights": "weights", "stored": "stored_bytes", "bits a weight": "bits_per_weight"}
    for head in heads:
        cell = head.find_element("xpath", "..")
        if (key := numbers.get(head.text.split(" ▼")[0])) is None:
            continue
        for order in ("descending", "ascending"):
            head.click()
            assert cell.get_attribute("aria-sort") == order
            values = [getattr(found[name], key) for name in shown(browser)]
            assert values == sorted(values, reverse=order == "descending")
    errors = next(head for head in heads if head.text.startswith("largest"))
    errors.click()
    assert found[shown(browser)[0]].max_abs_error == max(
        one.max_abs_error or 0 for one in found.values()
    )
    errors.click()
    assert found[shown(browser)[0]].max_abs_error == 0
    heads[0].click()
    assert shown(browser) == sorted(at_first)
    assert len(browser.find_elements("css selector", "#tensors th[aria-sort]")) == 1
    assert browser.get_log("browser") == []


def test_filter(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, two())
    box, said = (browser.find_element("id", one) for one in ("filter", "matches"))
    assert said.text == "16 of 16 shown"
    box.send_keys("B:BODY")
    assert shown(browser) == ["B:body/kernel", "B:body/bias", "B:body/steps"]
    assert said.text == "3 of 16 shown"
    browser.find_element("css selector", "#tensors thead button").click()
    assert shown(browser) == ["B:body/bias", "B:body/kernel", "B:body/steps"]
    box.clear()
    box.send_keys("nothing is named this")
    assert (shown(browser), said.text) == ([], "0 of 16 shown")
    assert browser.get_log("browser") == []


def test_the_page_is_whole_without_scripts(browser: Any, tmp_path: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, tmp_path, two())
        assert not browser.find_element("id", "tools").is_displayed()
        rows = browser.find_elements("css selector", "#tensors tbody tr")
        assert len(rows) == 16
        assert all(row.is_displayed() for row in rows)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [360, 390, 768, 1200])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_screens(browser: Any, tmp_path: Path, width: int, theme: str) -> None:
    """Nothing is wider than the screen but what moves sideways by itself; text can be read."""
    models = two()
    models["A"]["a.very.long/name.of.a/layer.with.no.spaces.in.it.at.all." * 3 + "kernel"] = (
        np.ones(9)
    )
    show(browser, tmp_path, models, width, theme, bits=6)
    assert run(browser, "document.documentElement.scrollWidth") <= width
    for element in ("h1", ".note", "caption", "#tensors td", ".tiles dt", "thead th"):
        assert contrast(browser, element) >= 4.5, element
        size = run(browser, f"getComputedStyle(document.querySelector('{element}')).fontSize")
        assert float(size.removesuffix("px")) >= 11.5
    dark = luminance(colour(browser, "document.body", "backgroundColor")) < 0.5
    assert dark == (theme == "dark")


def colour(browser: Any, element: str, style: str) -> tuple[float, ...]:
    text = run(browser, f"getComputedStyle({element}).{style}")
    return tuple(float(part) for part in text[text.index("(") + 1 : -1].split(",")[:3])


def luminance(rgb: tuple[float, ...]) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [part / 255 for part in rgb]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(browser: Any, selector: str) -> float:
    """Return the contrast of an element's text with the cards that most of it stands on."""
    ink = luminance(colour(browser, f"document.querySelector('{selector}')", "color"))
    card = luminance(colour(browser, "document.querySelector('section')", "backgroundColor"))
    return (max(ink, card) + 0.05) / (min(ink, card) + 0.05)


def test_ten_thousand_tensors(browser: Any, tmp_path: Path) -> None:
    models = {"A": {f"layer.{index}/kernel": np.full(4, index * 0.1) for index in range(10_000)}}
    show(browser, tmp_path, models, codec="raw")
    assert len(shown(browser)) == 2000
    browser.find_element("id", "filter").send_keys("layer.77/")
    assert shown(browser) == ["layer.77/kernel"]
    assert browser.get_log("browser") == []
