"""The app in a process of its own, as people start it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from memeapp.errors import Unavailable
from memeapp.settings import Settings

START_SECONDS = 120


@contextmanager
def running(folder: Path, password: str) -> Iterator[str]:
    """The app on this data folder; gives its address. Raises: Unavailable, if it does not start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = Settings(data=folder, port=port, admin_password=password)
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "memeapp", "serve"],
            env={**os.environ, **settings.to_env()},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}/"
    try:
        give_up = time.monotonic() + START_SECONDS
        while not _answers(address):
            if server.poll() is not None or time.monotonic() > give_up:
                told = (folder / "server.log").read_text(errors="replace")[-2000:]
                raise Unavailable(f"The app did not start: {told}")
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}health", timeout=2).is_success
    except httpx.HTTPError:
        return False
