#!/usr/bin/env python3
"""Take the README's pictures of the three pages, at desktop and phone width.

    make_screenshots.py [OUT]

Starts the app on a throw-away data folder with memes made of the project's own examples, labels
some, retrains once, opens a session, and writes OUT/<page>.png and OUT/<page>-phone.png
(docs/images by default). Needs Chromium.
"""

from __future__ import annotations

import csv
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "memeapp" / "ui" / "assets" / "examples"
PASSWORD = "for these pictures only"
LABELS = ["misogynous", "shaming", "stereotype", "objectification", "violence"]
SAYINGS = [
    ("Women belong in the kitchen", [1, 0, 1, 0, 0]),
    ("She should smile more and talk less", [1, 1, 1, 0, 0]),
    ("My coffee is stronger than my Monday", [0, 0, 0, 0, 0]),
    ("She fixed the engine before lunch", [0, 0, 0, 0, 0]),
]


def draw_corpus(folder: Path) -> None:
    """90 crops of the examples with a text each; two thirds are labelled."""
    rng = random.Random(0)
    folder.mkdir()
    photographs = sorted(EXAMPLES.glob("*.jpg"))
    with (folder / "data.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(["file_name", *LABELS, "Text Transcription"])
        for number in range(90):
            with Image.open(photographs[number % len(photographs)]) as photograph:
                side = rng.randint(200, min(photograph.size) - 1)
                left = rng.randrange(photograph.width - side)
                top = rng.randrange(photograph.height - side)
                crop = photograph.crop((left, top, left + side, top + side))
            name = f"{number:02d}.jpg"
            crop.resize((600, 600)).save(folder / name)
            text, labels = SAYINGS[rng.randrange(len(SAYINGS))]
            table.writerow([name, *(labels if number % 3 else [""] * 5), f"{text} ({number})"])


@contextmanager
def running_app(folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "MEMEAPP_DATA": str(folder / "data"),
        "MEMEAPP_PORT": str(port),
        "MEMEAPP_ADMIN_PASSWORD": PASSWORD,
    }
    command = [sys.executable, "-m", "memeapp"]
    draw_corpus(folder / "corpus")
    for arguments in (["import", str(folder / "corpus")], ["train"]):
        subprocess.run([*command, *arguments], env=environment, check=True, cwd=ROOT)
    server = subprocess.Popen([*command, "serve"], env=environment, cwd=ROOT)
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{address}health").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def photograph_pages(browser: Browser, address: str, out: Path, suffix: str, width: int) -> None:
    phone = width < 600
    context = browser.new_context(
        viewport={"width": width, "height": 844 if phone else 800},
        device_scale_factor=2 if phone else 1,
        is_mobile=phone,
        has_touch=phone,
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    page.locator("#classify-picture input[type=file]").set_input_files(EXAMPLES / "coffee.jpg")
    expect(page.locator("#classify-picture img")).to_be_visible()
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(page.locator("#classify-result article")).to_be_visible()
    page.screenshot(path=out / f"classify{suffix}.png", full_page=True)
    page.get_by_role("tab", name="Admin").click()
    page.get_by_label("Admin password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.locator("#admin-versions .versions")).to_be_visible()
    if not phone:
        page.get_by_label("Name", exact=True).fill("Monday evening")
        page.get_by_role("button", name="Open the session").click()
    link = page.locator("[data-address]")
    expect(link).to_be_visible()
    page.locator(".invite img").evaluate("image => image.decode()")
    page.screenshot(path=out / f"admin{suffix}.png", full_page=True)
    page.goto(link.get_attribute("href") or "")
    page.get_by_label("Your display name").fill("Ada on a phone" if phone else "Ada")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("[data-judged]")).to_have_text("0 judged")
    page.keyboard.press("Enter")
    expect(page.locator("[data-judged]")).to_have_text("1 judged")
    page.keyboard.press("r")
    page.locator("[data-picture]").evaluate("image => image.decode()")
    page.keyboard.press("3")
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=out / f"annotate{suffix}.png", full_page=True)
    context.close()


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app(Path(folder)) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        photograph_pages(browser, address, out, "", 1280)
        photograph_pages(browser, address, out, "-phone", 390)
        browser.close()


if __name__ == "__main__":
    main()
