"""Many people at once: they label a session over HTTP, each for themselves; then all is counted."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from memeapp.bench.machine import heading
from memeapp.bench.people import Seen, label_together
from memeapp.bench.server import running
from memeapp.images import decode
from memeapp.service.features import Report, between
from memeapp.store import Store
from memeapp.types import TextSource

EXTRA = 1.2
"""Memes beyond those that the votes need, so that nobody runs out before the end."""


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
        with running(folder, password) as address:
            began = time.perf_counter()
            seen = asyncio.run(
                label_together(
                    address, password, people, votes, minutes, pause, between(report, 0.2, 1.0)
                )
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
