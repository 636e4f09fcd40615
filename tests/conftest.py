"""The app as the pages see it: real labelling on a real store, fakes for all that is heavy."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from memeapp.auth import Auth
from memeapp.errors import Busy, NotFound, TooFewLabels
from memeapp.images import Picture, decode
from memeapp.judging import Plan, Rank, Vote
from memeapp.labels import MAMI, LabelSchema
from memeapp.processes import Processes
from memeapp.registry import Registry
from memeapp.scheduler import Scheduler
from memeapp.service.drift import Report as DriftReport
from memeapp.service.dryrun import DryRuns
from memeapp.service.incoming import Incoming
from memeapp.service.inputs import InputLog
from memeapp.service.labelling import Labelling
from memeapp.service.picture import Picture as SessionPictures
from memeapp.service.quality import Quality
from memeapp.service.transfer import Transfer
from memeapp.service.versions import Versions
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.tokens import TokenDesk
from memeapp.transfers import ExportJobs, ImportJobs
from memeapp.types import (
    AbstainBand,
    Box,
    Counts,
    Effect,
    Job,
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


def fake_registry(folder: Path) -> Registry:
    """Two versions that tell of themselves and hold no model; the shipped one answers."""
    shipped, trained = folder / "shipped", folder / "models"
    for within, version in (
        (shipped, fake_version("shipped-1")),
        (trained, fake_version("v0001-20260102", "shipped-1", task_a=0.781, task_b=0.702)),
    ):
        (within / version.name).mkdir(parents=True, exist_ok=True)
        told = {name: value for name, value in asdict(version).items() if name != "path"}
        (within / version.name / "version.json").write_text(json.dumps(told))
    return Registry(shipped, trained)


class FakeTraining:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def counts(self) -> Counts:
        positives = dict(zip(MAMI.names, (61, 12, 33, 21, 9), strict=True))
        return Counts(420, 120, 300, 80, 24, 260, 5, positives)

    def current(self) -> ModelVersion:
        return self.registry.current()

    @property
    def now(self) -> str:
        """The name of the version that answers."""
        return self.current().name

    def usual_encoder(self) -> str:
        return "embedded"

    def check(self) -> None:
        pass

    def known_encoders(self) -> list[str]:
        return ["embedded", "ViT-L-14/openai"]

    def reliability(self) -> dict[str, list[tuple[float, float, int]]]:
        points = [(0.05 + i / 10, min(1.0, 0.02 + i / 10 * 1.05), 40) for i in range(10)]
        return dict.fromkeys(MAMI.names, points)


class FakeJobs:
    """One job in memory that a test moves along."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.too_few = ""

    def start(
        self,
        encoder: str | None = None,
        *,
        aggregation: str = "majority",
        votes: str = "blind",
        by: str = "admin",
    ) -> Job:
        if self.too_few:
            raise TooFewLabels(self.too_few)
        if self.job and self.job.state.active:
            raise Busy("A training job is running; wait for it or cancel it.")
        self.job = Job(
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
            options={"aggregation": aggregation, "votes": votes, "by": by},
        )
        return self.job

    def again(self, job_id: int) -> Job:
        job = self.find(job_id)
        if job.state not in (JobState.FAILED, JobState.CANCELLED):
            raise NotFound(f"Job {job_id} is {job.state.value}; there is nothing to start again.")
        return self.start(job.encoder)

    def find(self, job_id: int) -> Job:
        if self.job is None or self.job.id != job_id:
            raise NotFound(f"There is no job {job_id}.")
        return self.job

    def latest(self) -> Job | None:
        return self.job

    def cancel(self, job_id: int) -> None:
        assert self.job is not None
        self.move(state=JobState.CANCELLED, message="Cancelled by an admin.")

    def move(self, **changes: object) -> None:
        assert self.job is not None
        self.job = replace(self.job, **changes)  # type: ignore[arg-type]


class InThread(Processes):
    """Jobs in a thread instead of a process; a test may close the gate to hold up the next one."""

    run: Callable[[int], Job]

    @cached_property
    def gate(self) -> threading.Event:
        gate = threading.Event()
        gate.set()
        return gate

    def _spawn(self, job: Job, *arguments: str) -> Job:
        def work() -> None:
            assert self.gate.wait(30)
            self.run(job.id)

        threading.Thread(target=work, daemon=True).start()
        return job


class FakeImports(InThread, ImportJobs):
    pass


class FakeExports(InThread, ExportJobs):
    pass


class FakeDrift:
    """Reports what it is told to."""

    def __init__(self) -> None:
        self.found = DriftReport("shipped-1", "It learned elsewhere.", 0, 7, (), "")
        self.error: Exception | None = None

    def report(self) -> DriftReport:
        if self.error:
            raise self.error
        return self.found


class FakeRanker:
    """Counts how often it was asked to put memes into the queues."""

    def __init__(self) -> None:
        self.starts = 0

    def start(self) -> None:
        self.starts += 1


