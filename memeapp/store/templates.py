"""Memes of one template, which the holdout keeps together, and what was learned from."""

from __future__ import annotations

import json
from collections.abc import Iterable

from memeapp.store.connections import Connections


class Templates(Connections):
    """A template is named by its oldest meme; its memes are on one side of the holdout."""

    def uncompared(self) -> list[str]:
        """Memes whose neighbours in feature space were not looked for, the oldest first."""
        rows = self._db.execute("SELECT id FROM memes WHERE compared = 0 ORDER BY number")
        return [id for (id,) in rows]

    def join_templates(self, pairs: Iterable[tuple[str, str]], compared: Iterable[str]) -> int:
        """Let each pair of memes be of one template, all of it or nothing.

        The older template goes on. It keeps its side of the holdout, unless a training has learned
        from one of the younger one's memes: then none of them is held out any more.

        Args:
            pairs: ids of two memes that are there.
            compared: the memes whose neighbours these are all of.

        Returns:
            How many templates are gone.
        """
        joined = 0
        with self._writing() as db:
            for pair in pairs:
                found = db.execute(
                    "SELECT DISTINCT oldest.number, oldest.id FROM memes AS member"
                    " JOIN memes AS oldest ON oldest.id = member.template"
                    " WHERE member.id IN (?, ?) ORDER BY oldest.number",
                    list(pair),
                ).fetchall()
                if len(found) == 2:
                    self._join(found[0][1], found[1][1])
                    joined += 1
            db.execute(
                "UPDATE memes SET compared = 1 WHERE id IN (SELECT value FROM json_each(?))",
                [json.dumps(list(compared))],
            )
        return joined

    def _join(self, template: str, other: str) -> None:
        """Let `template` take the memes of `other`; call it under the write lock."""
        (learned,) = self._db.execute(
            "SELECT max(learned) FROM memes WHERE template IN (?, ?)", [template, other]
        ).fetchone()
        self._db.execute(
            "UPDATE memes SET template = ?1, held_out = CASE WHEN ?3 THEN 0"
            " ELSE (SELECT held_out FROM memes WHERE id = ?1) END WHERE template IN (?1, ?2)",
            [template, other, learned],
        )

    def mark_learned(self, ids: Iterable[str]) -> None:
        """Write down that a training learns from these memes, before it does.

        Raises:
            sqlite3.IntegrityError: if one of them is held out.
        """
        with self._writing() as db:
            db.execute(
                "UPDATE memes SET learned = 1"
                " WHERE learned = 0 AND id IN (SELECT value FROM json_each(?))",
                [json.dumps(list(ids))],
            )
