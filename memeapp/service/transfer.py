"""Memes in from a folder, memes and votes out to one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from memeapp.corpus import read_corpus, write_corpus, write_votes
from memeapp.errors import BadPicture, BadText
from memeapp.images import decode
from memeapp.labels import LabelSchema
from memeapp.service.features import soft_targets
from memeapp.store import Store
from memeapp.store.votes import MAX_NAME
from memeapp.text import check_length
from memeapp.types import TextSource

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ImportReport:
    """What an import did. `refused` holds a sentence for each picture that could not be used."""

    added: int = 0
    known: int = 0
    labelled: int = 0
    refused: list[str] = field(default_factory=list)


class Transfer:
    """Import and export for one store."""

    def __init__(
        self,
        store: Store,
        schema: LabelSchema,
        *,
        holdout_share: float,
        max_upload_mb: int,
        max_text: int,
    ) -> None:
        self._store = store
        self._schema = schema
        self._holdout_share = holdout_share
        self._max_bytes = max_upload_mb * 2**20
        self._max_text = max_text

    def import_folder(
        self, folder: Path, on_row: Callable[[int, int], None] | None = None
    ) -> ImportReport:
        """Import a folder in MAMI's layout or a plain folder of pictures.

        The table is checked whole before the first meme is stored. A picture that cannot be
        used is reported and left out, the others come in; running it again adds nothing twice.
        Labels become votes of an annotator named after the folder.

        Args:
            on_row: called with rows done and rows in all.

        Raises:
            BadTable: with file, line and value, before anything is stored.
        """
        rows = read_corpus(folder, self._schema.names)
        annotator = None
        report = ImportReport()
        for number, row in enumerate(rows, start=1):
            try:
                picture = decode(
                    row.file.read_bytes(), name=row.file.name, max_bytes=self._max_bytes
                )
                text = check_length(row.text or "", self._max_text)
            except (BadPicture, BadText) as error:
                report.refused.append(f"{row.file.name}: {error}")
                log.warning("Left out %s: %s", row.file.name, error)
                continue
            known = self._store.has_meme(picture.id)
            self._store.add_meme(
                picture,
                text=text,
                text_source=TextSource.GIVEN if text else TextSource.NONE,
                origin=f"import:{folder.name}/{row.file.name}",
                holdout_share=self._holdout_share,
            )
            report.known += known
            report.added += not known
            if row.labels:
                annotator = annotator or self._store.import_annotator(
                    folder.resolve().name[:MAX_NAME]
                )
                self._store.add_vote(
                    picture.id,
                    annotator.id,
                    row.labels,
                    key=f"import:{annotator.id}:{picture.id}",
                    seconds=0.0,
                    revealed=False,
                    votes_per_meme=None,
                )
                report.labelled += 1
            if on_row:
                on_row(number, len(rows))
        return report

    def export(self, folder: Path) -> int:
        """Write memes in MAMI's layout with the majority of their votes, and the raw votes.

        Returns:
            How many memes were written.

        Raises:
            BadInput: if the folder exists and is not empty.
        """
        votes = self._store.votes()
        targets = soft_targets(votes, self._schema.names)
        memes = self._store.memes()
        write_corpus(folder, memes, targets, self._schema.names, self._store.picture_path)
        write_votes(folder / "votes.csv", votes, self._schema.names)
        return len(memes)
