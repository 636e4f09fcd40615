"""Data folders for the loop: labelled memes come in without their labels, everything encoded."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np

from memeapp.bench.annotators import Truth
from memeapp.corpus import CorpusRow, read_corpus
from memeapp.errors import BadInput
from memeapp.jobs import Jobs
from memeapp.labels import LabelSchema
from memeapp.learn.gate import FEWEST_GROUPS
from memeapp.registry import Registry
from memeapp.service.engines import Engines
from memeapp.service.features import Report, between
from memeapp.service.labelling import Labelling
from memeapp.service.ranks import Ranking
from memeapp.service.training import Training
from memeapp.service.transfer import Transfer
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.tables import write_json_lines

SHUFFLES = 10
"""Drawn before the memes are given up on."""


class App(Protocol):
    """What is needed of the app on a data folder."""

    @property
    def schema(self) -> LabelSchema: ...
    @property
    def store(self) -> Store: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def engines(self) -> Engines: ...
    @property
    def labelling(self) -> Labelling: ...
    @property
    def training(self) -> Training: ...
    @property
    def transfer(self) -> Transfer: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def ranking(self) -> Ranking: ...


def read_truth(folder: Path, schema: LabelSchema) -> tuple[list[CorpusRow], Truth]:
    """The memes of a folder, and what holds of each by the id that the app will give it.

    Raises:
        BadInput: a meme lacks a label.
    """
    rows = read_corpus(folder, schema.names)
    for row in rows:
        if set(row.labels) != set(schema.names):
            raise BadInput(f"{row.file.name} in {folder.name!r} lacks labels; give every meme all.")
    ids = [hashlib.sha256(row.file.read_bytes()).hexdigest() for row in rows]
    return rows, dict(zip(ids, (row.labels for row in rows), strict=True))


def app_settings(settings: Settings, data: Path) -> Settings:
    """Those of an app on another data folder that came without a version."""
    return replace(settings, data=data, models=data / "none-shipped")


def encode(app: App, rows: Sequence[CorpusRow], name: str, report: Report) -> str:
    """Import and encode the memes once, in an app that nobody labels in; gives the encoder."""
    _import(app, rows, name, between(report, 0.0, 0.3))
    return app.training.encode(between(report, 0.3, 1.0))[1]


def _import(app: App, rows: Sequence[CorpusRow], name: str, report: Report) -> None:
    """The app's own import, of the memes in this order, without their labels."""
    with TemporaryDirectory() as bare:
        folder = Path(bare)
        (folder / "images").mkdir()
        for row in rows:
            (folder / "images" / row.file.name).symlink_to(row.file.resolve())
        write_json_lines(
            folder / "data.jsonl",
            ({"file_name": row.file.name, "text": row.text or ""} for row in rows),
        )
        imported = app.transfer.import_folder(
            folder,
            lambda done, total: report(f"Importing {done} of {total}", done / total),
            name=name,
        )
    if imported.refused:
        raise BadInput(f"{len(imported.refused)} memes cannot be used: {imported.refused[0]}")


def data_folders(
    base: App,
    open_app: Callable[[Settings], App],
    settings: Settings,
    rows: Sequence[CorpusRow],
    name: str,
    seed: int,
    policies: Sequence[str],
) -> Iterator[tuple[str, Path]]:
    """A data folder for each policy, all alike: nothing labelled, everything encoded.

    The seed shuffles the import: a template is named by its oldest meme, and whether it is held out
    follows from the name. A shuffle that holds out too few templates for the gate ever to speak is
    drawn anew.

    Raises:
        BadInput: none of `SHUFFLES` holds out enough.
    """
    if not policies:
        return
    rng = np.random.default_rng(seed)
    for _ in range(SHUFFLES):
        with TemporaryDirectory() as folder:
            data = Path(folder) / "memes"
            app = open_app(app_settings(settings, data))
            _import(app, [rows[at] for at in rng.permutation(len(rows))], name, quiet)
            _hand_over(base, app)
            templates = {meme.template for meme in app.store.memes(held_out=True)}
            app.store.close()
            if len(templates) < FEWEST_GROUPS:
                continue
            for policy in policies:
                yield policy, Path(shutil.copytree(data, Path(folder) / policy))
            return
    raise BadInput(
        f"{name!r} has too few templates: of {SHUFFLES} draws none holds out {FEWEST_GROUPS}, and "
        "with fewer the gate cannot tell two versions apart."
    )


def _hand_over(base: App, app: App) -> None:
    """Give an app what another one has encoded, and let it look for templates."""
    encoder = base.engines.encoder().id
    memes = base.store.memes()
    images = base.store.image_features(encoder, [meme.id for meme in memes])
    texts = base.store.text_features(encoder, [meme.text for meme in memes])
    app.store.put_image_features(encoder, images)
    app.store.put_text_features(encoder, texts)
    app.training.encode(quiet)


def digest(rows: Sequence[CorpusRow], truth: Truth) -> str:
    what = [[row.text for row in rows], [[id, dict(labels)] for id, labels in truth.items()]]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def quiet(stage: str, done: float) -> None:
    pass
