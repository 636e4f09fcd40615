"""Memes and votes in from a folder or a zip, and out to a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from memeapp.archives import own_folder, unpacked
from memeapp.corpus import has_memes, read_corpus, read_votes
from memeapp.errors import BadInput
from memeapp.labels import LabelSchema
from memeapp.service.datacard import data_card
from memeapp.service.exports import gather, write_export
from memeapp.service.imports import Import, ImportReport
from memeapp.store import Store

__all__ = ["ImportReport", "Transfer"]

TABLES = (".csv", ".tsv", ".jsonl")
"""Endings of a single table of votes."""
MAX_TABLE_MB = 256
"""Of such a table, which is read as a whole."""


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
        max_import_mb: int = 20_000,
    ) -> None:
        self._store = store
        self._schema = schema
        self._holdout_share = holdout_share
        self._max_bytes = max_upload_mb * 2**20
        self._max_text = max_text
        self._max_unpacked = max_import_mb * 2**20

    def import_path(
        self,
        path: Path,
        on_row: Callable[[int, int], None] | None = None,
        *,
        name: str | None = None,
        on_file: Callable[[int, int], None] = lambda done, files: None,
    ) -> ImportReport:
        """`import_folder` of a folder, of a zip of one, or of a single table of votes.

        Args:
            name: of the data set; that of the folder or file if None.
            on_file: called with files done and files in all while a zip is unpacked.

        Raises:
            BadInput: with the entry and the limit, if the file is not taken; nothing was stored.
        """
        if path.is_dir():
            return self.import_folder(path, on_row, name=name)
        name = name or path.stem
        if (kind := path.suffix.lower()) in TABLES:
            size = path.stat().st_size
            if size > MAX_TABLE_MB * 2**20:
                raise BadInput(
                    f"{path.name} has {size / 2**20:,.0f} MB, a table may have {MAX_TABLE_MB}; "
                    "split it."
                )
            with own_folder(self._store.folder) as folder:
                shutil.copyfile(path, folder / f"votes{'.jsonl' if kind == '.jsonl' else '.csv'}")
                return self.import_folder(folder, on_row, name=name)
        with unpacked(
            path, self._store.folder, max_bytes=self._max_unpacked, on_file=on_file
        ) as folder:
            return self.import_folder(folder, on_row, name=name)

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
        on_meme: Callable[[int, int], None] = lambda done, memes: None,
    ) -> int:
        """Write memes, the labels that their votes sum up to, and the single votes.

        Args:
            format: one of `exports.FORMATS`.
            session_id: only the memes and votes of this session.
            names: give people's display names instead of pseudonyms.
            on_meme: called with memes done and memes in all before each picture is copied.

        Returns:
            How many memes were written.

        Raises:
            BadInput: the folder exists and is not empty, or the format is unknown.
            NotFound: there is no such session.
        """
        what = gather(self._store, self._schema, session_id, names=names)
        card = data_card(what, folder.resolve().name)
        write_export(folder, what, self._store, format, card, on_meme)
        return len(what.memes)
