"""Folders of memes as they come in: MAMI's layout, other tables, a Hugging Face folder, or plain
pictures; and tables of single votes beside them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memeapp.errors import BadTable
from memeapp.tables import Problems, Table, read_table, undefused
from memeapp.types import TextSource

FILE = "file_name"
TEXT = "Text Transcription"
FILES = (FILE, "file")
TEXTS = (TEXT, "text")
"""Other names of the two columns; the first that a table has counts."""
TABLES = ("training.csv", "data.csv", "test.csv", "Test.csv", "data.jsonl", "metadata.jsonl")
"""MAMI's names and ours, the preferred first."""
VOTES = ("votes.jsonl", "votes.csv")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
HELD_OUT = "held_out"
"""A column that exports of before did not have."""
RECORD = ("number", "id", "sha256", "phash", "text_source", "origin")
"""Columns of our exports that say which meme a picture was; all of them or none."""
MAX_ORIGIN = 300

_TRUTH = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
_PATTERNS = {
    "number": re.compile("[0-9]{1,12}"),
    "id": re.compile("[0-9a-f]{64}"),
    "sha256": re.compile("[0-9a-f]{64}"),
    "phash": re.compile("[0-9a-f]{16}"),
    "text_source": re.compile("|".join(TextSource)),
    "origin": re.compile(f"[^\\x00-\\x1f\\x7f]{{0,{MAX_ORIGIN}}}"),
    HELD_OUT: re.compile("[01]?"),
}


@dataclass(frozen=True, slots=True)
class Record:
    """Which meme an exported picture was, as its table claims: see `RECORD`."""

    number: int
    """The order in which the memes came."""
    id: str
    sha256: str
    """Of the bytes of the exported file; ties the row to the picture beside it."""
    phash: str
    text_source: TextSource
    origin: str
    held_out: bool | None = None


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """One meme of a folder."""

    file: Path
    text: str | None
    """None when the table does not give one."""
    labels: dict[str, bool]
    """Only what was judged: an empty cell is absent."""
    key: str = ""
    """What the table has as `id`, by which a table of votes may name the meme."""
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class VoteRow:
    """One person's judgement of one meme."""

    line: int
    meme: str
    """A file name or an id."""
    annotator: str
    labels: dict[str, bool]
    decision: bool = False
    """An adjudication."""


@dataclass(frozen=True, slots=True)
class VoteTable:
    """The single votes beside the memes."""

    path: Path
    rows: list[VoteRow]


def read_corpus(folder: Path, labels: Sequence[str]) -> list[CorpusRow]:
    """All memes of a folder, in the order of its table, or by name when it has no table.

    The table has a header: `file_name`, `Text Transcription` (or `file`, `text`) and a column for
    each label; without any label column the memes are unlabelled. It is separated by tabs, commas
    or semicolons, or has JSON lines. The pictures lie beside it or in `images/`. Pictures are
    looked for, not opened. In a Hugging Face folder each `data/<split>/` has its own table.

    Raises:
        BadTable: with the first problems of all that were found, each with line, column and value.
    """
    files = _files(folder)
    tables = _find_tables(folder)
    if tables:
        rows = [
            row
            for table in tables
            for row in _read_memes(
                read_table(table), files if table.parent == folder else _files(table.parent), labels
            )
        ]
        # Splits are put back into the order in which families were formed.
        return sorted(rows, key=lambda row: row.record.number if row.record else 0)
    pictures = [path for path in files.values() if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise BadTable(
            f"{folder} has neither a table ({', '.join(TABLES[:2])}) nor pictures "
            f"({', '.join(SUFFIXES)}); name a folder that has."
        )
    return [CorpusRow(path, None, {}) for path in sorted(pictures)]


def read_votes(folder: Path, labels: Sequence[str]) -> VoteTable | None:
    """The single votes beside the memes, in `votes.csv` or `votes.jsonl`; None without a table.

    Its columns are `meme` (a file name or an id of the memes' table; also `file_name`, `file`),
    `annotator` and all labels; an empty cell was not judged. Rows that judge nothing are left out,
    and so are rows with 0 in a column `standing`.

    Raises:
        BadTable: as `read_corpus`.
    """
    found = [folder / name for name in VOTES if (folder / name).is_file()]
    if not found:
        return None
    if len(found) > 1:
        raise BadTable(f"{folder} has both {' and '.join(VOTES)}; keep one of them.")
    table = read_table(found[0])
    meme = _column(table, ("meme", *FILES), "file names or ids of the memes")
    annotator = _column(table, ("annotator",), "who judged")
    _check_labels(table, labels, needed=True)
    rows = []
    for line, cells in table.rows:
        judged = _judged(table.problems, line, cells, labels)
        if not judged or cells.get("standing", "").strip() == "0":
            continue
        if table.path.suffix == ".csv":
            cells = {column: undefused(cell) for column, cell in cells.items()}
        row = VoteRow(
            line,
            _nfc(cells[meme].strip()),
            cells[annotator].strip(),
            judged,
            cells.get("kind", "") == "decision",
        )
        for column, value in ((meme, row.meme), (annotator, row.annotator)):
            if not value:
                table.problems.add(line, f", column {column}: is empty")
        rows.append(row)
    table.problems.check()
    return VoteTable(table.path, rows)


def has_memes(folder: Path) -> bool:
    """Whether there is a table of memes or a picture, and not only a table of votes."""
    return any(path.suffix.lower() in SUFFIXES for path in _files(folder).values()) or any(
        path.name not in ("labels.csv", "labels.jsonl") for path in _find_tables(folder)
    )


def _files(folder: Path) -> dict[str, Path]:
    """What lies in the folder and in its `images/`, by name; `images/` wins."""
    if not folder.is_dir():
        raise BadTable(f"{folder} is not a folder.")
    places = [place for place in (folder, folder / "images") if place.is_dir()]
    return {_nfc(path.name): path for place in places for path in place.iterdir() if path.is_file()}


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _find_tables(folder: Path) -> list[Path]:
    for name in TABLES:
        if (folder / name).is_file():
            return [folder / name]
    splits = sorted(folder.glob("data/*/metadata.jsonl"))
    if splits:
        return splits
    tables = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in (".csv", ".tsv", ".jsonl") and path.name not in VOTES
    )
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise BadTable(f"{folder} has several tables ({names}); name the right one {TABLES[1]}.")
    return tables


