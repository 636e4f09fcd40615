"""Folders of memes: MAMI's layout in and out, and plain folders of pictures in."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from defusedcsv import csv as defused_csv

from memeapp.errors import BadInput, BadTable
from memeapp.types import Meme, Vote

FILE = "file_name"
TEXT = "Text Transcription"
TABLES = ("training.csv", "data.csv", "test.csv", "Test.csv")
"""MAMI's names, the preferred first."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
SHOWN = 5
"""Problems that an error message spells out; it counts the others."""


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """One meme of a folder."""

    file: Path
    text: str | None
    """None when the table does not give one."""
    labels: dict[str, bool]
    """Only what was judged: an empty cell is absent."""


def read_corpus(folder: Path, labels: Sequence[str]) -> list[CorpusRow]:
    """All memes of a folder, in the order of its table, or by name when it has no table.

    The table is tab-separated with a header: `file_name`, `Text Transcription` and a column for
    each label; without any label column the memes are unlabelled. The pictures lie beside it or in
    `images/`. Pictures are looked for, not opened.

    Raises:
        BadTable: with the first problems of all that were found, each with line, column and value.
    """
    files = _files(folder)
    table = _find_table(folder)
    if table is not None:
        return _read_table(table, files, labels)
    pictures = [path for path in files.values() if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise BadTable(
            f"{folder} has neither a table ({', '.join(TABLES[:2])}) nor pictures "
            f"({', '.join(SUFFIXES)}); name a folder that has."
        )
    return [CorpusRow(path, None, {}) for path in sorted(pictures)]


def write_corpus(
    folder: Path,
    memes: Iterable[Meme],
    targets: Mapping[str, Iterable[float]],
    labels: Sequence[str],
    picture_path: Callable[[str], Path],
) -> None:
    """Write memes in MAMI's layout: `images/<id>.jpg` and, last, `data.csv`.

    The table is for programs and gives every text as it is; do not open it in a spreadsheet.

    Args:
        targets: by meme id, the share of yes for each of `labels`. More than half is written as 1,
            less or a tie as 0; NaN or an absent meme as an empty cell.

    Raises:
        BadInput: if the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is there and not empty; name a new folder.")
    (folder / "images").mkdir(parents=True)
    table = StringIO(newline="")
    writer = csv.writer(table, delimiter="\t")
    writer.writerow([FILE, *labels, TEXT])
    unjudged: Iterable[float] = [math.nan] * len(labels)
    for meme in memes:
        name = f"{meme.id}.jpg"
        shutil.copyfile(picture_path(meme.id), folder / "images" / name)
        shares = targets.get(meme.id, unjudged)
        cells = ["" if math.isnan(share) else int(share > 0.5) for share in shares]
        writer.writerow([name, *cells, meme.text])
    (folder / "data.csv").write_text(table.getvalue(), encoding="utf-8", newline="")


def write_votes(path: Path, votes: Iterable[Vote], labels: Sequence[str]) -> None:
    """Write a row for each vote, comma-separated, safe to open in a spreadsheet."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = defused_csv.writer(file)
        writer.writerow(["vote", "meme", "annotator", "created_at", "seconds", "revealed", *labels])
        for vote in votes:
            judged = [vote.labels.get(label) for label in labels]
            writer.writerow(
                [
                    vote.id,
                    vote.meme_id,
                    vote.annotator_id,
                    vote.created_at,
                    vote.seconds,
                    int(vote.revealed),
                    *("" if value is None else int(value) for value in judged),
                ]
            )


def _files(folder: Path) -> dict[str, Path]:
    """What lies in the folder and in its `images/`, by name; `images/` wins."""
    if not folder.is_dir():
        raise BadTable(f"{folder} is not a folder.")
    places = [place for place in (folder, folder / "images") if place.is_dir()]
    return {path.name: path for place in places for path in place.iterdir() if path.is_file()}


def _find_table(folder: Path) -> Path | None:
    for name in TABLES:
        if (folder / name).is_file():
            return folder / name
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".tsv"))
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise BadTable(f"{folder} has several tables ({names}); name the right one {TABLES[1]}.")
    return tables[0] if tables else None


