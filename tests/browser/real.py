"""The app with all its real parts in a process of its own, over memes drawn here."""

from __future__ import annotations

import csv
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image, ImageDraw, ImageFont

from memeapp.labels import MAMI
from tests.conftest import PASSWORD

WHO = ("women", "girls", "wives", "ladies")
SAYS_YES = (
    ("stereotype", "{} belong in the kitchen"),
    ("shaming", "{} look old without paint"),
    ("objectification", "{} are a nice view"),
    ("violence", "{} should be kept locked up"),
)
SAYS_NO = (
    "{} won the chess game",
    "the cat likes {} and coffee",
    "{} wrote this program",
    "rain again say the {}",
)


def draw(text: str, seed: int) -> Image.Image:
    """A meme of coloured blocks with a caption, different enough from every other one."""
    rng = random.Random(seed)
    small = Image.new("RGB", (6, 6))
    for x in range(6):
        for y in range(6):
            small.putpixel((x, y), tuple(rng.randrange(60, 200) for _ in range(3)))
    image = small.resize((480, 480), Image.Resampling.BICUBIC)
    font = ImageFont.load_default(26)
    options = {"font": font, "anchor": "mm", "stroke_width": 3, "stroke_fill": "black"}
    ImageDraw.Draw(image).text((240, 430), text, fill="white", **options)
    return image


def write_corpus(folder: Path, count: int) -> None:
    """Labelled memes in MAMI's layout: every other one is misogynous, in each of the four ways."""
    rows: list[dict[str, object]] = []
    for number in range(count):
        who = WHO[number // 2 % 4]
        name = f"{number}.jpg"
        if number % 2:
            kind, phrase = SAYS_YES[number // 8 % 4]
            labels = {label: int(label in ("misogynous", kind)) for label in MAMI.names}
        else:
            phrase, labels = SAYS_NO[number // 8 % 4], dict.fromkeys(MAMI.names, 0)
        text = phrase.format(who)
        draw(text, number).save(folder / name)
        rows.append({"file_name": name, **labels, "Text Transcription": text})
    with (folder / "training.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        table.writeheader()
        table.writerows(rows)


@contextmanager
def real_app(data: Path, folders: Sequence[Path], **settings: str) -> Iterator[str]:
    """The app as people start it, over a data folder filled by the command line; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "MEMEAPP_DATA": str(data),
        "MEMEAPP_PORT": str(port),
        "MEMEAPP_ADMIN_PASSWORD": PASSWORD,
        "MEMEAPP_OCR": "rapidocr",
        **settings,
    }
    for folder in folders:
        command = [sys.executable, "-m", "memeapp", "import", str(folder)]
        subprocess.run(command, env=environment, check=True, timeout=300)
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "memeapp", "serve"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        address = f"http://127.0.0.1:{port}/"
        try:
            _wait_for(address, process, Path(log.name))
            yield address
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            httpx.get(f"{address}health").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"The app did not start:\n{log.read_text()}")
