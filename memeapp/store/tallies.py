"""What the table of votes says: reading it, whole or as far as it counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from memeapp.errors import NotFound
from memeapp.judging import Harm, Judgement, Seen, Vote, VoteKind
from memeapp.store.connections import Connections
from memeapp.store.memes import meme_from_row
from memeapp.types import Counts, Meme

_EXCLUDED = "SELECT id FROM annotators WHERE excluded_at IS NOT NULL"
_JUDGED = "kind IN ('vote', 'unsure')"
_STANDS = "NOT EXISTS (SELECT 1 FROM votes AS later WHERE later.replaces = votes.id)"
_GOLD = (
    "EXISTS (SELECT 1 FROM session_memes AS m WHERE m.session_id = votes.session_id"
    " AND m.meme_id = votes.meme_id AND m.gold IS NOT NULL)"
)


class Said(NamedTuple):
    """A judgement in a session, as far as pictures of the session need it; flags are 0 or 1."""

    meme_id: str
    kind: str
    """"vote" or "unsure"."""
    labels: str
    """JSON, as it is kept."""
    seconds: float
    revealed: int
    queue: str
    created_at: str
    stands: int
    """Whether nothing has replaced it."""
    blind: int
    """Whether it is what this person said before they saw the model's answer, and counts."""
    counted: int
    """Whether this person's votes count."""
    gold: int
    """Whether its meme has a known answer."""


class Looked(NamedTuple):
    """What somebody looked at for one entry of the table of votes."""

    annotator_id: str
    kind: str
    reason: str
    created_at: str
    seconds: float
    revealed: int
    revealed_seconds: float
    severity: float
    """Of the meme, in [0, 1]."""


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

    def said(self, session_id: int) -> list[Said]:
        """Every vote and "not sure" of a session, replaced ones too, in the order they came."""
        rows = self._db.execute(
            "SELECT meme_id, kind, labels, seconds, revealed, queue, created_at,"
            f" {_STANDS}, id IN (SELECT id FROM blind_votes WHERE session_id = :session),"
            f" annotator_id NOT IN ({_EXCLUDED}), {_GOLD}"
            f" FROM votes WHERE session_id = :session AND {_JUDGED} ORDER BY id",
            {"session": session_id},
        )
        return list(map(Said._make, rows))

    def looked(self, session_id: int) -> list[Looked]:
        """What people of a session looked at, an entry for each time, in the order they came."""
        rows = self._db.execute(
            "SELECT annotator_id, kind, reason, created_at, seconds, revealed, revealed_seconds,"
            " m.severity FROM votes JOIN session_memes AS m ON m.session_id = votes.session_id"
            " AND m.meme_id = votes.meme_id WHERE votes.session_id = ? ORDER BY votes.id",
            [session_id],
        )
        return list(map(Looked._make, rows))

    def judged_since(self, since: str, session_id: int) -> tuple[int, str | None]:
        """How many judgements of a session since then (UTC, ISO 8601) stand, and when the first of
        them came; memes with a known answer are left out.

        Costs as much as there are votes since then.
        """
        row = self._db.execute(
            "SELECT count(*), min(created_at) FROM votes NOT INDEXED WHERE id > coalesce("
            " (SELECT id FROM votes WHERE created_at < :since ORDER BY id DESC LIMIT 1), 0)"
            f" AND session_id = :session AND {_JUDGED} AND {_STANDS} AND NOT {_GOLD}",
            {"since": since, "session": session_id},
        ).fetchone()
        return int(row[0]), row[1]

    def own_since(self, since: str, annotator_id: str) -> tuple[int, str | None]:
        """The same of one person's judgements, on any meme."""
        row = self._db.execute(
            "SELECT count(*), min(created_at) FROM votes WHERE annotator_id = ?"
            f" AND created_at >= ? AND {_JUDGED} AND {_STANDS}",
            [annotator_id, since],
        ).fetchone()
        return int(row[0]), row[1]

    def judged_by(self, session_id: int) -> dict[str, int]:
        """Who of a session has judged → how many memes, as `vote_count_of`."""
        rows = self._db.execute(
            "SELECT annotator_id, count(*) FROM votes WHERE session_id = ?"
            f" AND {_JUDGED} AND {_STANDS} GROUP BY annotator_id",
            [session_id],
        )
        return dict(rows.fetchall())

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

    def counts_mark(self) -> tuple[object, ...]:
        """Changes with what an admin does to `counts`: imports, decisions, whose votes count.
        Cheap, and the same while people label."""
        row = self._db.execute(
            "SELECT (SELECT count(*) FROM memes),"
            " (SELECT max((SELECT max(id) FROM votes WHERE annotator_id = annotators.id))"
            "  FROM annotators WHERE kind != 'person'),"
            f" (SELECT group_concat(id) FROM ({_EXCLUDED}))"
        ).fetchone()
        return tuple(row)

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
