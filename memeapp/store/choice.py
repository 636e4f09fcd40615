"""Which meme of a session comes next for somebody: by queue, place, family and severity."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from memeapp.judging import QUEUES, Annotator, Session
from memeapp.store.annotators import Annotators
from memeapp.store.sessions import Sessions

SEVERE = 0.5
MILD = 0.3
"""As the indexes of mild memes have it."""
IN_A_ROW = 2
"""After so many severe memes comes a mild one, if there is one."""

_PLACE = """
    m.votes + (SELECT count(*) FROM leases WHERE leases.session_id = m.session_id
        AND leases.meme_id = m.meme_id AND leases.shown >= :holding
        AND leases.annotator_id != :me) < m.wanted
"""
_FAMILY = """
    NOT EXISTS (SELECT 1 FROM session_memes AS alike CROSS JOIN leases
        ON leases.session_id = alike.session_id AND leases.meme_id = alike.meme_id
        WHERE alike.session_id = m.session_id AND alike.family = m.family
        AND alike.meme_id != m.meme_id AND leases.shown >= :holding)
"""
# `q` is read from the index alone, also where it passes thousands that this person has judged.
# A surplus vote holds no place: where one is free again, who sent it is asked again.
_FREE = f"""
    SELECT q.meme_id FROM session_memes AS q INDEXED BY {{index}}
    CROSS JOIN session_memes AS m ON m.session_id = q.session_id AND m.meme_id = q.meme_id
    WHERE q.session_id = :session AND q.done = 0 AND {{of_queue}} AND q.kinds & :avoided = 0
    AND NOT EXISTS (SELECT 1 FROM votes AS mine WHERE mine.annotator_id = :me
        AND mine.meme_id = q.meme_id AND mine.kind NOT IN ('undo', 'surplus')
        AND NOT EXISTS (SELECT 1 FROM votes AS later WHERE later.replaces = mine.id))
    AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.session_id = q.session_id
        AND leases.meme_id = q.meme_id AND leases.annotator_id = :me
        AND leases.shown >= :holding)
    AND {_PLACE} AND {_FAMILY} ORDER BY q.{{column}} LIMIT 1
"""


class Choice(Annotators, Sessions):
    """Looking for memes; the caller holds the write lock."""

    chance: Callable[[], float] = staticmethod(random.random)

    def _choose(
        self,
        session: Session,
        annotator: Annotator,
        kept: Sequence[Mapping[str, Any]],
        avoided: int,
    ) -> tuple[str, str] | None:
        """A queue, and the meme from it that this person gets after those that are kept.

        One that others have but loaded ahead counts as free if nothing is kept: this person would
        be without work.
        """
        queues = self._draw(session.plan.policy)
        mild = self._had_enough(annotator, kept)
        for holding in (0,) if kept else (0, 1):
            for only_mild in (True, False) if mild else (False,):
                values: dict[str, object] = {
                    "session": session.id,
                    "me": annotator.id,
                    "avoided": avoided,
                    "holding": holding,
                }
                if found := self._first(queues, values, only_mild):
                    return found
        return None

    def _draw(self, policy: Mapping[str, float]) -> list[str]:
        """The queues, the one that chance chose first. Chance alone is always a last resort, and
        after it the memes that everybody is to judge."""
        shares = {queue: share for queue, share in policy.items() if share > 0 and queue in QUEUES}
        point = self.chance() * sum(shares.values())
        drawn = []
        for queue, share in shares.items():
            point -= share
            if point < 0:
                drawn = [queue]
                break
        others = sorted(shares.keys() - {"gold"}, key=lambda queue: (-shares[queue], queue))
        return list(dict.fromkeys([*drawn, *others, "random", "gold"]))

    def _first(
        self, queues: Sequence[str], values: dict[str, object], only_mild: bool
    ) -> tuple[str, str] | None:
        """The first queue that has a meme for somebody, with that meme."""
        by_chance: str | None = None
        for at, queue in enumerate(queues):
            if at == 1:
                # All memes but gold are in this one: where it has none, the others need no look.
                by_chance = self._free("random", values, only_mild)
            if at and queue != "gold" and by_chance is None:
                continue
            meme_id = (
                by_chance if at and queue == "random" else self._free(queue, values, only_mild)
            )
            if meme_id is not None:
                return queue, meme_id
        return None

    def _free(self, queue: str, values: dict[str, object], only_mild: bool) -> str | None:
        """The first meme of a queue that somebody may judge."""
        index = f"session_memes_{queue}"
        if queue == "gold":
            column, of_queue = "random", "q.gold IS NOT NULL"
        else:
            column, of_queue = queue, f"q.gold IS NULL AND q.{queue} IS NOT NULL"
            index += "_mild" if only_mild else ""
        if only_mild:
            of_queue += f" AND q.severity <= {MILD}"
        sql = _FREE.format(index=index, of_queue=of_queue, column=column)
        row = self._db.execute(sql, values).fetchone()
        return str(row[0]) if row else None

    def _is_free(self, session: Session, annotator_id: str, meme_id: str, *, family: bool) -> bool:
        """Whether a meme has a place for somebody, what others merely loaded ahead left aside.

        Args:
            family: it has none while another one of its family is shown to anybody.
        """
        row = self._db.execute(
            f"SELECT 1 FROM session_memes AS m WHERE m.session_id = :session AND m.meme_id = :meme"
            f" AND {_PLACE} AND {_FAMILY if family else 'TRUE'}",
            {"session": session.id, "meme": meme_id, "me": annotator_id, "holding": 1},
        ).fetchone()
        return row is not None

    def _had_enough(self, annotator: Annotator, kept: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the last memes that this person has judged or is about to were severe ones."""
        before = self._db.execute(
            "SELECT severity FROM votes JOIN session_memes AS m ON m.session_id = votes.session_id"
            " AND m.meme_id = votes.meme_id WHERE annotator_id = ? AND kind != 'undo'"
            " ORDER BY votes.id DESC LIMIT ?",
            [annotator.id, IN_A_ROW],
        )
        last = [row["severity"] for row in reversed(kept)] + [row[0] for row in before]
        return len(last) >= IN_A_ROW and all(severity > SEVERE for severity in last[:IN_A_ROW])
