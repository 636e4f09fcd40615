"""What was done, by whom, when: lines that are added and never change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from memeapp.store.connections import Connections, now
from memeapp.tables import csv_lines

ADMIN = "admin"
GATE = "the gate"
LONGEST_ABOUT = 200
"""Characters of a thing's name that are kept."""
PAGE = 500
"""Lines that are read at once where all of them are wanted."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One line. It holds no password, link, text of a meme or word about a person."""

    id: int
    at: str
    """UTC, ISO 8601."""
    who: str
    """`ADMIN`, `GATE`, "command line", or the name of what acts for the admin."""
    what: str
    """A short word for programs, such as "version.promote"; "session.open.failed" takes the
    "session.open" before it back."""
    about: str
    """The name of the thing it was done to."""
    before: str
    """Of a promotion: the version that answered until then. Empty otherwise."""
    details: Mapping[str, Any]


class Audit(Connections):
    """The lines of the audit; the database itself refuses to change or remove one."""

    def note(
        self,
        who: str,
        what: str,
        about: str = "",
        *,
        before: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a line, see `Deed`; it is on the disk when this returns. Raises: NotSaved."""
        with self._writing():
            self._insert(
                "audit",
                {
                    "at": now(),
                    "who": who,
                    "what": what,
                    "about": about[:LONGEST_ABOUT],
                    "before": before,
                    "details": json.dumps(dict(details or {}), ensure_ascii=False),
                },
            )

    def audit(self, limit: int, before_id: int | None = None) -> list[Deed]:
        """The last lines, newest first; only those before the line of that number if given."""
        rows = self._db.query(
            "SELECT * FROM audit WHERE :before IS NULL OR id < :before ORDER BY id DESC"
            " LIMIT :limit",
            {"before": before_id, "limit": limit},
        )
        return [_deed(row) for row in rows]

    def whole_audit(self) -> Iterator[Deed]:
        """Every line, oldest first; any thread may take the next one."""
        last = 0
        while rows := list(
            self._db.query("SELECT * FROM audit WHERE id > ? ORDER BY id LIMIT ?", [last, PAGE])
        ):
            last = rows[-1]["id"]
            yield from map(_deed, rows)


def as_csv(deeds: Iterable[Deed]) -> Iterator[str]:
    """A table of these lines, safe to open in a spreadsheet."""
    columns = [column.name for column in fields(Deed)]
    rows = ({**asdict(deed), "details": json.dumps(deed.details)} for deed in deeds)
    return csv_lines(columns, rows)


def _deed(row: Mapping[str, Any]) -> Deed:
    return Deed(**{**row, "details": json.loads(row["details"])})
