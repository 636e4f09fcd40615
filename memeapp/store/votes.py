"""Annotators, their votes, and which meme somebody sees next."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memeapp.errors import AlreadyVoted, BadInput, BadVote, NotFound
from memeapp.store.connections import Connections, now
from memeapp.store.memes import meme_from_row
from memeapp.types import Annotator, Counts, Meme, Vote

MAX_NAME = 40
MAX_KEY = 100


class Votes(Connections):
    """Annotators and the append-only table of votes."""

    def add_annotator(self, name: str, kind: str = "person") -> Annotator:
        """Let somebody in under a name of their own.

        Raises:
            BadInput: if the name is empty, too long, has control characters, or is taken (upper
                and lower case are the same name).
        """
        name = " ".join(_check_name(name).split())
        annotator = Annotator(secrets.token_hex(8), name, kind, now())
        with self._writing() as db:
            if self._annotator_named(name, kind) is not None:
                raise BadInput(f"The name {name!r} is taken; choose another one.")
            db.execute(
                "INSERT INTO annotators (id, name, folded_name, kind, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                [annotator.id, name, _fold(name), kind, annotator.created_at],
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

    def import_annotator(self, name: str) -> Annotator:
        """The annotator in whose name labels of a data set are imported, made when first asked."""
        try:
            return self.add_annotator(name, "import")
        except BadInput:
            known = self._annotator_named(name, "import")
            if known is None:
                raise
            return known

    def add_vote(
        self,
        meme_id: str,
        annotator_id: str,
        labels: Mapping[str, bool],
        *,
        key: str,
        seconds: float,
        revealed: bool,
        votes_per_meme: int | None,
    ) -> Vote:
        """Record a judgement; when this returns, the vote is on the disk.

        Sending again under the same key gives the vote of the first time.

        Raises:
            AlreadyVoted: if this annotator has judged the meme under another key, or the meme has
                `votes_per_meme` votes.
            BadVote: if there are no labels, the key is unusable or belongs to another meme, or
                `seconds` is no duration.
            NotFound: if there is no such meme or annotator.
        """
        if not labels:
            raise BadVote("The vote judges no label; answer at least one.")
        if not 0 < len(key) <= MAX_KEY:
            raise BadVote(f"The key of a vote has 1 to {MAX_KEY} characters, not {len(key)}.")
        if not (math.isfinite(seconds) and seconds >= 0):
            raise BadVote(f"The time a vote took cannot be {seconds} seconds.")
        judged = {label: bool(value) for label, value in labels.items()}
        with self._writing() as db:
            self.annotator(annotator_id)
            mine = "SELECT * FROM votes WHERE annotator_id = ?"
            known = next(db.query(f"{mine} AND key = ?", [annotator_id, key]), None)
            if known is not None:
                if known["meme_id"] != meme_id:
                    raise BadVote(f"The key {key!r} was used for another meme; send a fresh one.")
                return _vote(known)
            if next(db.query(f"{mine} AND meme_id = ?", [annotator_id, meme_id]), None):
                raise AlreadyVoted("You have judged this meme already; go on to the next one.")
            meme = next(db.query("SELECT vote_count FROM memes WHERE id = ?", [meme_id]), None)
            if meme is None:
                raise NotFound(f"There is no meme {meme_id[:80]!r}.")
            if votes_per_meme is not None and meme["vote_count"] >= votes_per_meme:
                raise AlreadyVoted(
                    f"This meme has all the {votes_per_meme} votes it wants; go on to the next one."
                )
            cursor = db.execute(
                "INSERT INTO votes (meme_id, annotator_id, labels, seconds, revealed, key,"
                " created_at) VALUES (?, ?, ?, ?, ?, ?, ?) ",
                [meme_id, annotator_id, json.dumps(judged), seconds, revealed, key, now()],
            )
            added = next(db.query("SELECT * FROM votes WHERE id = ?", [cursor.lastrowid]))
        return _vote(added)

    def votes(self) -> list[Vote]:
        """Every vote, in the order they came."""
        return [_vote(row) for row in self._db.query("SELECT * FROM votes ORDER BY id")]

    def votes_on(self, meme_ids: Iterable[str]) -> list[Vote]:
        """The votes on these memes, in the order they came."""
        rows = self._db.query(
            "SELECT votes.* FROM json_each(?) AS wanted CROSS JOIN votes"
            " ON votes.meme_id = wanted.value ORDER BY votes.id",
            [json.dumps(list(meme_ids))],
        )
        return [_vote(row) for row in rows]

    def last_vote(self) -> int:
        """The number of the newest vote, 0 without any; it grows with every vote."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM votes").fetchone()[0])

    def examples(self, *, after_vote: int, limit: int) -> list[Meme]:
        """Memes that got a vote after that one and may be shown to anybody, newest first.

        Held-out memes are not among them, nor what visitors left to learn from.
        """
        rows = self._db.query(
            "SELECT * FROM memes WHERE NOT held_out AND origin != 'visitor'"
            " AND id IN (SELECT meme_id FROM votes WHERE id > ?) ORDER BY number DESC LIMIT ?",
            [after_vote, limit],
        )
        return [meme_from_row(row) for row in rows]

    def vote_counts(self) -> dict[str, int]:
        """How many votes each meme has; memes without any are absent."""
        rows = self._db.execute("SELECT id, vote_count FROM memes WHERE vote_count > 0")
        return {id: count for id, count in rows}

    def next_meme(
        self, annotator_id: str, *, votes_per_meme: int, after: str | None = None
    ) -> Meme | None:
        """A meme that this annotator has not judged and that wants votes, or None.

        Memes with fewest votes come first. Among equals the ids (uniform, being hashes) form a
        ring that is entered at `after`, the meme to be skipped, or at a point that depends on the
        annotator and on how many memes they have judged: the answer stays the same until they
        vote, two annotators hardly ever get the same meme, and the index finds it at once.
        """
        judged = self.vote_count_of(annotator_id)
        start = after or hashlib.sha256(f"{annotator_id} {judged}".encode()).hexdigest()
        for vote_count in range(votes_per_meme):
            for side in (">", "<="):
                row = next(
                    self._db.query(
                        f"SELECT * FROM memes WHERE vote_count = ? AND id {side} ?"
                        " AND NOT EXISTS (SELECT 1 FROM votes WHERE annotator_id = ?"
                        " AND meme_id = memes.id) ORDER BY id LIMIT 1",
                        [vote_count, start, annotator_id],
                    ),
                    None,
                )
                if row is not None:
                    return meme_from_row(row)
        return None

    def vote_count_of(self, annotator_id: str) -> int:
        """How many memes this annotator has judged."""
        count = self._db.execute(
            "SELECT count(*) FROM votes WHERE annotator_id = ?", [annotator_id]
        )
        return int(count.fetchone()[0])

    def memes_left(self, annotator_id: str, *, votes_per_meme: int) -> int:
        """How many memes want votes and have none from this annotator."""
        left = self._db.execute(
            "SELECT (SELECT count(*) FROM memes WHERE vote_count < :wanted)"
            " - (SELECT count(*) FROM votes JOIN memes ON memes.id = meme_id"
            "    WHERE annotator_id = :annotator AND vote_count < :wanted)",
            {"wanted": votes_per_meme, "annotator": annotator_id},
        )
        return int(left.fetchone()[0])

    def counts(self, labels: Sequence[str]) -> Counts:
        """How many of everything there is; `positives` for these labels."""
        totals = next(
            self._db.query(
                "SELECT count(*) AS memes, coalesce(sum(vote_count > 0), 0) AS labelled,"
                " coalesce(sum(vote_count = 0), 0) AS unlabelled,"
                " coalesce(sum(held_out), 0) AS held_out,"
                " coalesce(sum(held_out AND vote_count > 0), 0) AS held_out_labelled,"
                " (SELECT count(*) FROM votes) AS votes,"
                " (SELECT count(*) FROM annotators WHERE kind = 'person') AS annotators FROM memes"
            )
        )
        positives = dict(
            self._db.execute(
                "SELECT label, count(*) FROM (SELECT judged.key AS label"
                " FROM votes, json_each(votes.labels) AS judged GROUP BY meme_id, judged.key"
                " HAVING sum(judged.value) * 2 > count(*)) GROUP BY label"
            ).fetchall()
        )
        return Counts(**totals, positives={label: positives.get(label, 0) for label in labels})

    def _annotator_named(self, name: str, kind: str) -> Annotator | None:
        rows = self._db.query(
            "SELECT * FROM annotators WHERE kind = ? AND folded_name = ?", [kind, _fold(name)]
        )
        return next((_annotator(row) for row in rows), None)


def _check_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise BadInput("The name is empty; type one.")
    if len(name) > MAX_NAME:
        raise BadInput(f"The name has {len(name)} characters; use at most {MAX_NAME}.")
    # Cc, Cf, Cs, Co, Cn: control, invisible, and unassigned characters let two names look alike.
    if any(unicodedata.category(character).startswith("C") for character in name):
        raise BadInput("The name has control characters; use letters, digits and spaces.")
    return name


def _fold(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _annotator(row: Mapping[str, Any]) -> Annotator:
    return Annotator(row["id"], row["name"], row["kind"], row["created_at"])


def _vote(row: Mapping[str, Any]) -> Vote:
    return Vote(
        id=row["id"],
        meme_id=row["meme_id"],
        annotator_id=row["annotator_id"],
        labels=json.loads(row["labels"]),
        seconds=row["seconds"],
        revealed=bool(row["revealed"]),
        key=row["key"],
        created_at=row["created_at"],
    )
