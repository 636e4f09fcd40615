"""What was classified, as a row of plain figures each, and the memes that a version came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from memeapp.store.connections import Connections, moment
from memeapp.types import Input

DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Source:
    """As much of a stored meme as drift is seen by."""

    id: str
    text: str
    ocr_confidence: float | None


class Inputs(Connections):
    """The table of what was classified: it grows at one end and is cut at the other."""

    def add_inputs(self, inputs: Sequence[Input], *, keep_days: float) -> None:
        """Add rows, and let go of those that are older than `keep_days`.

        Raises:
            NotSaved: none of them was added.
        """
        rows = [{**asdict(one), "scores": json.dumps(dict(one.scores))} for one in inputs]
        with self._writing() as db:
            for row in rows:
                self._insert("inputs", row)
            oldest = moment(datetime.now(UTC), keep_days * DAY)
            db.execute("DELETE FROM inputs WHERE at < ?", [oldest])

    def inputs_since(self, days: float, limit: int) -> list[Input]:
        """What was classified in the last `days`, `limit` at most, the newest first."""
        rows = self._db.query(
            "SELECT at, version, text_length, language, ocr_confidence, unlike_image, unlike_text,"
            " scores, kept FROM inputs WHERE at >= ? ORDER BY at DESC, id DESC LIMIT ?",
            [moment(datetime.now(UTC), days * DAY), limit],
        )
        return [
            Input(
                **{
                    **row,
                    "scores": json.loads(row["scores"]),
                    **{
                        name: None if row[name] is None else bool(row[name])
                        for name in ("unlike_image", "unlike_text", "kept")
                    },
                }
            )
            for row in rows
        ]

    def sources(self, ids: Sequence[str]) -> list[Source]:
        """Those of these memes that are here, in no order."""
        # CROSS JOIN: look each id up in the index; the planner would scan the table.
        rows = self._db.query(
            "SELECT memes.id, memes.text, memes.ocr_confidence FROM json_each(?) AS wanted"
            " CROSS JOIN memes WHERE memes.id = wanted.value",
            [json.dumps(list(ids))],
        )
        return [Source(**row) for row in rows]
