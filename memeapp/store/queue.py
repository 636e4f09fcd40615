"""For how long a meme is kept for somebody to judge: leases.

A judgement and a lease that is shown each hold one of the places that a meme has in its session
(`wanted`). A lease that is loaded ahead holds one only as long as nobody is without work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memeapp.errors import NotFound
from memeapp.judging import Annotator, Card, Session, Suggestions, Vote
from memeapp.store.choice import Choice
from memeapp.store.connections import now
from memeapp.store.memes import meme_from_row

AHEAD = 2
"""Memes kept for a tab: the one that is shown and the one that is loaded already."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whether somebody may judge a meme now, and what they were to know."""

    free: bool
    queue: str
    assisted: bool
    suggestion: Mapping[str, object] | None


class Queue(Choice):
    """Leases."""

    def next_cards(self, annotator_id: str, tab: str, *, avoided: int = 0) -> list[Card]:
        """The memes kept for a tab: the one to judge now, and the one after that.

        What was kept for it is renewed. Fewer where there is no more for this person now.

        Args:
            tab: of this person's; each has memes of its own.
            avoided: bits of the kinds of content that this person opted out of; see `Rank`.

        Raises:
            NotAllowed: this person was taken out of the session.
            NotFound: there is no such annotator.
        """
        with self._writing() as db:
            annotator = self._admitted(annotator_id)
            session = self.session(annotator.session_id or 0)
            if not session.is_open(now()):
                return []
            self._drop_expired(session)
            kept = self._kept(session, annotator_id, tab)
            while kept and not kept[0]["shown"]:
                if self._is_free(session, annotator_id, kept[0]["meme_id"], family=True):
                    break
                self._drop(session, annotator_id, kept.pop(0)["meme_id"])
            if kept and not kept[0]["shown"]:
                db.execute(
                    "UPDATE leases SET shown = 1 WHERE session_id = ? AND meme_id = ?"
                    " AND annotator_id = ?",
                    [session.id, kept[0]["meme_id"], annotator_id],
                )
            while len(kept) < AHEAD:
                found = self._choose(session, annotator, kept, avoided)
                if found is None:
                    break
                queue, meme_id = found
                self._keep(session, annotator_id, meme_id, tab, queue=queue, shown=not kept)
                kept = self._kept(session, annotator_id, tab)
            db.execute(
                "UPDATE leases SET expires_at = ? WHERE annotator_id = ? AND tab = ?",
                [self.clock() + session.plan.lease_seconds, annotator_id, tab],
            )
            return [_card(row) for row in self._kept(session, annotator_id, tab)[:AHEAD]]

    def card_of(self, vote: Vote) -> Card:
        """The meme of a vote as its session has it. Raises: NotFound."""
        row = next(
            self._db.query(
                "SELECT memes.*, m.severity, m.suggestion, ? AS queue, 0 AS assisted,"
                " 0 AS expires_at FROM session_memes AS m JOIN memes ON memes.id = m.meme_id"
                " WHERE m.session_id = ? AND m.meme_id = ?",
                [vote.queue, vote.session_id, vote.meme_id],
            ),
            None,
        )
        if row is None:
            raise NotFound(f"The meme {vote.meme_id[:80]!r} is in no session.")
        return _card(row)

    def renew(self, annotator_id: str, tab: str) -> int:
        """Keep a tab's memes for another while; how many are kept (0: they have expired).

        Raises: NotAllowed, NotFound.
        """
        with self._writing() as db:
            annotator = self._admitted(annotator_id)
            session = self.session(annotator.session_id or 0)
            self._drop_expired(session)
            cursor = db.execute(
                "UPDATE leases SET expires_at = ? WHERE annotator_id = ? AND tab = ?",
                [self.clock() + session.plan.lease_seconds, annotator_id, tab],
            )
            return cursor.rowcount

    def give_back(self, annotator_id: str, tab: str) -> None:
        """Free the memes kept for a tab that was closed."""
        with self._writing() as db:
            db.execute("DELETE FROM leases WHERE annotator_id = ? AND tab = ?", [annotator_id, tab])

    def _drop_expired(self, session: Session) -> None:
        """Free what was kept until now. What would last longer than a lease can is cut short: the
        clock was set back since, or the admin wants shorter leases."""
        time = self.clock()
        latest = time + session.plan.lease_seconds
        self._db.execute(
            "DELETE FROM leases WHERE session_id = ? AND expires_at <= ?", [session.id, time]
        )
        self._db.execute(
            "UPDATE leases SET expires_at = ? WHERE session_id = ? AND expires_at > ?",
            [latest, session.id, latest],
        )

    def _kept(self, session: Session, annotator_id: str, tab: str) -> list[dict[str, Any]]:
        """This tab's leases with their memes, the one that is shown first."""
        return list(
            self._db.query(
                "SELECT memes.*, leases.queue, leases.assisted, leases.shown, leases.expires_at,"
                " leases.suggestion, leases.meme_id, m.severity FROM leases"
                " JOIN session_memes AS m ON m.session_id = leases.session_id"
                " AND m.meme_id = leases.meme_id JOIN memes ON memes.id = m.meme_id"
                " WHERE leases.annotator_id = ? AND leases.tab = ? AND leases.session_id = ?"
                " ORDER BY leases.shown DESC, leases.expires_at, memes.number",
                [annotator_id, tab, session.id],
            )
        )

    def _drop(self, session: Session, annotator_id: str, meme_id: str) -> None:
        self._db.execute(
            "DELETE FROM leases WHERE session_id = ? AND meme_id = ? AND annotator_id = ?",
            [session.id, meme_id, annotator_id],
        )

    def _keep(
        self,
        session: Session,
        annotator_id: str,
        meme_id: str,
        tab: str,
        *,
        queue: str,
        shown: bool = True,
    ) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO leases (session_id, meme_id, annotator_id, tab, queue,"
            " assisted, shown, expires_at, suggestion) VALUES (?, ?, ?, ?, ?, ?, ?, ?,"
            " (SELECT suggestion FROM session_memes WHERE session_id = ? AND meme_id = ?))",
            [
                session.id,
                meme_id,
                annotator_id,
                tab,
                queue,
                int(_assisted(session, annotator_id, meme_id)),
                int(shown),
                self.clock() + session.plan.lease_seconds,
                session.id,
                meme_id,
            ],
        )

    def _place(self, session: Session, annotator: Annotator, meme_id: str) -> Place:
        """Raises: NotFound, if the meme is not in the session."""
        self._drop_expired(session)
        row = next(
            self._db.query(
                "SELECT leases.queue, leases.assisted, leases.suggestion, m.suggestion AS latest"
                " FROM session_memes AS m LEFT JOIN leases ON leases.session_id = m.session_id"
                " AND leases.meme_id = m.meme_id AND leases.annotator_id = ?"
                " WHERE m.session_id = ? AND m.meme_id = ?",
                [annotator.id, session.id, meme_id],
            ),
            None,
        )
        if row is None:
            raise NotFound(f"The meme {meme_id[:80]!r} is not in this session.")
        kept = row["queue"] is not None  # otherwise it is what it was most likely
        suggestion = row["suggestion"] if kept else row["latest"]
        return Place(
            free=self._is_free(session, annotator.id, meme_id, family=False),
            queue=row["queue"] or "",
            assisted=bool(row["assisted"]) if kept else _assisted(session, annotator.id, meme_id),
            suggestion=json.loads(suggestion) if suggestion else None,
        )


def _assisted(session: Session, annotator_id: str, meme_id: str) -> bool:
    return session.plan.suggestions is Suggestions.MIXED and is_assisted(
        session.id, annotator_id, meme_id
    )


def is_assisted(session_id: int, annotator_id: str, meme_id: str) -> bool:
    """Whether a mixed session shows this person the model's answer to this meme beforehand.

    By chance, and the same whenever it is asked: a lease may have expired when the vote comes.
    """
    digest = hashlib.sha256(f"assisted {session_id} {annotator_id} {meme_id}".encode()).digest()
    return digest[0] < 128


def _card(row: Mapping[str, Any]) -> Card:
    return Card(
        meme=meme_from_row(row),
        queue=row["queue"],
        assisted=bool(row["assisted"]),
        suggestion=json.loads(row["suggestion"]) if row["suggestion"] else None,
        severity=row["severity"],
        expires_at=row["expires_at"],
    )
