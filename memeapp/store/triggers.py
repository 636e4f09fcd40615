"""When a training starts by itself, and what is new to learn from."""

from __future__ import annotations

from dataclasses import dataclass

from memeapp.store.connections import Connections, now

_SOURCE = {"blind": "blind_votes", "all": "standing_votes"}


@dataclass(frozen=True, slots=True)
class Retraining:
    """The row of settings. Nothing starts by itself while both triggers are None."""

    after_labels: int | None
    """Start once so many memes were judged anew."""
    daily_at: str | None
    """Start every day at this local time, as 'HH:MM'."""
    encoder: str
    """Empty: the usual one."""
    aggregation: str
    votes: str
    changed_at: str
    last_day: str | None
    """Local date of the last daily training, whether it was made or passed over."""
    claims: int
    """How often a process took it on itself to start a training."""
    told: str
    """What came of the last look that had something to say."""
    told_at: str | None

    @property
    def on(self) -> bool:
        return self.after_labels is not None or self.daily_at is not None


class Triggers(Connections):
    """The row of settings, shared by all processes on this data folder."""

    def retraining(self) -> Retraining:
        row = next(self._db.query("SELECT * FROM retraining"))
        del row["id"]
        return Retraining(**row)

    def set_retraining(
        self,
        *,
        after_labels: int | None,
        daily_at: str | None,
        encoder: str = "",
        aggregation: str = "majority",
        votes: str = "blind",
    ) -> Retraining:
        """Change when a training starts by itself, and how it learns."""
        with self._writing() as db:
            db.execute(
                "UPDATE retraining SET after_labels = ?, daily_at = ?, encoder = ?,"
                " aggregation = ?, votes = ?, changed_at = ?, told = '', told_at = NULL",
                [after_labels, daily_at, encoder, aggregation, votes, now()],
            )
        return self.retraining()

    def claim_retraining(self, seen: Retraining, day: str | None, version: int) -> bool:
        """Whether the caller, and no other process, is to start a training.

        Args:
            seen: the settings that the caller decided by; nothing may have changed since.
            day: the local date whose daily training this is, or None.
            version: `newest_version` before the caller looked for what is new.
        """
        with self._writing() as db:
            cursor = db.execute(
                "UPDATE retraining SET claims = claims + 1, last_day = coalesce(?, last_day)"
                " WHERE claims = ? AND changed_at = ?"
                " AND (SELECT coalesce(max(number), 0) FROM versions) = ?",
                [day, seen.claims, seen.changed_at, version],
            )
        return cursor.rowcount == 1

    def tell_retraining(self, told: str, at: str) -> None:
        """Keep what came of a look; the same as before keeps the time at which it was new."""
        with self._writing() as db:
            db.execute(
                "UPDATE retraining SET told = :told, told_at = :at WHERE told <> :told",
                {"told": told, "at": at},
            )

    def newest_version(self) -> int:
        """The number of the version that was recorded last; 0 without any."""
        row = self._db.execute("SELECT coalesce(max(number), 0) FROM versions").fetchone()
        return int(row[0])

    def last_vote_before(self, time: str) -> int:
        """The number of the newest vote of that time (UTC, ISO 8601); 0 without any."""
        row = self._db.execute(
            "SELECT coalesce(max(id), 0) FROM votes WHERE created_at <= ?", [time]
        ).fetchone()
        return int(row[0])

    def new_labels(self, after_vote: int, votes: str) -> int:
        """Memes, none of them held out, that were judged for the first time or anew since that
        vote, or judged and never learned from: they came while a training was encoding. Only
        judgements that count for learning from `votes`, "blind" or "all", are new.

        Costs as much as there are votes since then.
        """
        source = _SOURCE[votes]
        row = self._db.execute(
            f"SELECT count(*) FROM (SELECT meme_id FROM {source} AS votes JOIN memes"
            "  ON memes.id = meme_id WHERE votes.id > ? AND NOT held_out"
            f" UNION SELECT meme_id FROM memes JOIN {source} AS votes ON meme_id = memes.id"
            "  WHERE NOT learned AND NOT held_out)",
            [after_vote],
        ).fetchone()
        return int(row[0])

    def fates(self, votes: str) -> dict[str, int]:
        """How many judgements there are for each thing that becomes of them in a training.

        "counted": learned from. Of the others the first that holds: "excluded": whoever said it is
        left out of every sum; "held out": on a meme to measure on; "unsure": not sure, or skipped;
        "surplus": came when the meme had all its votes; "seen": said beside or after the model's
        answer; "replaced": changed or taken back later.
        """
        rows = self._db.execute(
            "SELECT CASE"
            " WHEN annotator_id IN (SELECT id FROM annotators WHERE excluded_at IS NOT NULL)"
            "  THEN 'excluded'"
            " WHEN held_out THEN 'held out'"
            " WHEN kind IN ('unsure', 'skip') THEN 'unsure'"
            " WHEN kind = 'surplus' THEN 'surplus'"
            f" WHEN votes.id IN (SELECT id FROM {_SOURCE[votes]}) THEN 'counted'"
            " WHEN :votes = 'blind' AND seen <> 'none' THEN 'seen'"
            " ELSE 'replaced' END AS fate, count(*)"
            " FROM votes JOIN memes ON memes.id = meme_id WHERE kind <> 'undo' GROUP BY fate",
            {"votes": votes},
        )
        return dict(rows.fetchall())
