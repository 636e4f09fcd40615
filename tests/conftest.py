"""Fakes with the faces of the real services, so that tests of pages and routes are quick."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from memeapp.auth import Auth
from memeapp.errors import AlreadyVoted, BadInput, Busy, NotFound, TooFewLabels
from memeapp.images import Picture
from memeapp.labels import MAMI, LabelSchema
from memeapp.settings import Settings
from memeapp.types import (
    AbstainBand,
    Annotator,
    Box,
    Counts,
    Effect,
    JobState,
    LabelScore,
    Meme,
    ModelVersion,
    Neighbour,
    Prediction,
    Reading,
    Reasons,
    TextLine,
    TextSource,
    TrainingJob,
    Vote,
    WordEffect,
)

PASSWORD = "a long password"
NOW = "2026-01-02T03:04:05+00:00"
OCR_TEXT = "WHEN THE COFFEE FINALLY ARRIVES"


def picture_bytes(colour: str = "steelblue", format: str = "PNG", side: int = 64) -> bytes:
    """A plain picture as a file would hold it."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, format)
    return buffer.getvalue()


@dataclass(frozen=True)
class FakeStatus:
    model: str = "shipped-1"
    encoder: str = "embedded-1"
    ocr: str = "rapidocr"
    notices: tuple[str, ...] = ()


FAKE_BAND = AbstainBand(0.42, 0.6, 0.18, 0.125, 0.21)

FAKE_REASONS = Reasons(
    modality=tuple(
        Effect(label, image, text)
        for label, image, text in zip(
            MAMI.names,
            (-0.34, 0.1, 0.0, 0.2, -0.4),
            (2.27, -0.3, 3.9, 0.5, -0.2),
            strict=True,
        )
    ),
    about=("misogynous", "stereotype"),
    words=(
        WordEffect("kitchen", "misogynous", 1.24),
        WordEffect("coffee", "misogynous", -0.52),
        WordEffect("kitchen", "stereotype", 1.9),
    ),
    neighbours=(
        Neighbour(f"{1:064x}", 0.83, dict.fromkeys(MAMI.names, 0.0), "the first meme like it"),
        Neighbour(
            f"{2:064x}",
            0.71,
            {"misogynous": 1.0, "shaming": 0.25, "stereotype": 0.75},
            "the second meme like it",
        ),
    ),
    unlike=("picture",),
    seconds=0.01,
)


