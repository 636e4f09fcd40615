"""Memes in from a folder, memes and votes out to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from memeapp.corpus import CorpusRow, read_corpus, write_corpus, write_votes
from memeapp.errors import BadInput, BadPicture, BadTable, BadText
from memeapp.images import decode_file
from memeapp.labels import LabelSchema
from memeapp.service.features import soft_targets
from memeapp.store import Store
from memeapp.store.votes import MAX_NAME
from memeapp.text import check_length
from memeapp.types import Annotator, TextSource


@dataclass(slots=True)
class ImportReport:
    """What an import did. `refused` holds a sentence for each row that was not taken as it is."""

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
            BadTable: with file, line and value, before any meme is stored.
        """
        rows = read_corpus(folder, self._schema.names)
        annotator = self._annotator(folder) if any(row.labels for row in rows) else None
        report = ImportReport()
        for number, row in enumerate(rows, start=1):
            try:
                self._import_row(row, folder, annotator, report)
            except (BadPicture, BadText) as error:
                named = row.file.name in str(error)
                report.refused.append(str(error) if named else f"{row.file.name}: {error}")
            if on_row:
                on_row(number, len(rows))
        return report

    def _annotator(self, folder: Path) -> Annotator:
        """The annotator in whose name the labels of this folder are votes."""
        name = folder.resolve().name[:MAX_NAME]
        try:
            return self._store.import_annotator(name)
        except BadInput as error:
            raise BadTable(
                f"The labels are imported in the name of the folder, and {name!r} cannot be one: "
                f"{error} Rename the folder."
            ) from error

    def _import_row(
        self, row: CorpusRow, folder: Path, annotator: Annotator | None, report: ImportReport
    ) -> None:
        picture = decode_file(row.file, max_bytes=self._max_bytes)
        text = check_length(row.text or "", self._max_text)
        known = self._store.has_meme(picture.id)
        meme = self._store.add_meme(
            picture,
            text=text,
            text_source=TextSource.GIVEN if text else TextSource.NONE,
            origin=f"import:{folder.name}/{row.file.name}",
            holdout_share=self._holdout_share,
        )
        report.known += known
        report.added += not known
        if text not in ("", meme.text):
            report.refused.append(
                f"{row.file.name}: is there with another text that people gave or judged; it stays."
            )
        if row.labels and annotator:
            # A data set may contradict itself: MAMI has a few kinds without the parent. Its
            # labels are kept as they are.
            vote = self._store.add_vote(
                picture.id,
                annotator.id,
                row.labels,
                key=f"import:{annotator.id}:{picture.id}",
                seconds=0.0,
                revealed=False,
                votes_per_meme=None,
            )
            report.labelled += vote.labels == row.labels
            if vote.labels != row.labels:
                report.refused.append(
                    f"{row.file.name}: was imported from a folder of this name with other labels; "
                    "votes are never changed, so the first ones stay."
                )

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
