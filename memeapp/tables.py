"""Tables: TSV, CSV and JSON lines in, with line numbers; safe CSV and JSON lines out."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from itertools import chain
from pathlib import Path

from defusedcsv import csv as defused_csv

from memeapp.errors import BadTable

SHOWN = 5
"""Problems that an error message spells out; it counts the others."""


@dataclass(slots=True)
class Problems:
    """What is wrong with a table, collected so that one message tells it all."""

    table: Path
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, sentence: str) -> None:
        self.found.append((line, sentence))

    def check(self) -> None:
        """Raises: BadTable, with the first problems of all that were found."""
        if not self.found:
            return
        told = [f"line {line}{sentence}" for line, sentence in sorted(self.found)[:SHOWN]]
        more = f"; and {len(self.found) - SHOWN} more" if len(self.found) > SHOWN else ""
        raise BadTable(
            f"{self.table} has {len(self.found)} problem(s), nothing was taken from it: "
            f"{'; '.join(told)}{more}."
        )


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` are (line number, column → cell); a row that was none is among the `problems`."""

    path: Path
    header: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]
    problems: Problems


def read_table(path: Path) -> Table:
    """A table with a header, separated by tabs, commas or semicolons, or one of JSON lines.

    In JSON lines a cell is a string, number, truth value (as 0 or 1) or null (empty); an object
    under the key "labels" adds its own keys as columns.

    Raises:
        BadTable: it cannot be read, is empty or has a column twice.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadTable(f"Cannot read {path}: {error}; it must be UTF-8.") from error
    if not content.strip():
        raise BadTable(f"{path} is empty.")
    if path.suffix.lower() == ".jsonl":
        return _json_lines(path, content)
    return _delimited(path, content)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Comma-separated, None as an empty cell; safe to open in a spreadsheet (see `undefused`)."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(csv_lines(columns, rows))


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """The lines of `write_csv`, the header first, as the rows come."""
    line = StringIO(newline="")
    writer = defused_csv.writer(line)
    for cells in chain([columns], ([_defused(row.get(name)) for name in columns] for row in rows)):
        writer.writerow(cells)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def write_json_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """An object a line, in UTF-8."""
    with path.open("w", encoding="utf-8", newline="") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


_DANGEROUS = tuple("@+-=|%")
_NUMBER = re.compile("^-?[0-9,\\.]+$")


def _defused(value: object) -> object:
    """What defusedcsv leaves: formulas after white space or in full-width signs, and quotes that
    could be taken for its own."""
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, str) or value.startswith(_DANGEROUS):
        return value
    first = unicodedata.normalize("NFKC", value.lstrip()[:1])
    return f"'{value}" if first.startswith((*_DANGEROUS, "'")) else value


def undefused(cell: str) -> str:
    """A cell of `write_csv` as it was."""
    if not cell.startswith("'"):
        return cell
    value = cell[1:]
    if value.startswith((*_DANGEROUS, "\\|")) and not _NUMBER.match(value):
        return value.replace("\\|", "|")
    return value


def _json_lines(path: Path, content: str) -> Table:
    problems = Problems(path)
    rows = []
    columns: dict[str, None] = {}
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.add(number, f": is no JSON ({error})")
            continue
        if not isinstance(found, dict):
            problems.add(number, ": is no JSON object")
            continue
        nested = found.pop("labels", None)
        cells = {}
        for column, value in {**found, **(nested if isinstance(nested, dict) else {})}.items():
            cell = _json_cell(value)
            if cell is not None:
                cells[column.strip()] = cell
        columns |= dict.fromkeys(cells)
        rows.append((number, cells))
    filled = [(number, {**dict.fromkeys(columns, ""), **cells}) for number, cells in rows]
    if not filled:
        problems.check()
    return Table(path, tuple(columns), filled, problems)


def _json_cell(value: object) -> str | None:
    """None: a list or an object, which is not looked at."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return repr(value)
    return None


def _delimited(path: Path, content: str) -> Table:
    first = next(line for line in content.split("\n") if line.strip())
    delimiter = "\t" if "\t" in first else max(",;", key=first.count)
    lines = _split(path, content, delimiter)
    if not lines:
        raise BadTable(f"{path} is empty.")
    header = lines[0][1]
    names = tuple(name.strip() for name in header)
    if len(set(names)) != len(names):
        raise BadTable(f"{path} has a column twice in its first line: {', '.join(header)[:200]}.")
    problems = Problems(path)
    rows = []
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            problems.add(line, f": {len(cells)} columns, the header has {len(header)}")
        elif delimiter == "\t" and any(
            "\n" in cell and cell.count("\t") >= len(header) - 1 > 0 for cell in cells
        ):
            problems.add(line, ": a quotation mark that is never closed hides rows")
        else:
            rows.append((line, dict(zip(names, cells, strict=True))))
    return Table(path, names, rows, problems)


def _split(path: Path, content: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Each row's last line number and cells.

    MAMI's transcriptions hold stray quotes. Where every line has all its tabs a line is a row: a
    cell that only starts like a quoted one must not swallow the lines after it. Texts hold commas,
    so a table that is separated by them must quote without a fault.
    """
    if delimiter == "\t":
        lines = [
            (number, line)
            for number, line in enumerate(content.replace("\r\n", "\n").split("\n"), start=1)
            if line.strip()
        ]
        tabs = lines[0][1].count("\t")
        if all(line.count("\t") == tabs for _, line in lines):
            return [(number, _cells(line)) for number, line in lines]
    reader = csv.reader(
        StringIO(content, newline=""), delimiter=delimiter, strict=delimiter != "\t"
    )
    try:
        return [(reader.line_num, cells) for cells in reader if any(cells)]
    except csv.Error as error:
        raise BadTable(
            f"{path} line {reader.line_num}: {error}; a quotation mark within a cell is doubled."
        ) from error


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter="\t", strict=True))
    except csv.Error:
        return line.split("\t")
