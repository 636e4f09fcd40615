"""The official scores of a MAMI answer file against its truth file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memeapp.errors import BadTable
from memeapp.learn.metrics import task_a, task_b

WIDTHS = (1, 5)
"""Columns after the file name: misogynous alone, or with the four kinds behind it."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Both official scores in [0, 1]; `task_b` is None where a file has task A's column only."""

    task_a: float
    task_b: float | None


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    values: tuple[int, ...]


def score(truth: Path, answer: Path) -> Scores:
    """Score an answer; the formulas are `learn.metrics.task_a` and `task_b`.

    Both files have no header and, tab-separated, a file name and 1 or 5 columns of 0 or 1. They
    name the same files, in any order.

    Raises:
        BadTable: naming the file and the line that is wrong.
    """
    true_rows, answered = _read(truth), _read(answer)
    for name, row in answered.items():
        if name not in true_rows:
            raise BadTable(f"{answer} line {row.line}: {name!r} is not in {truth}.")
    if missing := [name for name in true_rows if name not in answered]:
        raise BadTable(
            f"{answer} has no answer for {len(missing)} of the {len(true_rows)} names in {truth}, "
            f"first {missing[0]!r} (line {true_rows[missing[0]].line} there); add them."
        )
    true = np.array([row.values for row in true_rows.values()])
    decided = np.array([answered[name].values for name in true_rows])
    both = true.shape[1] == decided.shape[1] == 5
    return Scores(
        task_a(true[:, 0], decided[:, 0]), task_b(true[:, 1:], decided[:, 1:]) if both else None
    )


def _read(path: Path) -> dict[str, _Row]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadTable(f"Cannot read {path}: {error}.") from error
    rows: dict[str, _Row] = {}
    width = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *cells = (cell.strip() for cell in line.split("\t"))
        if len(cells) not in WIDTHS or len(cells) != (width or len(cells)):
            expected = f"{width} like the lines above" if width else "1 or 5"
            raise BadTable(
                f"{path} line {number}: {len(cells)} tab-separated columns after the file name; "
                f"expected {expected}."
            )
        width = len(cells)
        for column, cell in enumerate(cells, start=2):
            if cell not in ("0", "1"):
                raise BadTable(f"{path} line {number}, column {column}: {cell!r} is not 0 or 1.")
        if name in rows:
            raise BadTable(f"{path} line {number}: {name!r} is in line {rows[name].line} already.")
        rows[name] = _Row(number, tuple(map(int, cells)))
    if not rows:
        raise BadTable(f"{path} has no rows.")
    return rows
