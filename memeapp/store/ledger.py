"""Appending to the table of votes, and what of it can still be changed."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping

from memeapp.errors import AlreadyVoted, BadVote
from memeapp.judging import Annotator, Judgement, Seen, Session, Vote, VoteKind
from memeapp.store.connections import now
from memeapp.store.tallies import Tallies, vote_from_row

MAX_KEY = 100
CHANGEABLE = 20
"""Of their own judgements people can take back or change so many, the last ones."""

# Those taken back are among the twenty: nobody goes back further than that, step by step.
_LAST = f"""
    SELECT * FROM (SELECT * FROM votes WHERE annotator_id = ? AND kind != 'surplus'
        AND NOT EXISTS (SELECT 1 FROM votes AS later WHERE later.replaces = votes.id)
        ORDER BY id DESC LIMIT {CHANGEABLE})
    WHERE kind != 'undo' ORDER BY id DESC LIMIT ?
"""


class Ledger(Tallies):
    """The append-only table; the caller holds the write lock."""

    def last_votes(self, annotator_id: str, limit: int = CHANGEABLE) -> list[Vote]:
        """Somebody's standing judgements and skips, the newest first: those they can change."""
        return [vote_from_row(row) for row in self._db.query(_LAST, [annotator_id, limit])]

    def _sent_before(self, annotator_id: str, meme_id: str, key: str) -> Vote | None:
        row = next(
            self._db.query(
                "SELECT * FROM votes WHERE annotator_id = ? AND key = ?", [annotator_id, key]
            ),
            None,
        )
        if row is not None and row["meme_id"] != meme_id:
            raise BadVote(f"The key {key!r} was used for another meme; send a fresh one.")
        return vote_from_row(row) if row is not None else None

    def _standing(self, annotator_id: str, meme_id: str) -> Vote | None:
        """The end of this person's chain on this meme."""
        row = next(
            self._db.query(
                "SELECT * FROM votes WHERE annotator_id = ? AND meme_id = ? AND kind != 'surplus'"
                " ORDER BY id DESC LIMIT 1",
                [annotator_id, meme_id],
            ),
            None,
        )
        return vote_from_row(row) if row is not None else None

    def _check_replaced(self, annotator_id: str, meme_id: str, replaces: int) -> None:
        changeable = {vote.id: vote for vote in self.last_votes(annotator_id)}
        if replaces not in changeable:
            raise BadVote(
                f"Vote {replaces} is not among your last {CHANGEABLE}, or was changed meanwhile; "
                "it stays as it is."
            )
        if changeable[replaces].meme_id != meme_id:
            raise BadVote(f"Vote {replaces} is of another meme; reload the page.")

    def _append(
        self,
        session: Session | None,
        annotator: Annotator,
        meme_id: str,
        judgement: Judgement,
        *,
        key: str,
        seen: Seen = Seen.NONE,
        suggestion: Mapping[str, object] | None = None,
        queue: str = "",
        replaces: int | None = None,
        surplus: str = "",
    ) -> Vote:
        values = {
            "session_id": session.id if session else None,
            "meme_id": meme_id,
            "annotator_id": annotator.id,
            "kind": (VoteKind.SURPLUS if surplus else judgement.kind).value,
            "labels": json.dumps({label: bool(said) for label, said in judgement.labels.items()}),
            "reason": surplus or judgement.reason,
            "note": judgement.note,
            "text": judgement.text,
            "harm": judgement.harm.value,
            "seconds": judgement.seconds,
            "revealed": int(judgement.revealed),
            "revealed_seconds": judgement.revealed_seconds,
            "seen": seen.value,
            "suggestion": json.dumps(dict(suggestion)) if suggestion is not None else None,
            "queue": queue,
            "key": key,
            "replaces": replaces,
            "created_at": now(),
        }
        try:
            return self.vote(self._insert("votes", values))
        except sqlite3.IntegrityError as error:
            raise AlreadyVoted("You have judged this meme already; go on to the next one.") from (
                error
            )


def check(judgement: Judgement, key: str, *kinds: VoteKind) -> None:
    """Raises: BadVote, with what is wrong; `kinds` are those that may come."""
    if judgement.kind not in kinds:
        raise BadVote(f"A judgement of the kind {judgement.kind.value!r} cannot be sent here.")
    if not 0 < len(key) <= MAX_KEY:
        raise BadVote(f"The key of a vote has 1 to {MAX_KEY} characters, not {len(key)}.")
    for seconds in (judgement.seconds, judgement.revealed_seconds):
        if not (math.isfinite(seconds) and seconds >= 0):
            raise BadVote(f"The time a vote took cannot be {seconds} seconds.")
    if bool(judgement.labels) != (judgement.kind in (VoteKind.VOTE, VoteKind.DECISION)):
        raise BadVote(
            "The vote judges no label; answer at least one."
            if not judgement.labels
            else f"A judgement of the kind {judgement.kind.value!r} has no labels."
        )
