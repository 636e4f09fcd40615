"""People who judge, and the names in which labels were imported."""

from __future__ import annotations

import json
import secrets
import unicodedata
from collections.abc import Mapping
from typing import Any

from memeapp.errors import BadInput, NotAllowed, NotFound
from memeapp.judging import Annotator
from memeapp.store.connections import Connections, now

MAX_NAME = 40


class Annotators(Connections):
    """The table of annotators."""

    def add_annotator(
        self, name: str, kind: str = "person", session_id: int | None = None
    ) -> Annotator:
        """Let somebody in under a name of their own.

        Raises:
            BadInput: if the name is empty, too long, has control characters, or is taken in this
                session (upper and lower case are the same name).
        """
        name = " ".join(check_name(name).split())
        annotator = Annotator(secrets.token_hex(8), name, kind, now(), session_id)
        with self._writing() as db:
            if self._annotator_named(name, kind, session_id) is not None:
                raise BadInput(f"The name {name!r} is taken; choose another one.")
            db.execute(
                "INSERT INTO annotators (id, session_id, name, folded_name, kind, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [annotator.id, session_id, name, fold(name), kind, annotator.created_at],
            )
        return annotator

    def annotator(self, id: str) -> Annotator:
        """The annotator of this id.

        Raises:
            NotFound: if there is none.
        """
        row = next(self._db.query("SELECT * FROM annotators WHERE id = ?", [id]), None)
        if row is None:
            raise NotFound(f"There is no annotator {id[:80]!r}; join the session again.")
        return _annotator(row)

    def annotators(self, session_id: int | None = None, kind: str | None = None) -> list[Annotator]:
        """The members of a session in the order they came; of all sessions and none if None.

        Args:
            kind: only these, see `Annotator`; all if None.
        """
        rows = self._db.query(
            "SELECT * FROM annotators WHERE (:session IS NULL OR session_id = :session)"
            " AND (:kind IS NULL OR kind = :kind) ORDER BY created_at, id",
            {"session": session_id, "kind": kind},
        )
        return [_annotator(row) for row in rows]

    def named_annotator(self, name: str, kind: str, session_id: int | None = None) -> Annotator:
        """The annotator of this kind and name, made when first asked; in whose name labels of a
        data set are imported, for one. Raises: BadInput, as `add_annotator`."""
        try:
            return self.add_annotator(name, kind, session_id)
        except BadInput:
            known = self._annotator_named(name, kind, session_id)
            if known is None:
                raise
            return known

    def set_preferences(self, id: str, preferences: Mapping[str, object]) -> None:
        """Keep how somebody wants to work. Raises: NotFound."""
        with self._writing() as db:
            self.annotator(id)
            db.execute(
                "UPDATE annotators SET preferences = ? WHERE id = ?", [json.dumps(preferences), id]
            )

    def warn(self, id: str, text: str) -> None:
        """Keep what an admin tells somebody, instead of what was told before. Raises: NotFound."""
        with self._writing() as db:
            self.annotator(id)
            db.execute("UPDATE annotators SET warning = ? WHERE id = ?", [text, id])

    def set_revoked(self, id: str, revoked: bool) -> None:
        """Shut somebody out, or let them in again; their votes stay. Raises: NotFound."""
        with self._writing() as db:
            self._mark(id, "revoked_at", revoked)
            if revoked:
                db.execute("DELETE FROM leases WHERE annotator_id = ?", [id])

    def set_excluded(self, id: str, excluded: bool) -> None:
        """Leave somebody's votes out of every sum, or count them again.

        They keep their places in the session: nobody is asked in their stead. Raises: NotFound.
        """
        with self._writing() as db:
            self._mark(id, "excluded_at", excluded)
            db.execute(
                "UPDATE memes SET vote_count = (SELECT count(*) FROM standing_votes"
                " WHERE meme_id = memes.id) WHERE id IN"
                " (SELECT meme_id FROM votes WHERE annotator_id = ?)",
                [id],
            )

    def _mark(self, id: str, column: str, marked: bool) -> None:
        self.annotator(id)
        self._db.execute(
            f"UPDATE annotators SET {column} = ? WHERE id = ?", [now() if marked else None, id]
        )

    def _admitted(self, id: str) -> Annotator:
        """The annotator, if they may work. Raises: NotFound, NotAllowed."""
        annotator = self.annotator(id)
        if annotator.revoked_at is not None:
            raise NotAllowed(
                "You were taken out of this session; what you sent before is kept. Ask whoever "
                "runs it."
            )
        return annotator

    def _annotator_named(self, name: str, kind: str, session_id: int | None) -> Annotator | None:
        rows = self._db.query(
            "SELECT * FROM annotators WHERE kind = ? AND folded_name = ?"
            " AND coalesce(session_id, 0) = ?",
            [kind, fold(name), session_id or 0],
        )
        return next((_annotator(row) for row in rows), None)


def check_name(name: str) -> str:
    """The name without outer spaces. Raises: BadInput."""
    name = name.strip()
    if not name:
        raise BadInput("The name is empty; type one.")
    if len(name) > MAX_NAME:
        raise BadInput(f"The name has {len(name)} characters; use at most {MAX_NAME}.")
    # Cc, Cf, Cs, Co, Cn: control, invisible, and unassigned characters let two names look alike.
    if any(unicodedata.category(character).startswith("C") for character in name):
        raise BadInput("The name has control characters; use letters, digits and spaces.")
    return name


def fold(name: str) -> str:
    """What two spellings of one name have in common."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _annotator(row: Mapping[str, Any]) -> Annotator:
    return Annotator(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        created_at=row["created_at"],
        session_id=row["session_id"],
        preferences=json.loads(row["preferences"]),
        revoked_at=row["revoked_at"],
        excluded_at=row["excluded_at"],
        warning=row["warning"],
    )
