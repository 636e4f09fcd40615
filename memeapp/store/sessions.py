"""Labelling sessions, the ways into them, and their memes."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from memeapp.errors import BadInput, NotFound
from memeapp.judging import Invite, Plan, Rank, Session, SessionCounts, Suggestions
from memeapp.store.annotators import check_name, fold
from memeapp.store.connections import now
from memeapp.store.selection import Selections

EVERYBODY = 2**31
"""Votes that a gold meme wants: one from each person."""
AT_ONCE = 500
"""Memes that are ranked in one transaction."""
PAUSE = 0.05
"""Seconds between two of those, for people to save their votes."""


class Sessions(Selections):
    """Sessions with their invites and memes."""

    clock: Callable[[], float] = staticmethod(time.time)
    """Seconds since 1970, by which leases expire."""

    def add_session(self, plan: Plan, meme_ids: Iterable[str]) -> Session:
        """Open a session on these memes.

        Raises:
            BadInput: if the name is taken or there is no meme.
            NotFound: if one of the memes is not there.
        """
        name = " ".join(check_name(plan.name).split())
        with self._writing() as db:
            if next(db.query("SELECT 1 FROM sessions WHERE folded_name = ?", [fold(name)]), None):
                raise BadInput(f"There is a session {name!r} already; choose another name.")
            values = {**_columns(plan), "name": name, "created_at": now()}
            session_id = self._insert("sessions", values)
            if not self._add_memes(session_id, meme_ids, plan.votes_per_meme):
                raise BadInput("The session has no memes; import some, or choose others.")
        return self.session(session_id)

    def session(self, id: int) -> Session:
        """The session of this number. Raises: NotFound."""
        row = next(self._db.query("SELECT * FROM sessions WHERE id = ?", [id]), None)
        if row is None:
            raise NotFound(f"There is no session {id}.")
        return _session(row)

    def sessions(self) -> list[Session]:
        """All sessions, the newest first."""
        return [_session(row) for row in self._db.query("SELECT * FROM sessions ORDER BY id DESC")]

    def change_plan(self, id: int, plan: Plan) -> Session:
        """Put another plan in force, for everybody at once.

        A meme that has more votes than are wanted now is done; none is taken away.

        Raises:
            NotFound: if there is no such session.
            BadInput: if the name is taken.
        """
        name = " ".join(check_name(plan.name).split())
        with self._writing() as db:
            self.session(id)
            taken = "SELECT 1 FROM sessions WHERE folded_name = ? AND id != ?"
            if next(db.query(taken, [fold(name), id]), None):
                raise BadInput(f"There is a session {name!r} already; choose another name.")
            values = {**_columns(plan), "name": name}
            columns = ", ".join(f"{column} = ?" for column in values)
            db.execute(f"UPDATE sessions SET {columns} WHERE id = ?", [*values.values(), id])
            db.execute(
                "UPDATE session_memes SET wanted = :wanted WHERE session_id = :id"
                " AND gold IS NULL AND wanted != :wanted",
                {"wanted": plan.votes_per_meme, "id": id},
            )
        return self.session(id)

    def close_session(self, id: int, closed: bool = True) -> Session:
        """End a session, or open it again. Raises: NotFound."""
        with self._writing() as db:
            self.session(id)
            db.execute(
                "UPDATE sessions SET closed_at = ? WHERE id = ?", [now() if closed else None, id]
            )
        return self.session(id)

    def extend_session(self, id: int, meme_ids: Iterable[str]) -> int:
        """Add memes; those that are in it stay as they are. Gives how many are new.

        Raises:
            NotFound: if there is no such session or meme.
        """
        with self._writing():
            return self._add_memes(id, meme_ids, self.session(id).plan.votes_per_meme)

    def _add_memes(self, session_id: int, meme_ids: Iterable[str], wanted: int) -> int:
        added = 0
        for meme_id in dict.fromkeys(meme_ids):
            cursor = self._db.execute(
                "INSERT INTO session_memes (session_id, meme_id, family, wanted, random)"
                " SELECT ?, id, family, ?, ? FROM memes WHERE id = ?"
                " ON CONFLICT DO NOTHING",
                [session_id, wanted, _position(session_id, meme_id), meme_id],
            )
            added += cursor.rowcount
            if not cursor.rowcount and not self._has(meme_id):
                raise NotFound(f"There is no meme {meme_id[:80]!r}; nothing was added.")
        return added

    def _has(self, meme_id: str) -> bool:
        return bool(self._db.execute("SELECT 1 FROM memes WHERE id = ?", [meme_id]).fetchone())

    def session_meme_ids(self, id: int) -> list[str]:
        """The memes of a session, in an order that does not change."""
        rows = self._db.execute(
            "SELECT meme_id FROM session_memes WHERE session_id = ? ORDER BY random", [id]
        )
        return [meme_id for (meme_id,) in rows]

    def set_gold(self, id: int, meme_id: str, labels: Mapping[str, bool] | None) -> None:
        """Make a meme of the session one with a known answer, which everybody gets; or not.

        Raises:
            NotFound: if it is not in the session.
        """
        with self._writing() as db:
            wanted = EVERYBODY if labels else self.session(id).plan.votes_per_meme
            cursor = db.execute(
                "UPDATE session_memes SET gold = ?, wanted = ? WHERE session_id = ?"
                " AND meme_id = ?",
                [json.dumps(dict(labels)) if labels else None, wanted, id, meme_id],
            )
            if not cursor.rowcount:
                raise NotFound(f"The meme {meme_id[:80]!r} is not in session {id}.")

    def gold(self, id: int) -> dict[str, dict[str, bool]]:
        """Meme id → known answer."""
        rows = self._db.execute(
            "SELECT meme_id, gold FROM session_memes INDEXED BY session_memes_gold"
            " WHERE session_id = ? AND gold IS NOT NULL",
            [id],
        )
        return {meme_id: json.loads(labels) for meme_id, labels in rows}

    def set_ranks(self, id: int, ranks: Mapping[str, Rank]) -> None:
        """Put memes of a session into the queues; those that are not named stay where they are."""
        rows = [
            (
                rank.uncertain,
                rank.far,
                rank.relabel,
                rank.severity,
                rank.kinds,
                json.dumps(dict(rank.suggestion)) if rank.suggestion else None,
                id,
                meme_id,
            )
            for meme_id, rank in sorted(ranks.items())
        ]
        for start in range(0, len(rows), AT_ONCE):
            if start:
                time.sleep(PAUSE)  # whoever waits for the lock looks for it now and then only
            with self._writing() as db:
                db.conn.executemany(
                    "UPDATE session_memes SET uncertain = ?, far = ?, relabel = ?, severity = ?,"
                    " kinds = ?, suggestion = ? WHERE session_id = ? AND meme_id = ?",
                    rows[start : start + AT_ONCE],
                )

    def session_counts(self, id: int) -> SessionCounts:
        """Where a session stands."""
        row = next(
            self._db.query(
                "SELECT count(*) AS memes, coalesce(sum(done), 0) AS done,"
                " coalesce(sum(wanted), 0) AS wanted,"
                " coalesce(sum(min(votes, wanted)), 0) AS votes,"
                " (SELECT count(*) FROM session_memes INDEXED BY session_memes_gold"
                "  WHERE session_id = :id AND gold IS NOT NULL) AS gold,"
                " (SELECT count(*) FROM annotators WHERE session_id = :id AND kind = 'person')"
                " AS people,"
                " (SELECT count(DISTINCT annotator_id) FROM leases WHERE session_id = :id"
                "  AND expires_at > :time) AS at_work"
                " FROM session_memes INDEXED BY session_memes_counts"
                " WHERE session_id = :id AND gold IS NULL",
                {"id": id, "time": self.clock()},
            )
        )
        return SessionCounts(**row)

    def session_mark(self, id: int) -> tuple[object, ...]:
        """Changes with what an admin does to a session: its plan, its end, memes with a known
        answer, who is shut out and whose votes count. Cheap."""
        row = self._db.execute(
            "SELECT sessions.*,"
            " (SELECT count(*) FROM session_memes INDEXED BY session_memes_gold"
            "  WHERE session_id = :id AND gold IS NOT NULL),"
            " (SELECT group_concat(id || ' ' || coalesce(revoked_at, '') || ' ' ||"
            "  coalesce(excluded_at, '')) FROM annotators WHERE session_id = :id"
            "  AND coalesce(revoked_at, excluded_at) IS NOT NULL)"
            " FROM sessions WHERE id = :id",
            {"id": id},
        ).fetchone()
        return tuple(row or ())

    def add_invite(self, session_id: int) -> Invite:
        """Make a link into a session. Raises: NotFound."""
        invite = Invite(secrets.token_urlsafe(12), session_id, now(), None)
        with self._writing() as db:
            self.session(session_id)
            db.execute(
                "INSERT INTO invites (token, session_id, created_at) VALUES (?, ?, ?)",
                [invite.token, session_id, invite.created_at],
            )
        return invite

    def invite(self, token: str) -> Invite:
        """The invite of this token, revoked or not. Raises: NotFound."""
        row = next(self._db.query("SELECT * FROM invites WHERE token = ?", [token]), None)
        if row is None:
            raise NotFound("This link leads nowhere; ask for a new one.")
        return Invite(**row)

    def invites(self, session_id: int) -> list[Invite]:
        """The links into a session, the oldest first."""
        rows = self._db.query(
            "SELECT * FROM invites WHERE session_id = ? ORDER BY created_at, rowid", [session_id]
        )
        return [Invite(**row) for row in rows]

    def revoke_invite(self, token: str) -> None:
        """Let nobody in by this link any more; who is in stays. Raises: NotFound."""
        with self._writing() as db:
            self.invite(token)
            db.execute(
                "UPDATE invites SET revoked_at = coalesce(revoked_at, ?) WHERE token = ?",
                [now(), token],
            )


def _position(session_id: int, meme_id: str) -> float:
    """Uniform in [0, 1), the same whenever it is asked."""
    digest = hashlib.sha256(f"{session_id} {meme_id}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _columns(plan: Plan) -> dict[str, Any]:
    return {
        **asdict(plan),
        "folded_name": fold(plan.name),
        "policy": json.dumps(dict(plan.policy)),
        "suggestions": plan.suggestions.value,
    }


def _session(row: Mapping[str, Any]) -> Session:
    plan = Plan(
        name=row["name"],
        guidelines=row["guidelines"],
        votes_per_meme=row["votes_per_meme"],
        policy=json.loads(row["policy"]),
        suggestions=Suggestions(row["suggestions"]),
        lease_seconds=row["lease_seconds"],
        break_minutes=row["break_minutes"],
        break_exposure=row["break_exposure"],
        leaderboard=bool(row["leaderboard"]),
        open_until=row["open_until"],
    )
    return Session(row["id"], plan, row["created_at"], row["closed_at"])