def _read_table(table: Path, files: Mapping[str, Path], labels: Sequence[str]) -> list[CorpusRow]:
    (_, header), *lines = _split(table)
    columns = {name.strip(): index for index, name in enumerate(header)}
    _check_header(table, header, columns, labels)
    judged = [label for label in labels if label in columns]
    rows: list[CorpusRow] = []
    problems: list[str] = []
    lines_by_name: dict[str, int] = {}
    for line, cells in lines:
        if len(cells) != len(header):
            problems.append(f"line {line}: {len(cells)} columns, the header has {len(header)}")
            continue
        if any("\n" in cell and cell.count("\t") >= len(header) - 1 > 0 for cell in cells):
            problems.append(f"line {line}: a quotation mark that is never closed hides rows")
            continue
        name = cells[columns[FILE]].strip()
        values = {label: cells[columns[label]].strip() for label in judged}
        found = [
            f"line {line}, column {label}: {value!r} is not 0, 1 or empty"
            for label, value in values.items()
            if value not in ("0", "1", "")
        ]
        if not name or "/" in name or "\\" in name or name.startswith("."):
            found.append(f"line {line}, column {FILE}: {name!r} is not a plain file name")
        elif name not in files:
            found.append(f"line {line}: the picture {name!r} is missing")
        elif name in lines_by_name:
            found.append(f"line {line}: {name!r} is in line {lines_by_name[name]} already")
        problems += found
        lines_by_name.setdefault(name, line)
        if not found:
            text = cells[columns[TEXT]]
            bools = {label: value == "1" for label, value in values.items() if value}
            rows.append(CorpusRow(files[name], text, bools))
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise BadTable(
            f"{table} has {len(problems)} problem(s), nothing was taken from it: "
            f"{'; '.join(problems[:SHOWN])}{more}."
        )
    if not rows:
        raise BadTable(f"{table} has a header but no rows.")
    return rows


def _check_header(
    table: Path, header: Sequence[str], columns: Mapping[str, int], labels: Sequence[str]
) -> None:
    if FILE not in columns:
        raise BadTable(
            f"{table} has no column {FILE!r} in its first line ({', '.join(header)[:200]}); "
            "it must be tab-separated with MAMI's header."
        )
    wanted = {name.casefold(): name for name in (FILE, TEXT, *labels)}
    for name in columns:
        meant = wanted.get(name.casefold().strip("\ufeff "), name)
        if meant != name and meant not in columns:
            raise BadTable(f"{table} has a column {name!r}; write it {meant!r}.")
    if len(columns) != len(header):
        raise BadTable(f"{table} has a column twice in its first line: {', '.join(header)[:200]}.")
    missing = [label for label in labels if label not in columns]
    if missing and len(missing) < len(labels):
        raise BadTable(
            f"{table} lacks the column(s) {', '.join(missing)}; give all of "
            f"{', '.join(labels)}, or none for unlabelled memes."
        )
    if TEXT not in columns:
        raise BadTable(
            f"{table} has no column {TEXT!r}; add it, and leave the cells empty where OCR shall "
            "read the picture."
        )


def _split(table: Path) -> list[tuple[int, list[str]]]:
    """Each row's last line number and cells.

    MAMI's transcriptions hold stray quotes. Where every line has all its columns a line is a row:
    a cell that only starts like a quoted one must not swallow the lines after it.
    """
    try:
        content = table.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadTable(f"Cannot read {table}: {error}; it must be UTF-8.") from error
    lines = [
        (number, line)
        for number, line in enumerate(content.replace("\r\n", "\n").split("\n"), start=1)
        if line.strip()
    ]
    if not lines:
        raise BadTable(f"{table} is empty.")
    tabs = lines[0][1].count("\t")
    if all(line.count("\t") == tabs for _, line in lines):
        return [(number, _cells(line)) for number, line in lines]
    reader = csv.reader(StringIO(content, newline=""), delimiter="\t")
    try:
        return [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise BadTable(f"{table} line {reader.line_num}: {error}.") from error


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter="\t", strict=True))
    except csv.Error:
        return line.split("\t")
