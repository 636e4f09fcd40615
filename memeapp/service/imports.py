"""One import: the memes of a folder, then the votes beside them; what it did, as a report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from memeapp.corpus import CorpusRow, VoteTable
from memeapp.errors import BadInput, BadPicture, BadTable, BadText
from memeapp.images import Picture, decode_file
from memeapp.store import Store
from memeapp.store.annotators import MAX_NAME, check_name, fold
from memeapp.store.memes import NEAR
from memeapp.tables import Problems
from memeapp.text import check_length
from memeapp.types import TextSource


@dataclass(slots=True)
class ImportReport:
    """What an import did. `refused` holds a sentence for each row that was not taken as it is."""

    added: int = 0
    known: int = 0
    """Exact duplicates: of memes that were there, or within the data set."""
    labelled: int = 0
    """Memes that came with labels."""
    votes: int = 0
    refused: list[str] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    """A sentence for each added meme that joined the family of a near-duplicate."""


class Import:
    """A data set on its way in. The caller read all its tables; here the rows are stored."""

    def __init__(
        self,
        store: Store,
        data_set: str,
        *,
        holdout_share: float,
        max_bytes: int,
        max_text: int,
    ) -> None:
        self._store = store
        self._data_set = data_set
        self._holdout_share = holdout_share
        self._max_bytes = max_bytes
        self._max_text = max_text
        self._labelled: set[str] = set()
        self.report = ImportReport()

    def run(
        self, rows: Sequence[CorpusRow], said: VoteTable | None, step: Callable[[], None]
    ) -> ImportReport:
        """Store the memes and votes; see `Transfer.import_folder`.

        Args:
            said: the table of votes; None: the labels in `rows` are votes of one annotator.
            step: called after each row, those of votes included.

        Raises:
            BadTable: the table of votes names an unknown meme, says a thing twice, or a name in it
                cannot be an annotator's; nothing was stored.
        """
        people = self._people(said, rows) if said else {}
        annotator = None
        if said is None and any(row.labels for row in rows):
            annotator = self._annotator()
        ids: dict[str, str | None] = {}
        for row in rows:
            id = self._row(row, annotator)
            for key in _keys(row):
                ids.setdefault(key, id)
            step()
        if said:
            self._votes(said, people, ids, step)
        self.report.labelled = len(self._labelled)
        return self.report

    def _annotator(self) -> str:
        """Id of the annotator in whose name the labels of this data set are votes."""
        name = self._data_set[:MAX_NAME]
        try:
            return self._store.named_annotator(name, "import").id
        except BadInput as error:
            raise BadTable(
                f"The labels are imported in the name of the folder, and {name!r} cannot be one: "
                f"{error} Rename the folder."
            ) from error

    def _people(self, said: VoteTable, rows: Sequence[CorpusRow]) -> dict[str, str]:
        """Name in the table → name of the annotator; the whole table is checked.

        Raises: BadTable.
        """
        problems = Problems(said.path)
        memes: dict[str, int] = {}
        for number, meme in enumerate(rows):
            for key in _keys(meme):
                memes.setdefault(key, number)
        people: dict[str, str] = {}
        lines: dict[tuple[int | str, str], int] = {}
        for row in said.rows:
            if row.meme not in memes and not self._store.has_meme(row.meme):
                problems.add(
                    row.line, f": there is no meme {row.meme[:80]!r} here, nor in the data folder"
                )
            if row.annotator not in people:
                people[row.annotator] = _known_as(self._data_set, row.annotator)
                try:
                    check_name(people[row.annotator])
                except BadInput as error:
                    problems.add(row.line, f", column annotator: {error}")
            judgement = (memes.get(row.meme, row.meme), fold(row.annotator))
            if judgement in lines:
                problems.add(
                    row.line,
                    f": {row.annotator[:80]!r} judged {row.meme[:80]!r} in line "
                    f"{lines[judgement]} already; keep the judgement that counts",
                )
            lines.setdefault(judgement, row.line)
        problems.check()
        return people

    def _row(self, row: CorpusRow, annotator: str | None) -> str | None:
        """Store a meme and its labels; gives its id, None if it was left out."""
        try:
            id = self._meme(row)
        except (BadPicture, BadText) as error:
            named = row.file.name in str(error)
            self.report.refused.append(str(error) if named else f"{row.file.name}: {error}")
            return None
        if row.labels and annotator:
            self._vote(annotator, id, row.labels, row.file.name)
        return id

    def _meme(self, row: CorpusRow) -> str:
        """Raises: BadPicture, BadText."""
        picture = self._named(row)
        text = check_length(row.text or "", self._max_text)
        known = self._store.has_meme(picture.id)
        if known and _distance(self._store.meme(picture.id).phash, picture.phash) > NEAR:
            raise BadPicture(
                f"{row.file.name}: another picture is there under its id {picture.id}; it was "
                "left out."
            )
        source = TextSource.GIVEN if text else TextSource.NONE
        meme = self._store.add_meme(
            picture,
            text=text,
            text_source=row.record.text_source if row.record else source,
            origin=row.record.origin if row.record else f"import:{self._data_set}/{row.file.name}",
            holdout_share=self._holdout_share,
            stratum=_stratum(row.labels),
            held_out=row.record.held_out if row.record and self._holdout_share else None,
        )
        self.report.known += known
        self.report.added += not known
        if not known and meme.family != meme.id:
            other = self._store.meme(meme.family).origin
            self.report.near.append(f"{row.file.name}: is nearly the same picture as {other}.")
        if text not in ("", meme.text):
            self.report.refused.append(
                f"{row.file.name}: is there with another text that people gave or judged; it stays."
            )
        return meme.id

    def _named(self, row: CorpusRow) -> Picture:
        """The picture under the id that its export states, where that can be believed.

        The row must state the SHA-256 of the file beside it: an id next to another file names
        nothing. The perceptual hash, which decides on the family, must also be nearly that of the
        picture; re-encoding moves it by a few bits. Raises: BadPicture.
        """
        picture = decode_file(row.file, max_bytes=self._max_bytes)
        if row.record is None or row.record.id == picture.id:
            return picture
        if row.record.sha256 != picture.id:
            self.report.refused.append(
                f"{row.file.name}: is not the file that its row describes (SHA-256 "
                f"{picture.id[:12]}…, not {row.record.sha256[:12]}…); it came in as a new picture."
            )
            return picture
        near = _distance(row.record.phash, picture.phash) <= NEAR
        return replace(picture, id=row.record.id, phash=row.record.phash if near else picture.phash)

    def _vote(
        self,
        annotator_id: str,
        meme_id: str,
        labels: Mapping[str, bool],
        row: str,
        *,
        decision: bool = False,
    ) -> None:
        # A data set may contradict itself: MAMI has a few kinds without the parent. Its labels
        # are kept as they are.
        key = f"import:{annotator_id}:{meme_id}"
        vote = self._store.import_vote(annotator_id, meme_id, labels, key=key, decision=decision)
        if vote.labels == labels:
            self.report.votes += 1
            self._labelled.add(meme_id)
        else:
            self.report.refused.append(
                f"{row}: was imported from a folder of this name with other labels; "
                "votes are never changed, so the first ones stay."
            )

    def _votes(
        self,
        said: VoteTable,
        people: Mapping[str, str],
        ids: Mapping[str, str | None],
        step: Callable[[], None],
    ) -> None:
        annotators: dict[str, str] = {}
        lost = 0
        for row in said.rows:
            meme_id = ids.get(row.meme, row.meme)
            if meme_id is None:
                lost += 1
            else:
                name = people[row.annotator]
                if name not in annotators:
                    annotators[name] = self._store.named_annotator(name, "import").id
                place = f"{said.path.name} line {row.line}"
                self._vote(annotators[name], meme_id, row.labels, place, decision=row.decision)
            step()
        if lost:
            self.report.refused.append(f"{lost} votes are on pictures that were left out.")


def _stratum(labels: Mapping[str, bool]) -> str:
    """What labels hold, as one word; "" for a meme that nobody judged."""
    return " ".join(name for name, said in labels.items() if said) or ("none" if labels else "")


def _keys(row: CorpusRow) -> set[str]:
    """What a table of votes may call the meme."""
    return {row.file.name, row.key} - {""}


def _known_as(data_set: str, name: str) -> str:
    """The annotator's name for somebody of a data set; a long one is cut and told apart."""
    full = f"{data_set}/{name}"
    if len(full) <= MAX_NAME:
        return full
    return f"{full[: MAX_NAME - 9]}~{hashlib.sha256(fold(full).encode()).hexdigest()[:8]}"


def _distance(one: str, other: str) -> int:
    """Bits in which two perceptual hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()
