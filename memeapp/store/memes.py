"""The memes: a row each, and a picture file named by content id."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memeapp.errors import NotFound
from memeapp.store.connections import Connections, now
from memeapp.types import Meme, TextSource

NEAR = 10
"""Perceptual hashes at most this many bits apart are one template family."""

_CONTENT_ID = re.compile(r"[0-9a-f]{64}")
_TRUST = {TextSource.NONE: 0, TextSource.OCR: 1, TextSource.GIVEN: 2}


class StorablePicture(Protocol):
    """What the store needs of a decoded picture (`memeapp.images.Picture`)."""

    @property
    def id(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def phash(self) -> str: ...
    def to_jpeg(self) -> bytes: ...


class Memes(Connections):
    """Memes and their picture files under `pictures/<first 2 digits>/<id>.jpg`."""

    def __init__(self, folder: Path) -> None:
        # The family search looks at every hash there is. The arrays grow by the rows added since,
        # here or in another process, and are touched only while the write lock is held.
        self._numbers: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._phashes: NDArray[np.uint64] = np.zeros(0, dtype=np.uint64)
        super().__init__(folder)

    def add_meme(
        self,
        picture: StorablePicture,
        *,
        text: str,
        text_source: TextSource,
        origin: str,
        holdout_share: float,
        stratum: str = "",
        held_out: bool | None = None,
        ocr_confidence: float | None = None,
    ) -> Meme:
        """Add a meme, or find the one that has this content already.

        A picture near one that is there joins its family, its template and its side of the holdout;
        a new family is a template of its own, and held out with probability `holdout_share`,
        decided by its id. For the text of a meme that is there, see `improve_text`.

        Args:
            stratum: the labels that the meme came with, if any: of the families of one stratum the
                share that is held out is as near to `holdout_share` as can be.
            held_out: the side that a new family had where it comes from.
            ocr_confidence: as `improve_text` has it.
        """
        path = self._path(picture.id)
        if not path.exists():
            # Before the row: a meme without its picture must never be seen.
            _write_durably(path, picture.to_jpeg())
        with self._writing() as db:
            known = next(db.query("SELECT * FROM memes WHERE id = ?", [picture.id]), None)
            if known is not None:
                self._improve_text(known, text, text_source, ocr_confidence)
                return self.meme(picture.id)
            family = template = self._family(picture.phash) or picture.id
            if family != picture.id:
                elder = self.meme(family)
                template, held_out = elder.template, elder.held_out
            elif held_out is None:
                held_out = self._is_held_out(family, holdout_share, stratum)
            self._insert(
                "memes",
                {
                    "id": picture.id,
                    "width": picture.width,
                    "height": picture.height,
                    "phash": picture.phash,
                    "family": family,
                    "template": template,
                    "held_out": held_out,
                    "stratum": stratum,
                    "text": text,
                    "text_source": text_source,
                    "ocr_confidence": ocr_confidence,
                    "origin": origin,
                    "created_at": now(),
                },
            )
            return self.meme(picture.id)

    def has_meme(self, id: str) -> bool:
        return bool(self._db.execute("SELECT 1 FROM memes WHERE id = ?", [id]).fetchone())

    def meme(self, id: str) -> Meme:
        """The meme of this id.

        Raises:
            NotFound: if there is none.
        """
        row = next(self._db.query("SELECT * FROM memes WHERE id = ?", [id]), None)
        if row is None:
            raise NotFound(f"There is no meme {id[:80]!r}.")
        return meme_from_row(row)

    def memes(self, *, held_out: bool | None = None, labelled: bool | None = None) -> list[Meme]:
        """All memes in the order they came, or those that are (not) held out, (not) voted on."""
        rows = self._db.query(
            "SELECT * FROM memes WHERE (:held_out IS NULL OR held_out = :held_out)"
            " AND (:labelled IS NULL OR (vote_count > 0) = :labelled) ORDER BY number",
            {"held_out": held_out, "labelled": labelled},
        )
        return [meme_from_row(row) for row in rows]

    def picture_path(self, id: str) -> Path:
        """Where the picture of a meme lies, a JPEG.

        Raises:
            NotFound: if there is no such meme.
        """
        if not self.has_meme(id):
            raise NotFound(f"There is no meme {id[:80]!r}.")
        return self._path(id)

    def improve_text(
        self, id: str, text: str, source: TextSource, ocr_confidence: float | None = None
    ) -> None:
        """Fill an absent text, or replace OCR's by a given one while nobody has voted on it.

        Anything else leaves the text as it is: what people gave or judged is not overwritten.

        Args:
            ocr_confidence: how sure OCR was of what it read in the picture, whatever became of
                that text; None leaves what was known.

        Raises:
            NotFound: if there is no such meme.
        """
        with self._writing() as db:
            known = next(db.query("SELECT * FROM memes WHERE id = ?", [id]), None)
            if known is None:
                raise NotFound(f"There is no meme {id[:80]!r}.")
            self._improve_text(known, text, source, ocr_confidence)

    def _improve_text(
        self, known: Mapping[str, Any], text: str, source: TextSource, ocr_confidence: float | None
    ) -> None:
        """`improve_text` for a row that was read under the write lock."""
        if ocr_confidence is not None:
            self._db.execute(
                "UPDATE memes SET ocr_confidence = ? WHERE id = ?", [ocr_confidence, known["id"]]
            )
        before = TextSource(known["text_source"])
        if before is TextSource.NONE or (
            _TRUST[source] > _TRUST[before] and not known["vote_count"]
        ):
            self._db.execute(
                "UPDATE memes SET text = ?, text_source = ? WHERE id = ?",
                [text, source, known["id"]],
            )

    def _is_held_out(self, family: str, share: float, stratum: str) -> bool:
        """Whether a new family is held out; call it under the write lock.

        In a stratum, what is missing to the share (of the families with this one) is the chance.
        """
        if stratum:
            families, held_out = self._db.execute(
                "SELECT count(*), coalesce(sum(held_out), 0) FROM memes"
                " WHERE stratum = ? AND id = template",
                [stratum],
            ).fetchone()
            share = share * (families + 1) - held_out
        return _chance(family) < share

    def _path(self, id: str) -> Path:
        if not _CONTENT_ID.fullmatch(id):
            raise ValueError(f"{id[:80]!r} is no content id; 64 hexadecimal digits are expected.")
        return self.folder / "pictures" / id[:2] / f"{id}.jpg"

    def _family(self, phash: str) -> str | None:
        """The family of the nearest picture within `NEAR` bits; call it under the write lock."""
        last = int(self._numbers[-1]) if len(self._numbers) else 0
        rows = self._db.execute(
            "SELECT number, phash FROM memes WHERE number > ? ORDER BY number", [last]
        ).fetchall()
        if rows:
            hashes = np.array([int(row[1], 16) for row in rows], dtype=np.uint64)
            self._phashes = np.concatenate([self._phashes, hashes])
            numbers = np.array([row[0] for row in rows], dtype=np.int64)
            self._numbers = np.concatenate([self._numbers, numbers])
        if not len(self._numbers):
            return None
        distances = np.bitwise_count(self._phashes ^ np.uint64(int(phash, 16)))
        nearest = int(distances.argmin())
        if distances[nearest] > NEAR:
            return None
        (family,) = self._db.execute(
            "SELECT family FROM memes WHERE number = ?", [int(self._numbers[nearest])]
        ).fetchone()
        return str(family)


def meme_from_row(row: Mapping[str, Any]) -> Meme:
    """A row of the table `memes` as a record."""
    return Meme(
        id=row["id"],
        width=row["width"],
        height=row["height"],
        phash=row["phash"],
        family=row["family"],
        template=row["template"],
        held_out=bool(row["held_out"]),
        text=row["text"],
        text_source=TextSource(row["text_source"]),
        origin=row["origin"],
        created_at=row["created_at"],
    )


def _chance(family: str) -> float:
    """A fixed draw from [0, 1) for a family, the same on every machine."""
    digest = hashlib.sha256(f"holdout {family}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _write_durably(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