def _read_memes(table: Table, files: Mapping[str, Path], labels: Sequence[str]) -> list[CorpusRow]:
    file = _column(table, FILES, "file names")
    _check_labels(table, labels)
    text = _column(table, TEXTS, "texts; leave its cells empty where OCR shall read the picture")
    judged = [label for label in labels if label in table.header]
    recorded = all(column in table.header for column in RECORD)
    problems = table.problems
    rows: list[CorpusRow] = []
    lines_by_name: dict[str, int] = {}
    for line, cells in table.rows:
        name = _nfc(cells[file].strip()).removeprefix("images/")
        bools = _judged(problems, line, cells, judged)
        record = _record(problems, line, cells) if recorded else None
        if not name or "/" in name or "\\" in name or name.startswith("."):
            problems.add(line, f", column {file}: {cells[file]!r} is not a plain file name")
        elif name not in files:
            problems.add(line, f": the picture {name!r} is missing")
        elif name in lines_by_name:
            problems.add(line, f": {name!r} is in line {lines_by_name[name]} already")
        else:
            key = cells.get("id", "").strip()
            rows.append(CorpusRow(files[name], cells[text], bools, key, record))
        lines_by_name.setdefault(name, line)
    problems.check()
    if not rows:
        raise BadTable(f"{table.path} has a header but no rows.")
    return rows


def _judged(
    problems: Problems, line: int, cells: Mapping[str, str], labels: Iterable[str]
) -> dict[str, bool]:
    values = {label: cells[label].strip() for label in labels}
    for label, value in values.items():
        if value and value.lower() not in _TRUTH:
            problems.add(line, f", column {label}: {value[:80]!r} is not 0, 1 or empty")
    return {
        label: _TRUTH[value.lower()] for label, value in values.items() if value.lower() in _TRUTH
    }


def _record(problems: Problems, line: int, cells: Mapping[str, str]) -> Record | None:
    values = {column: cells[column].strip() for column in RECORD}
    values[HELD_OUT] = cells.get(HELD_OUT, "").strip()
    wrong = [column for column in values if not _PATTERNS[column].fullmatch(values[column])]
    for column in wrong:
        problems.add(
            line,
            f", column {column}: {values[column][:80]!r} is not what an export writes there; "
            "remove the column",
        )
    if wrong:
        return None
    return Record(
        int(values["number"]),
        values["id"],
        values["sha256"],
        values["phash"],
        TextSource(values["text_source"]),
        values["origin"],
        bool(int(values[HELD_OUT])) if values[HELD_OUT] else None,
    )


def _column(table: Table, names: Sequence[str], content: str) -> str:
    """The first of these columns that the table has. Raises: BadTable."""
    found = next((name for name in names if name in table.header), None)
    if found is None:
        _check_spelling(table, names)
        raise BadTable(
            f"{table.path} has no column {names[0]!r} ({content}) in its first line: "
            f"{', '.join(table.header)[:200]}. Columns are separated by tabs, commas or semicolons."
        )
    return found


def _check_spelling(table: Table, names: Iterable[str]) -> None:
    wanted = {name.casefold(): name for name in names}
    for name in table.header:
        meant = wanted.get(name.casefold().strip("\ufeff "), name)
        if meant != name and meant not in table.header:
            raise BadTable(f"{table.path} has a column {name!r}; write it {meant!r}.")


def _check_labels(table: Table, labels: Sequence[str], *, needed: bool = False) -> None:
    """All labels have columns, or none where they are not needed. Raises: BadTable."""
    _check_spelling(table, labels)
    missing = [label for label in labels if label not in table.header]
    if missing and (needed or len(missing) < len(labels)):
        raise BadTable(
            f"{table.path} lacks the column(s) {', '.join(missing)}; give all of "
            f"{', '.join(labels)}{'' if needed else ', or none for unlabelled memes'}."
        )
