"""Is what comes in still what was learned? The last week's inputs against a version's training."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from memeapp.errors import MemeAppError
from memeapp.labels import LabelSchema
from memeapp.registry import Registry
from memeapp.service.compared import Row, compare, note
from memeapp.service.recent import Recent
from memeapp.service.reference import Reference, reference_for
from memeapp.store import Store
from memeapp.types import ModelVersion

DAYS = 7
MOST = 5_000
"""Inputs that are looked at, the newest."""
WATCH_SECONDS = 3600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """The comparison for the version that answers."""

    version: str
    about: str
    """What it is compared with, in a sentence."""
    recent: int
    """What was classified in the last `days`, `MOST` at most."""
    days: int
    rows: tuple[Row, ...]
    note: str
    """What to tell the admin; empty while nothing parts."""


class Drift:
    """Compares; the caller has checked who asks. Safe to share between threads."""

    def __init__(self, store: Store, registry: Registry, schema: LabelSchema) -> None:
        self._store = store
        self._registry = registry
        self._schema = schema
        self._lock = threading.Lock()
        self._reference: tuple[str, Reference] | None = None
        self._recent: Recent[Report] = Recent(lambda _: self._compare())
        self._watched = float("-inf")
        self._told: set[tuple[str, str]] = set()

    def report(self) -> Report:
        """The comparison of now, or of a moment ago.

        Raises:
            NotFound: no version answers.
            Mismatch: the version that answers cannot be read.
        """
        return self._recent(0, self._registry.stamp())

    def watch(self) -> None:
        """Look once an hour, and tell the log once a day for each version that something parts."""
        if time.monotonic() < self._watched + WATCH_SECONDS:
            return
        self._watched = time.monotonic()
        try:
            report = self.report()
        except MemeAppError as error:
            log.info("Drift cannot be seen: %s", error)
            return
        today = (report.version, datetime.now(UTC).date().isoformat())
        if report.note and today not in self._told:
            self._told = {today}
            log.warning(report.note)

    def _compare(self) -> Report:
        version = self._registry.current()
        reference = self._reference_of(version)
        inputs = self._store.inputs_since(DAYS, MOST)
        rows = compare(reference, inputs, version.name, self._schema)
        return Report(
            version=version.name,
            about=_about(version.name, reference),
            recent=len(inputs),
            days=DAYS,
            rows=rows,
            note=note(rows, version.name, DAYS),
        )

    def _reference_of(self, version: ModelVersion) -> Reference:
        with self._lock:
            if self._reference is None or self._reference[0] != version.created_at:
                kept = self._store.folder / "drift" / f"{version.name}.json"
                self._reference = (
                    version.created_at,
                    reference_for(version, kept, lambda: self._made(version)),
                )
            return self._reference[1]

    def _made(self, version: ModelVersion) -> Reference:
        return Reference.of(self._store, version, self._registry.load(version.name))


def _about(version: str, reference: Reference) -> str:
    if not reference.learned and not reference.text_length:
        return (
            f"{version} learned from memes that are not here: its scores are compared with those "
            "of its own training, the rest with nothing until a version is trained here."
        )
    scores = (
        f"{reference.held_out:,} held-out memes, of which it is no surer than of new ones"
        if reference.held_out
        else "its own training, for too few memes are held out"
    )
    return (
        f"{version} learned from {reference.learned:,} memes that are here. Its scores are "
        f"compared with those of {scores}."
    )