@dataclass
class FakeApp:
    """What `wiring.build` returns, as far as the pages look."""

    settings: Settings
    auth: Auth
    store: Store
    labelling: Labelling
    quality: Quality
    picture: SessionPictures
    incoming: Incoming
    imports: FakeImports
    exports: FakeExports
    inputs: InputLog
    memes: list[Meme]
    """In the order in which `open_session` has them come up; the first is "Meme number 1"."""
    registry: Registry
    training: FakeTraining
    versions: Versions
    schema: LabelSchema = MAMI
    classifier: FakeClassifier = field(default_factory=FakeClassifier)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    ranker: FakeRanker = field(default_factory=FakeRanker)
    drift: FakeDrift = field(default_factory=FakeDrift)

    @cached_property
    def tokens(self) -> TokenDesk:
        return TokenDesk(self.store)

    @cached_property
    def scheduler(self) -> Scheduler:
        return Scheduler(self.store, self.jobs)  # type: ignore[arg-type]

    @cached_property
    def dry_runs(self) -> DryRuns:
        return DryRuns(self.store, self.training, self.schema)  # type: ignore[arg-type]

    def votes(self) -> list[Vote]:
        """Everything that was ever said, in all sessions, in its order."""
        return self.store.all_votes()


def draw_picture(number: int, size: int = 96) -> bytes:
    """A PNG of coloured squares that differs from that of every other number, also by its hash."""
    random = np.random.default_rng(number)
    picture = Image.new("RGB", (size, size))
    draw = ImageDraw.Draw(picture)
    cells = random.integers(0, 256, (8, 8, 3))
    cell = size // 8
    for row in range(8):
        for column in range(8):
            corner = (column * cell, row * cell)
            draw.rectangle(
                (*corner, corner[0] + cell, corner[1] + cell),
                fill=tuple(int(value) for value in cells[row, column]),
            )
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def add_meme(store: Store, number: int, text: str = "") -> Meme:
    return store.add_meme(
        decode(draw_picture(number)),
        text=text or f"Meme number {number}",
        text_source=TextSource.GIVEN,
        origin="import:test",
        holdout_share=0.0,
    )


def fake_app(folder: Path, memes: int = 3, **settings: object) -> FakeApp:
    folder.mkdir(parents=True, exist_ok=True)
    made = Settings(data=folder, **settings)  # type: ignore[arg-type]
    store = Store(folder)
    transfer = Transfer(store, MAMI, holdout_share=0.0, max_upload_mb=20, max_text=2000)
    incoming = Incoming(folder, made.max_import_mb)
    registry = fake_registry(folder)
    return FakeApp(
        settings=made,
        auth=Auth(folder, PASSWORD),
        store=store,
        labelling=Labelling(store, MAMI, max_text=made.max_text),
        quality=Quality(store, MAMI),
        picture=SessionPictures(store, MAMI),
        incoming=incoming,
        imports=FakeImports(store, transfer, incoming, made),
        exports=FakeExports(store, transfer, made),
        inputs=InputLog(store, keep_days=made.input_days),
        memes=[add_meme(store, number) for number in range(1, memes + 1)],
        registry=registry,
        training=FakeTraining(registry),
        versions=Versions(store, registry, MAMI),
    )


SUGGESTION: Mapping[str, object] = {
    "model": "shipped-1",
    "chances": dict(zip(MAMI.names, (0.83, 0.1, 0.7, 0.2, 0.05), strict=True)),
    "says": dict(zip(MAMI.names, (True, False, True, False, False), strict=True)),
}


def open_session(
    app: FakeApp,
    name: str = "Room",
    *,
    suggestion: Mapping[str, object] | None = None,
    rank: Callable[[Meme], Rank] = lambda _: Rank(),
    meme_ids: list[str] | None = None,
    **plan: Any,
) -> str:
    """Open a session in which the memes come up in the order of `app.memes`; gives an invite.

    Args:
        suggestion: what the model says of every meme.
        rank: what else is known of a meme.
        meme_ids: all if None.
    """
    made = Plan(name, **{"policy": {"uncertain": 1.0}, **plan})
    session = app.labelling.open_session(made, meme_ids)
    ranks = {
        meme.id: replace(rank(meme), uncertain=float(place), suggestion=suggestion)
        for place, meme in enumerate(app.memes)
    }
    app.store.set_ranks(session.id, ranks)
    return app.labelling.invite(session.id).token


def join(client: httpx.Client, invite: str, name: str = "Ada") -> None:
    """Become a member of the session that the invite leads into; the client keeps the cookie."""
    client.post("label/join", json={"invite": invite, "name": name}).raise_for_status()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeApp]:
    app = fake_app(tmp_path)
    yield app
    app.store.close()


def _strip_prefix(app: Any, prefix: str) -> Any:
    """What a proxy in front does that hands on everything below `prefix`."""

    async def proxied(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(f"{prefix}/"), f"{scope['path']} left the prefix"
            scope = {**scope, "path": scope["path"].removeprefix(prefix)}
        await app(scope, receive, send)

    return proxied


@contextmanager
def serving(app: FakeApp, *, strips: bool = True) -> Iterator[str]:
    """The pages of `app` behind a real server in a thread; gives their address.

    With a `root_path` in the settings they stand behind a proxy that strips it; without `strips`
    that is left to a proxy of the test's own.
    """
    import uvicorn  # noqa: PLC0415

    from memeapp.ui.web import build_app, forwarding  # noqa: PLC0415 - gradio: seconds, for these tests only

    listening = socket.create_server(("127.0.0.1", 0))
    servers: list[uvicorn.Server] = []
    prefix = app.settings.root_path if strips else ""

    async def serve() -> None:
        # Built inside the loop: gradio opens loops of its own otherwise, and never closes them.
        pages = _strip_prefix(build_app(app), prefix)  # type: ignore[arg-type]
        config = uvicorn.Config(
            pages, log_level="error", timeout_graceful_shutdown=1, **forwarding(app.settings)
        )
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
