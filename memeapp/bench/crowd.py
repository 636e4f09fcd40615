"""Many people at once: they label a session over HTTP, each for themselves; then all is counted."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from PIL import Image

from memeapp.bench.machine import heading
from memeapp.errors import Unavailable
from memeapp.images import decode
from memeapp.labels import MAMI
from memeapp.service.features import Report, between
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.types import TextSource

START_SECONDS = 120
EXTRA = 1.2
"""Memes beyond those that the votes need, so that nobody runs out before the end."""


@dataclass(slots=True)
class Seen:
    """What the clients saw."""

    acknowledged: list[int] = field(default_factory=list)
    """Numbers of the votes that the server said it has."""
    seconds: list[float] = field(default_factory=list)
    """From sending a judgement to having the next meme: one request."""
    errors: list[str] = field(default_factory=list)
    surplus: int = 0
    repeated: int = 0
    """Requests sent once more because the connection broke."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the database holds."""

    over_assigned: int
    """Memes with more judgements than the session wants."""
    double: int
    """Pairs of person and meme with two judgements that both stand."""
    lost: int
    """Acknowledged votes that are not there."""
    sound: bool
    """SQLite's own check of the file."""


def bench_crowd(
    out: Path, *, people: int, votes: int, minutes: float, pause: float, report: Report
) -> tuple[Seen, Counted]:
    """Run the app in a process of its own, let the people label, count, and write `crowd.md`.

    Args:
        votes: the run ends with so many, or after so many `minutes`.
        pause: seconds that people think on average, exponentially distributed.

    Raises:
        Unavailable: the app did not start.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        memes = int(EXTRA * votes / 3) + 2 * people
        _make_memes(folder, memes, between(report, 0.0, 0.2))
        password = secrets.token_urlsafe(12)
        with _running(folder, password) as address:
            began = time.perf_counter()
            seen = asyncio.run(
                _label(address, password, people, votes, minutes, pause, between(report, 0.2, 1.0))
            )
            took = time.perf_counter() - began
        counted = count(folder / "memeapp.db", seen.acknowledged)
    out.mkdir(parents=True, exist_ok=True)
    page = to_markdown(people, memes, pause, took, seen, counted)
    (out / "crowd.md").write_text(page, encoding="utf-8")
    return seen, counted


def count(database: Path, acknowledged: list[int]) -> Counted:
    """Compare what was acknowledged with what is in the file."""
    db = sqlite3.connect(database)
    try:
        standing = (
            "SELECT session_id, meme_id, annotator_id FROM votes WHERE kind IN ('vote', 'unsure')"
            " AND NOT EXISTS (SELECT 1 FROM votes AS later WHERE later.replaces = votes.id)"
        )
        over = (
            f"SELECT count(*) FROM (SELECT count(*) AS votes, wanted FROM ({standing}) AS standing"
            " JOIN session_memes AS m ON m.session_id = standing.session_id"
            " AND m.meme_id = standing.meme_id GROUP BY m.session_id, m.meme_id"
            " HAVING votes > wanted)"
        )
        double = (
            f"SELECT count(*) FROM (SELECT 1 FROM ({standing})"
            " GROUP BY session_id, meme_id, annotator_id HAVING count(*) > 1)"
        )
        there = {number for (number,) in db.execute("SELECT id FROM votes")}
        return Counted(
            over_assigned=db.execute(over).fetchone()[0],
            double=db.execute(double).fetchone()[0],
            lost=len(set(acknowledged) - there),
            sound=db.execute("PRAGMA integrity_check").fetchone()[0] == "ok",
        )
    finally:
        db.close()


def _make_memes(folder: Path, count: int, report: Report) -> None:
    """Small pictures of noise, so different that each is a family of its own."""
    store = Store(folder)
    rng = np.random.default_rng(0)
    for number in range(count):
        small = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        buffer = BytesIO()
        Image.fromarray(small).resize((96, 96), Image.Resampling.NEAREST).save(buffer, "PNG")
        store.add_meme(
            decode(buffer.getvalue()),
            text=f"a text that somebody wrote, number {number}",
            text_source=TextSource.GIVEN,
            origin="import:noise",
            holdout_share=0.2,
        )
        report(f"Making memes: {number + 1} of {count}", (number + 1) / count)
    store.close()


@contextmanager
def _running(folder: Path, password: str) -> Iterator[str]:
    """The app as people start it; gives its address."""
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


async def _label(
    address: str,
    password: str,
    people: int,
    votes: int,
    minutes: float,
    pause: float,
    report: Report,
) -> Seen:
    async with httpx.AsyncClient(base_url=address, timeout=60) as admin:
        (await admin.post("auth/admin", json={"password": password})).raise_for_status()
        opened = await admin.post("sessions", json={"name": "Load", "votes_per_meme": 3})
        opened.raise_for_status()
        invite = opened.json()["invites"][0]["token"]
    seen = Seen()
    until = time.monotonic() + 60 * minutes
    async with asyncio.TaskGroup() as group:
        for number in range(people):
            person = _Person(address, invite, number, votes, until, pause, seen, report)
            group.create_task(person.work())
    return seen


class _Person:
    """One client with its own connection and cookie."""

    def __init__(
        self,
        address: str,
        invite: str,
        number: int,
        votes: int,
        until: float,
        pause: float,
        seen: Seen,
        report: Report,
    ) -> None:
        self.address, self.invite, self.number = address, invite, number
        self.votes, self.until, self.pause, self.seen = votes, until, pause, seen
        self.report = report
        self.chance = random.Random(number)
        self.tab = f"tab-{number:08d}"

    async def work(self) -> None:
        async with httpx.AsyncClient(base_url=self.address, timeout=60) as client:
            try:
                name = f"Person {self.number}"
                await self._post(client, "label/join", invite=self.invite, name=name)
                answer = await self._post(client, "label/open", tab=self.tab)
                while len(self.seen.acknowledged) < self.votes and time.monotonic() < self.until:
                    if not answer["cards"]:
                        await asyncio.sleep(1)
                        answer = await self._post(client, "label/next", tab=self.tab)
                        continue
                    await asyncio.sleep(self.chance.expovariate(1 / self.pause))
                    answer = await self._judge(client, answer["cards"][0])
            except httpx.HTTPError as error:
                self.seen.errors.append(f"{type(error).__name__}: {error}")

    async def _judge(self, client: httpx.AsyncClient, card: dict[str, Any]) -> dict[str, Any]:
        said = dict.fromkeys(MAMI.names, False)
        if self.chance.random() < 0.5:
            said[MAMI.names[0]] = said[self.chance.choice(MAMI.names[1:])] = True
        began = time.perf_counter()
        answer = await self._post(
            client, "label/vote", tab=self.tab, meme=card["meme"], key=card["key"], labels=said
        )
        self.seen.seconds.append(time.perf_counter() - began)
        self.seen.acknowledged.append(answer["saved"]["id"])
        self.seen.surplus += answer["saved"]["kind"] == "surplus"
        done = len(self.seen.acknowledged)
        self.report(f"{done} of {self.votes} votes", min(1.0, done / self.votes))
        return answer

    async def _post(self, client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
        """Send as the page does: once more where the connection breaks, except for a join."""
        try:
            response = await client.post(path, json=body)
        except httpx.TransportError:
            if path == "label/join":
                raise
            self.seen.repeated += 1
            response = await client.post(path, json=body)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


def to_markdown(
    people: int, memes: int, pause: float, took: float, seen: Seen, counted: Counted
) -> str:
    """The results in Markdown."""
    median, high, largest = 1e3 * np.quantile(seen.seconds or [np.nan], (0.5, 0.95, 1.0))
    votes = len(seen.acknowledged)
    return "\n".join(
        [
            "# Many people at once",
            "",
            heading(),
            "",
            f"{people} clients, each with its own connection and cookie, label {memes:,} memes "
            f"that want three votes each; a client thinks {pause:g} s on average. The app runs in "
            "a process of its own on the same machine, as `memeapp serve` starts it. One request "
            "saves a judgement durably and brings the next meme.",
            "",
            "| | |",
            "| --- | --- |",
            f"| votes acknowledged | {votes:,} in {took / 60:.1f} min, {votes / took:.1f} /s |",
            f"| submit and next, median | {median:.0f} ms |",
            f"| submit and next, 95 % | {high:.0f} ms |",
            f"| submit and next, largest | {largest:.0f} ms |",
            f"| memes with more votes than wanted | {counted.over_assigned} |",
            f"| memes judged twice by somebody | {counted.double} |",
            f"| acknowledged votes that are not in the file | {counted.lost} |",
            f"| kept as surplus | {seen.surplus} |",
            f"| requests sent again after a broken connection | {seen.repeated} |",
            f"| errors shown to anybody | {len(seen.errors)} |",
            f"| `PRAGMA integrity_check` | {'ok' if counted.sound else 'failed'} |",
            "",
        ]
    )
