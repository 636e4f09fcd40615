"""What the table of votes says: reading it, whole or as far as it counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memeapp.errors import NotFound
from memeapp.judging import Harm, Judgement, Seen, Vote, VoteKind
from memeapp.store.connections import Connections
from memeapp.store.memes import meme_from_row
from memeapp.types import Counts, Meme


class Tallies(Connections):
    """Votes as they stand."""

    def vote(self, id: int) -> Vote:
        """The vote of this number. Raises: NotFound."""
        row = next(self._db.query("SELECT * FROM votes WHERE id = ?", [id]), None)
        if row is None:
            raise NotFound(f"There is no vote {id}.")
        return vote_from_row(row)

    def all_votes(self, session_id: int | None = None) -> list[Vote]:
        """Every entry, superseded ones too, in the order they came; of one session or of all."""
        rows = self._db.query(
            "SELECT * FROM votes WHERE :session IS NULL OR session_id = :session ORDER BY id",
            {"session": session_id},
        )
        return [vote_from_row(row) for row in rows]

    def standing_votes(
        self,
        meme_ids: Iterable[str] | None = None,
        *,
        session_id: int | None = None,
        blind: bool = False,
    ) -> list[Vote]:
        """Votes and decisions that nothing has replaced, by people who are not excluded.

        Args:
            meme_ids: on these memes; on all if None.
            session_id: of this session; of all sessions and imports if None.
            blind: as people judged before they saw the model's answer; what they judged beside it
                is left out.
        """
        wanted = None if meme_ids is None else json.dumps(list(meme_ids))
        source = f"{'blind' if blind else 'standing'}_votes AS votes"
        if wanted is not None:
            source = f"json_each(:memes) AS wanted CROSS JOIN {source} ON meme_id = wanted.value"
        rows = self._db.query(
            f"SELECT votes.* FROM {source} WHERE :session IS NULL OR session_id = :session"
            " ORDER BY votes.id",
            {"memes": wanted, "session": session_id} if wanted else {"session": session_id},
        )
        return [vote_from_row(row) for row in rows]

    def last_vote(self) -> int:
        """The number of the newest vote, 0 without any; it grows with every vote."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM votes").fetchone()[0])

    def unrevealed_share(self, annotator_id: str) -> float | None:
        """Of somebody's judgements, the share that was made without uncovering the picture."""
        row = self._db.execute(
            "SELECT avg(NOT revealed) FROM votes WHERE annotator_id = ?"
            " AND kind IN ('vote', 'unsure')",
            [annotator_id],
        ).fetchone()
        return None if row[0] is None else float(row[0])

    def exposure_of(self, annotator_id: str, since: str) -> float:
        """Seconds that somebody looked at uncovered pictures since then (UTC, ISO 8601), each
        weighed by the severity of its meme."""
        row = self._db.execute(
            "SELECT total(severity * revealed_seconds) FROM votes JOIN session_memes AS m"
            " ON m.session_id = votes.session_id AND m.meme_id = votes.meme_id"
            " WHERE annotator_id = ? AND votes.created_at >= ?",
            [annotator_id, since],
        ).fetchone()
        return float(row[0])

    def examples(self, *, after_vote: int, limit: int) -> list[Meme]:
        """Memes that got a vote after that one and may be shown to anybody, newest first.

        Held-out memes are not among them, nor what visitors left to learn from.
        """
        rows = self._db.query(
            "SELECT * FROM memes WHERE NOT held_out AND origin != 'visitor' AND vote_count > 0"
            " AND id IN (SELECT meme_id FROM votes WHERE id > ? AND kind IN ('vote', 'decision'))"
            " ORDER BY number DESC LIMIT ?",
            [after_vote, limit],
        )
        return [meme_from_row(row) for row in rows]

    def vote_count_of(self, annotator_id: str) -> int:
        """How many memes this person has judged and not taken back."""
        count = self._db.execute(
            "SELECT sum(kind IN ('vote', 'unsure')) - count(replaced.id) FROM votes"
            " LEFT JOIN (SELECT id FROM votes WHERE kind IN ('vote', 'unsure')) AS replaced"
            " ON replaced.id = votes.replaces WHERE annotator_id = ?",
            [annotator_id],
        ).fetchone()[0]
        return int(count or 0)

    def counts(self, labels: Sequence[str]) -> Counts:
        """How many of everything there is; `positives` for these labels."""
        totals = next(
            self._db.query(
                "SELECT count(*) AS memes, coalesce(sum(vote_count > 0), 0) AS labelled,"
                " coalesce(sum(vote_count = 0), 0) AS unlabelled,"
                " coalesce(sum(held_out), 0) AS held_out,"
                " coalesce(sum(held_out AND vote_count > 0), 0) AS held_out_labelled,"
                " (SELECT count(*) FROM standing_votes) AS votes,"
                " (SELECT count(*) FROM annotators WHERE kind = 'person') AS annotators FROM memes"
            )
        )
        positives = dict(
            self._db.execute(
                "SELECT label, count(*) FROM (SELECT judged.key AS label"
                " FROM standing_votes AS votes, json_each(votes.labels) AS judged"
                " GROUP BY meme_id, judged.key"
                " HAVING sum(judged.value) * 2 > count(*)) GROUP BY label"
            ).fetchall()
        )
        return Counts(**totals, positives={label: positives.get(label, 0) for label in labels})


def vote_from_row(row: Mapping[str, Any]) -> Vote:
    """A row of the table `votes` as a record."""
    return Vote(
        id=row["id"],
        meme_id=row["meme_id"],
        annotator_id=row["annotator_id"],
        judgement=Judgement(
            labels=json.loads(row["labels"]),
            kind=VoteKind(row["kind"]),
            reason=row["reason"],
            note=row["note"],
            text=row["text"],
            harm=Harm(row["harm"]),
            seconds=row["seconds"],
            revealed=bool(row["revealed"]),
            revealed_seconds=row["revealed_seconds"],
        ),
        key=row["key"],
        created_at=row["created_at"],
        session_id=row["session_id"],
        seen=Seen(row["seen"]),
        suggestion=json.loads(row["suggestion"]) if row["suggestion"] else None,
        queue=row["queue"],
        replaces=row["replaces"],
    )
