"""The demo in a real browser: on a desk and on a phone, in light and in dark, without the internet."""

import base64
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from cardiolect.model.demo import server
from cardiolect.model.inference.chat import ECGChat

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["SE_OFFLINE"] = "true"  # selenium would look for drivers in the internet
pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[demo]'")
webdriver = pytest.importorskip("selenium.webdriver")

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("chromium or chromedriver is not installed", allow_module_level=True)

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-sync",
)
ATTACK = '<img src="/seen" onerror="document.title=1">'
QUESTION = f"Does this ECG show {ATTACK}?"


@pytest.fixture(scope="module")
def demo(checkpoint_folder):
    running = server.start(checkpoint_folder, port=0, device="cpu", max_upload_mb=1)
    yield running
    running.close()


@pytest.fixture
def browser(request):
    """A window as wide as the test's ``width``; below 500 a phone."""
    width = request.getfixturevalue("width")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--window-size={width},900"):
        options.add_argument(flag)
    if width < 500:
        phone = {"deviceMetrics": {"width": width, "height": 844, "pixelRatio": 2}}
        options.add_experimental_option("mobileEmulation", phone)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def letters(text: str) -> str:
    """Without spaces, which a page breaks lines at, and without what only random weights say."""
    return "".join(filter(str.isalnum, text))


def requested(browser) -> list[str]:
    """Addresses that the page has asked for, those of data in the page aside."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("data:", "blob:"))]


def photograph(browser, path: Path) -> None:
    """The whole page, from its top."""
    browser.execute_script("window.scrollTo(0, 0)")
    time.sleep(0.3)
    size = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    path.write_bytes(base64.b64decode(shot["data"]))


def contrast(browser, selector: str) -> float:
    """Of text to the first background behind it that is no hole (WCAG 2.1)."""
    script = """
        let at = document.querySelector(arguments[0]), text = getComputedStyle(at).color, back;
        do { back = getComputedStyle(at).backgroundColor; at = at.parentElement }
        while (at && /rgba\\(.*, 0\\)|transparent/.test(back));
        return [text, back]"""
    channels = [
        [float(c) for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        for colour in browser.execute_script(script, selector)
    ]

    def luminance(colour: list[float]) -> float:
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, channels))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_ecg_is_uploaded_and_asked_about(demo, browser, checkpoint_folder, shared_data, width, theme, tmp_path):
    path = shared_data / "ptb-xl/records500/00000/00001_hr"
    expected = ECGChat.from_pretrained(checkpoint_folder, "cpu").ask(ECGChat.read(path), QUESTION)
    wait = WebDriverWait(browser, 60)
    browser.get(f"{demo.url}?__theme={theme}")
    files = wait.until(lambda b: b.find_element(By.CSS_SELECTOR, "#files input[type=file]"))
    files.send_keys(f"{path.with_suffix('.hea')}\n{path.with_suffix('.dat')}")
    wait.until(lambda b: "Uploaded recording (WFDB" in b.find_element(By.ID, "about").text)
    for closed in browser.find_elements(By.CSS_SELECTOR, "button.label-wrap"):  # an age would be sent once it is seen
        browser.execute_script("arguments[0].click()", closed)
    age = wait.until(lambda b: b.find_element(By.CSS_SELECTOR, "#age textarea, #age input"))
    assert age.get_attribute("value") == "", "nobody's age is stated until it is entered"
    browser.find_element(By.CSS_SELECTOR, "#question textarea").send_keys(QUESTION)
    browser.execute_script("document.querySelector('#ask').click()")
    wait.until(lambda b: letters(b.find_element(By.ID, "talk").text).endswith(letters(expected)))
    assert QUESTION in browser.find_element(By.ID, "talk").text and browser.title == "Cardiolect"

    photograph(browser, tmp_path / f"{width}_{theme}.png")
    print(f"screenshot: {tmp_path / f'{width}_{theme}.png'}")
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    wait.until(lambda b: b.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth)"))
    for place in (0, 10**6):
        browser.execute_script(f"window.scrollTo(0, {place})")
        box = browser.execute_script("return document.querySelector('#disclaimer').getBoundingClientRect().toJSON()")
        assert box["top"] == 0 and 20 < box["height"] < 60 and box["width"] >= width - 20
    for selector in (
        "#disclaimer b",
        "#files .or",
        "#about p",
        "#status p",
        "h1",
        "#ask",
        "#report",
        "#stop",
        "#talk .message",
    ):
        assert contrast(browser, selector) >= 4.4, selector
    asked_for = requested(browser)
    assert all(url.startswith(demo.url) for url in asked_for) and not any(url.endswith("/seen") for url in asked_for)


@pytest.mark.parametrize("width", [1280])
def test_a_header_with_html_is_shown_as_text_and_a_large_file_is_refused(demo, browser, width, tmp_path):
    (tmp_path / "ecg.csv").write_text(f"time,{ATTACK},<b>V1</b>\n" + "0.1,0.2,0.3\n" * 600)
    (tmp_path / "layout.json").write_text('{"sampling_rate": 500, "unit": "mV"}')
    (tmp_path / "large.npy").write_bytes(bytes(2**20 + 1))
    wait = WebDriverWait(browser, 60)
    browser.get(demo.url)
    files = wait.until(lambda b: b.find_element(By.CSS_SELECTOR, "#files input[type=file]"))
    files.send_keys(f"{tmp_path / 'ecg.csv'}\n{tmp_path / 'layout.json'}")
    wait.until(lambda b: "Not read" in b.find_element(By.ID, "about").text)
    line = browser.find_element(By.ID, "about").text
    assert '<img src="/seen"' in line
    wait.until(lambda b: '<img src="/seen"' in b.find_element(By.CSS_SELECTOR, "[data-testid=toast-body]").text)
    wait.until(lambda b: "Drop File Here" in b.find_element(By.ID, "files").text)
    wait.until(lambda b: _choose(b, tmp_path / "large.npy"))
    wait.until(lambda b: "maximum allowed size" in b.find_element(By.TAG_NAME, "body").text)
    assert browser.title == "Cardiolect" and not any(url.endswith("/seen") for url in requested(browser))


def _choose(browser, path: Path) -> bool:
    """The widget is drawn anew once a file was read."""
    try:
        browser.find_element(By.CSS_SELECTOR, "#files input[type=file]").send_keys(str(path))
    except (NoSuchElementException, StaleElementReferenceException):
        return False
    return True


@pytest.mark.parametrize("width", [1280])
def test_stop_ends_an_answer(demo, browser, width, monkeypatch):
    ended = []

    def endless(*_, **__):
        try:
            for count in range(1, 600):
                time.sleep(0.1)
                yield "word " * count
        finally:
            ended.append(count)

    monkeypatch.setattr(ECGChat, "stream", endless)
    wait = WebDriverWait(browser, 60)
    browser.get(demo.url)
    wait.until(lambda b: b.find_element(By.CSS_SELECTOR, "#question textarea")).send_keys("Is it regular?\n")
    wait.until(lambda b: b.find_element(By.ID, "talk").text.count("word") > 3)
    browser.find_element(By.ID, "stop").click()
    wait.until(lambda _: ended)
    shown = browser.find_element(By.ID, "talk").text.count("word")
    time.sleep(0.5)
    assert browser.find_element(By.ID, "talk").text.count("word") == shown <= ended[0] + 1 < 600