@dataclass
class FakeClassifier:
    """Says yes when the text holds the word "yes"; a test may close the gate to hold it up."""

    now: FakeStatus = field(default_factory=FakeStatus)
    ocr_text: str = OCR_TEXT
    error: Exception | None = None
    chances: tuple[float, ...] | None = None
    reasons: Reasons | None = None
    band: AbstainBand | None = None
    zero_shot: tuple[LabelScore, ...] | None = None
    kept: list[tuple[str, str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def status(self) -> FakeStatus:
        if self.error:
            raise self.error
        return self.now

    def read_text(self, picture: Picture) -> Reading:
        assert self.gate.wait(30)
        line = TextLine(self.ocr_text, 0.98, Box(0, 0, 60, 12))
        return Reading((line,) if self.ocr_text else (), self.now.ocr, 0.1)

    def classify(
        self,
        picture: Picture,
        text: str,
        *,
        keep: bool = False,
        reading: Reading | None = None,
    ) -> Prediction:
        assert self.gate.wait(30)
        if self.error:
            raise self.error
        read = text in ("", reading.text if reading else "")
        shown = (reading.text if reading else self.ocr_text) if read else text
        yes = "yes" in shown.casefold()
        if keep:
            self.kept.append((picture.id, shown))
        chances = self.chances or (
            (0.82, 0.12, 0.67, 0.31, 0.04) if yes else (0.14, 0.03, 0.22, 0.06, 0.02)
        )
        parent = chances[0] >= 0.5
        return Prediction(
            scores=tuple(
                LabelScore(
                    label,
                    chance,
                    threshold,
                    parent and chance >= threshold,
                    self.band is not None and self.band.low <= chance < self.band.high,
                    self.band,
                )
                for label, chance, threshold in zip(
                    MAMI.names, chances, (0.5, 0.35, 0.4, 0.45, 0.3), strict=True
                )
            ),
            text=shown,
            text_source=TextSource.OCR if read else TextSource.GIVEN,
            lines=reading.lines if read and reading else (),
            model=self.now.model,
            encoder=self.now.encoder,
            ocr=self.now.ocr if read else None,
            seconds=0.42,
            notices=self.now.notices,
            reasons=self.reasons,
            zero_shot=self.zero_shot,
        )


def fake_meme(number: int, text: str = "") -> Meme:
    return Meme(
        id=f"{number:064x}",
        width=64,
        height=64,
        phash="0" * 16,
        family=f"{number:064x}",
        held_out=False,
        text=text or f"Meme number {number}",
        text_source=TextSource.GIVEN,
        origin="import:test",
        created_at=NOW,
    )


class FakeLabelling:
    """Memes and votes in memory; pictures in a folder."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.memes = [fake_meme(number) for number in range(1, count + 1)]
        for number, meme in enumerate(self.memes):
            colour = ("tomato", "seagreen", "goldenrod")[number % 3]
            (folder / f"{meme.id}.jpg").write_bytes(picture_bytes(colour, "JPEG", 400))
        self.people: dict[str, Annotator] = {}
        self.votes: list[Vote] = []
        self.error: Exception | None = None

    def join(self, name: str) -> Annotator:
        if not name.strip():
            raise BadInput("The name is empty; enter one.")
        if any(person.name == name for person in self.people.values()):
            raise BadInput(f"The name {name!r} is taken; choose another one.")
        person = Annotator(f"p{len(self.people) + 1}", name, "person", NOW)
        self.people[person.id] = person
        return person

    def annotator(self, annotator_id: str) -> Annotator:
        if annotator_id not in self.people:
            raise NotFound(f"No annotator {annotator_id!r}.")
        return self.people[annotator_id]

    def _left(self, annotator_id: str) -> list[Meme]:
        judged = {vote.meme_id for vote in self.votes if vote.annotator_id == annotator_id}
        return [meme for meme in self.memes if meme.id not in judged]

    def next_meme(self, annotator_id: str) -> Meme | None:
        return next(iter(self._left(annotator_id)), None)

    def vote(
        self,
        annotator_id: str,
        meme_id: str,
        labels: Mapping[str, bool],
        *,
        key: str,
        seconds: float,
        revealed: bool,
    ) -> Vote:
        if self.error:
            raise self.error
        MAMI.check(labels)
        for vote in self.votes:
            if vote.key == key:
                return vote
            if (vote.annotator_id, vote.meme_id) == (annotator_id, meme_id):
                raise AlreadyVoted("You have judged this meme.")
        vote = Vote(
            len(self.votes) + 1, meme_id, annotator_id, dict(labels), seconds, revealed, key, NOW
        )
        self.votes.append(vote)
        return vote

    def progress(self, annotator_id: str) -> tuple[int, int]:
        left = len(self._left(annotator_id))
        return len(self.memes) - left, left

    def picture(self, meme_id: str) -> Path:
        if meme_id not in {meme.id for meme in self.memes}:
            raise NotFound(f"No meme {meme_id!r}.")
        return self.folder / f"{meme_id}.jpg"


def fake_version(name: str, parent: str | None = None, **metrics: float) -> ModelVersion:
    return ModelVersion(
        name=name,
        created_at=NOW,
        encoder="embedded-1",
        labels=MAMI.names,
        parent=parent,
        recipe="best",
        data={"labelled": 120, "unlabelled": 300},
        metrics={
            task: {"value": value, "low": value - 0.03, "high": value + 0.03}
            for task, value in metrics.items()
        },
    )


class FakeTraining:
    def __init__(self) -> None:
        self.all = [
            fake_version("v0001-20260102", "shipped-1", task_a=0.781, task_b=0.702),
            fake_version("shipped-1"),
        ]
        self.now = "shipped-1"

    def counts(self) -> Counts:
        positives = dict(zip(MAMI.names, (61, 12, 33, 21, 9), strict=True))
        return Counts(420, 120, 300, 80, 24, 260, 5, positives)

    def versions(self) -> list[ModelVersion]:
        return self.all

    def current(self) -> ModelVersion:
        for version in self.all:
            if version.name == self.now:
                return version
        raise NotFound("There is no model version; set MEMEAPP_MODELS.")

    def known_encoders(self) -> list[str]:
        return ["embedded", "ViT-L-14/openai"]

    def reliability(self) -> dict[str, list[tuple[float, float, int]]]:
        points = [(0.05 + i / 10, min(1.0, 0.02 + i / 10 * 1.05), 40) for i in range(10)]
        return dict.fromkeys(MAMI.names, points)

    def promote(self, name: str) -> None:
        if name not in {version.name for version in self.all}:
            raise NotFound(f"No version {name!r}; choose one of the table.")
        self.now = name


class FakeJobs:
    """One job in memory that a test moves along."""

    def __init__(self) -> None:
        self.job: TrainingJob | None = None
        self.too_few = ""

    def start(self, encoder: str | None = None) -> TrainingJob:
        if self.too_few:
            raise TooFewLabels(self.too_few)
        if self.job and self.job.state.active:
            raise Busy("A training job is running; wait for it or cancel it.")
        self.job = TrainingJob(
            1,
            JobState.RUNNING,
            "Encoding memes",
            0.25,
            "",
            None,
            4711,
            NOW,
            NOW,
            encoder or "embedded",
        )
        return self.job

    def latest(self) -> TrainingJob | None:
        return self.job

    def cancel(self, job_id: int) -> None:
        assert self.job is not None
        self.move(state=JobState.CANCELLED, message="Cancelled by an admin.")

    def move(self, **changes: object) -> None:
        assert self.job is not None
        self.job = replace(self.job, **changes)  # type: ignore[arg-type]


@dataclass
class FakeApp:
    """What `wiring.build` returns, as far as the pages look."""

    settings: Settings
    auth: Auth
    labelling: FakeLabelling
    schema: LabelSchema = MAMI
    classifier: FakeClassifier = field(default_factory=FakeClassifier)
    training: FakeTraining = field(default_factory=FakeTraining)
    jobs: FakeJobs = field(default_factory=FakeJobs)


def fake_app(folder: Path, **settings: object) -> FakeApp:
    folder.mkdir(parents=True, exist_ok=True)
    return FakeApp(
        settings=Settings(data=folder, **settings),  # type: ignore[arg-type]
        auth=Auth(folder, PASSWORD),
        labelling=FakeLabelling(folder / "pictures"),
    )


@pytest.fixture
def fake(tmp_path: Path) -> FakeApp:
    return fake_app(tmp_path)


def _strip_prefix(app: Any, prefix: str) -> Any:
    """What a proxy in front does that hands on everything below `prefix`."""

    async def proxied(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(f"{prefix}/"), f"{scope['path']} left the prefix"
            scope = {**scope, "path": scope["path"].removeprefix(prefix)}
        await app(scope, receive, send)

    return proxied


@contextmanager
def serving(app: FakeApp) -> Iterator[str]:
    """The pages of `app` behind a real server in a thread; gives their address.

    With a `root_path` in the settings they stand behind a proxy that strips it.
    """
    import uvicorn  # noqa: PLC0415

    from memeapp.ui.web import build_app  # noqa: PLC0415 - gradio: seconds, for these tests only

    listening = socket.create_server(("127.0.0.1", 0))
    servers: list[uvicorn.Server] = []
    prefix = app.settings.root_path

    async def serve() -> None:
        # Built inside the loop: gradio opens loops of its own otherwise, and never closes them.
        pages = _strip_prefix(build_app(app), prefix)  # type: ignore[arg-type]
        config = uvicorn.Config(pages, log_level="error", timeout_graceful_shutdown=1)
        servers.append(uvicorn.Server(config))
        await servers[0].serve(sockets=[listening])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{prefix}/"
    finally:
        servers[0].should_exit = True
        thread.join(30)
        listening.close()
