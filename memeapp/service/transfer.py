"""Memes and votes in from a folder or a zip, and out to a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from memeapp.archives import unpacked
from memeapp.corpus import has_memes, read_corpus, read_votes
from memeapp.labels import LabelSchema
from memeapp.service.datacard import data_card
from memeapp.service.exports import gather, write_export
from memeapp.service.imports import Import, ImportReport
from memeapp.store import Store

__all__ = ["ImportReport", "Transfer"]


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

    def import_path(
        self, path: Path, on_row: Callable[[int, int], None] | None = None
    ) -> ImportReport:
        """`import_folder` of a folder, or of a zip of one.

        Raises:
            BadInput: with the entry and the limit, if the zip is not taken; nothing was stored.
        """
        if path.is_dir():
            return self.import_folder(path, on_row)
        with unpacked(path, self._store.folder) as folder:
            return self.import_folder(folder, on_row, name=path.stem)

    def import_folder(
        self,
        folder: Path,
        on_row: Callable[[int, int], None] | None = None,
        *,
        name: str | None = None,
    ) -> ImportReport:
        """Import a folder of memes, see `read_corpus`, with the votes beside them.

        All tables are checked whole before the first meme is stored. A picture that cannot be
        used is reported and left out, the others come in; running it again adds nothing twice.

        Where there is a table of votes, each of its people becomes an annotator named
        "<data set>/<name>", and the labels of the memes' table, which sum the votes up, are not
        votes. Otherwise these labels are votes of an annotator named after the data set.

        An id that the memes' table states is believed only where the SHA-256 it states is that of
        the picture's file, and no other picture is there under that id.

        Args:
            on_row: called with rows done and rows in all, those of votes included.
            name: of the data set; the folder's if None.

        Raises:
            BadTable: with file, line and value, before any meme is stored.
        """
        said = read_votes(folder, self._schema.names)
        rows = read_corpus(folder, self._schema.names) if not said or has_memes(folder) else []
        total, done = len(rows) + (len(said.rows) if said else 0), 0

        def step() -> None:
            nonlocal done
            done += 1
            if on_row:
                on_row(done, total)

        return Import(
            self._store,
            name or folder.resolve().name,
            holdout_share=self._holdout_share,
            max_bytes=self._max_bytes,
            max_text=self._max_text,
        ).run(rows, said, step)

    def export(
        self,
        folder: Path,
        format: str = "mami",
        *,
        session_id: int | None = None,
        names: bool = False,
    ) -> int:
        """Write memes, the labels that their votes sum up to, and the single votes.

        Args:
            format: one of `exports.FORMATS`.
            session_id: only the memes and votes of this session.
            names: give people's display names instead of pseudonyms.

        Returns:
            How many memes were written.

        Raises:
            BadInput: the folder exists and is not empty, or the format is unknown.
            NotFound: there is no such session.
        """
        what = gather(self._store, self._schema, session_id, names=names)
        write_export(folder, what, self._store, format, data_card(what, folder.resolve().name))
        return len(what.memes)
