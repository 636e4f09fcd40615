"""The app stops when it is told to, and every vote that was acknowledged is there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from memeapp.judging import Plan
from memeapp.store import Store
from tests.api.conftest import Tab
from tests.conftest import add_meme, join

PEOPLE = 4
START_SECONDS = 180
STOP_SECONDS = 20
"""Far more than a stop takes that waits for nothing but requests, and less than it may take."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


@pytest.fixture
def server(store: Store, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`memeapp serve` on that data folder, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "memeapp", "--data", str(store.folder), "serve"],
            env={**os.environ, "MEMEAPP_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        give_up = time.monotonic() + START_SECONDS
        while not _answers(address := f"http://127.0.0.1:{port}/"):
            assert process.poll() is None and time.monotonic() < give_up, log.read_text()
            time.sleep(0.1)
        yield process, address
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}health").is_success
    except httpx.HTTPError:
        return False


class Voter:
    """Votes without a pause until the app is gone."""

    def __init__(self, address: str, invite: str, number: int) -> None:
        self.acknowledged: list[str] = []
        self.some = threading.Event()
        self.thread = threading.Thread(target=self._vote, args=[address, invite, number])
        self.thread.start()

    def _vote(self, address: str, invite: str, number: int) -> None:
        with httpx.Client(base_url=address, timeout=STOP_SECONDS) as http:
            join(http, invite, f"Person {number}")
            tab = Tab(http)
            try:
                while cards := tab.told("next")["cards"]:
                    tab.vote(cards[0])
                    self.acknowledged.append(cards[0]["key"])
                    if len(self.acknowledged) == 5:
                        self.some.set()
            except httpx.HTTPError:
                return


def test_a_stop_in_the_middle_loses_no_vote_and_waits_for_no_open_page(
    store: Store, server: tuple[subprocess.Popen[bytes], str]
) -> None:
    process, address = server
    memes = [add_meme(store, number).id for number in range(200)]
    session = store.add_session(Plan("Room", votes_per_meme=PEOPLE), memes)
    invite = store.add_invite(session.id).token
    with (
        httpx.Client(base_url=address, timeout=STOP_SECONDS) as page,
        page.stream("GET", "gradio_api/heartbeat/a-page-that-stays-open") as beats,
    ):
        assert beats.status_code == 200
        chunks = beats.iter_raw()  # the stream would be closed with it
        next(chunks)
        voters = [Voter(address, invite, number) for number in range(PEOPLE)]
        for voter in voters:
            assert voter.some.wait(STOP_SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) in (0, -signal.SIGTERM)
        for voter in voters:
            voter.thread.join(STOP_SECONDS)
    acknowledged = {key for voter in voters for key in voter.acknowledged}
    recorded = {vote.key for vote in store.all_votes(session.id)}
    assert acknowledged <= recorded
    assert len(recorded) < PEOPLE * len(memes), "everybody was done before the stop"
    assert len(recorded - acknowledged) <= PEOPLE
