"""Take the pictures of the README: ``python docs/figures/pictures.py`` writes them beside itself.

They show the built-in model with its example, and the page of its evaluation, which ``bash reproduce.sh`` writes. Needs
the extras demo and test, and Chromium with its driver (Debian: apt-get install chromium-driver).
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from cardiolect.model.cli.commands import main as command
from cardiolect.model.demo import server
from cardiolect.model.llm.builtin import BUILTIN, EXAMPLE
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "results" / "builtin" / "qa" / "result.html"
QUESTION = "AF?"
BOX = "#question textarea, #question input"
ASKED = (QUESTION, "heart rate?", "static noise?")  # in the demo
WIDTH, HEIGHT = 1280, 1400


def main() -> None:
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        raise UserError("chromium or chromedriver is not installed")
    if not PAGE.is_file():
        raise UserError(f"{PAGE}: no such page; bash reproduce.sh evaluates the built-in model")
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder, "ecg.png")
        command(["show", EXAMPLE, "--question", QUESTION, "--out", str(taken)])
        save(taken, "ecg.png")
        with browser(*programs) as page:
            photograph_demo(page, taken)
            save(taken, "demo.png")
            page.set_window_size(WIDTH, 900)
            page.get(PAGE.as_uri())
            page.save_screenshot(taken)
            save(taken, "page.png")


def save(taken: Path, name: str) -> None:
    """No wider than the window and with 64 colours: a fifth of the size, and nothing to see of it."""
    picture = Image.open(taken).convert("RGB")
    picture.thumbnail((WIDTH, WIDTH))
    picture.quantize(64, dither=Image.Dither.NONE).save(HERE / name, optimize=True)
    print(f"picture: {HERE / name}")


@contextmanager
def browser(chromium: str, driver: str) -> Iterator[webdriver.Chrome]:
    os.environ["SE_OFFLINE"] = "true"  # Selenium would look for a newer browser
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", f"--window-size={WIDTH},{HEIGHT}"):
        options.add_argument(argument)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def photograph_demo(page: webdriver.Chrome, picture: Path) -> None:
    """The demo after `ASKED` about the example."""
    demo = server.start(BUILTIN, port=0, device="cpu")
    try:
        page.get(f"{demo.url}?__theme=light")
        wait = WebDriverWait(page, 60)
        for number, question in enumerate(ASKED, start=1):
            wait.until(lambda page: page.find_element(By.CSS_SELECTOR, BOX)).send_keys(question)
            page.find_element(By.ID, "ask").click()
            wait.until(lambda page, n=number: len(page.find_elements(By.CSS_SELECTOR, "#talk .bot")) >= n)
            # It is emptied when the answer is complete.
            wait.until(lambda page: not page.find_element(By.CSS_SELECTOR, BOX).get_property("value"))
            time.sleep(1)  # until the page has faded in what has changed
        page.execute_script("window.scrollTo(0, 0)")
        page.save_screenshot(picture)
    finally:
        demo.close()


if __name__ == "__main__":
    run_command(main)
