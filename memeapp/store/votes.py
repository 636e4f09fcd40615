"""What people say, take back and change; what was imported; what was decided."""

from __future__ import annotations

from collections.abc import Mapping

from memeapp.errors import AlreadyVoted, BadVote, NotFound
from memeapp.judging import Judgement, Seen, Session, Suggestions, Vote, VoteKind
from memeapp.store.connections import now
from memeapp.store.ledger import Ledger, check
from memeapp.store.queue import Place, Queue

_JUDGED = (VoteKind.VOTE, VoteKind.UNSURE)


class Votes(Queue, Ledger):
    """What people said."""

    def record(
        self,
        annotator_id: str,
        meme_id: str,
        judgement: Judgement,
        *,
        key: str,
        replaces: int | None = None,
    ) -> Vote:
        """Record what a member of a session says; when this returns, it is on the disk.

        Sending again under the same key gives the vote of the first time. A judgement that comes
        when the session is over or the meme has all its votes is kept as a surplus vote. It does
        not keep the meme away from this person: they are asked again if a place gets free.

        Args:
            replaces: one of this person's last judgements, of the same meme, which this one
                replaces.

        Raises:
            AlreadyVoted: this person has judged the meme, and `replaces` does not name that vote.
            BadVote: the key or the duration is unusable, the key belongs to another meme, or the
                vote to be replaced is too long ago or not theirs.
            NotAllowed: this person was taken out of the session.
            NotFound: there is no such annotator, or no such meme in the session.
        """
        check(judgement, key, *_JUDGED, VoteKind.SKIP)
        with self._writing():
            if known := self._sent_before(annotator_id, meme_id, key):
                return known
            annotator = self._admitted(annotator_id)
            session = self.session(annotator.session_id or 0)
            place = self._place(session, annotator, meme_id)
            before = self._standing(annotator_id, meme_id)
            if replaces is not None:
                self._check_replaced(annotator_id, meme_id, replaces)
            elif before is not None and before.kind is not VoteKind.UNDO:
                raise AlreadyVoted("You have judged this meme already; go on to the next one.")
            reason = ""
            if not session.is_open(now()):
                reason = "closed"
            elif judgement.kind in _JUDGED and not (
                place.free or (before is not None and before.kind in _JUDGED)
            ):
                reason = "full"
            seen = self._seen(session, annotator_id, meme_id, place)
            vote = self._append(
                session,
                annotator,
                meme_id,
                judgement,
                key=key,
                seen=seen,
                suggestion=place.suggestion if seen is not Seen.NONE else None,
                queue=place.queue,
                replaces=None if before is None or reason else before.id,
                surplus=reason,
            )
            self._drop(session, annotator_id, meme_id)
        return vote

    def undo(self, annotator_id: str, *, key: str, tab: str) -> Vote | None:
        """Take back one's last judgement and keep its meme for the tab, to judge it again.

        It is not kept where it has no place: somebody passed it on, and it has all its votes now.

        Returns:
            The judgement that was taken back; None where there is none among the last ones.

        Raises:
            AlreadyVoted: the session has ended.
            BadVote, NotAllowed, NotFound: as `record`.
        """
        check(Judgement(kind=VoteKind.UNDO), key, VoteKind.UNDO)
        with self._writing() as db:
            sent = "SELECT * FROM votes WHERE annotator_id = ? AND key = ?"
            known = next(db.query(sent, [annotator_id, key]), None)
            if known is not None and known["kind"] != VoteKind.UNDO:
                raise BadVote(f"The key {key!r} was used for a judgement; send a fresh one.")
            if known is not None:
                return self.vote(known["replaces"])
            annotator = self._admitted(annotator_id)
            session = self.session(annotator.session_id or 0)
            if not session.is_open(now()):
                raise AlreadyVoted("The session has ended; what was said stays as it is.")
            last = next(iter(self.last_votes(annotator_id, limit=1)), None)
            if last is None:
                return None
            self._append(
                session,
                annotator,
                last.meme_id,
                Judgement(kind=VoteKind.UNDO),
                key=key,
                queue=last.queue,
                replaces=last.id,
            )
            self._drop_expired(session)
            if self._is_free(session, annotator_id, last.meme_id, family=False):
                db.execute(
                    "UPDATE leases SET shown = 0 WHERE annotator_id = ? AND tab = ?",
                    [annotator_id, tab],
                )
                self._keep(session, annotator_id, last.meme_id, tab, queue=last.queue)
        return last

    def decide(self, session_id: int, meme_id: str, judgement: Judgement, *, key: str) -> Vote:
        """Record an adjudication; a later one of the same meme replaces it.

        Raises:
            BadVote: as `record`.
            NotFound: there is no such session, or no such meme in it.
        """
        check(judgement, key, VoteKind.DECISION)
        self.session(session_id)
        judge = self.named_annotator("adjudication", "decision", session_id)
        with self._writing():
            if known := self._sent_before(judge.id, meme_id, key):
                return known
            session = self.session(session_id)
            self._place(session, judge, meme_id)
            before = self._standing(judge.id, meme_id)
            return self._append(
                session,
                judge,
                meme_id,
                judgement,
                key=key,
                replaces=before.id if before else None,
            )

    def import_vote(
        self,
        annotator_id: str,
        meme_id: str,
        labels: Mapping[str, bool],
        *,
        key: str,
        decision: bool = False,
    ) -> Vote:
        """Record what came with a data set, in the name under which it was imported.

        Args:
            decision: it was an adjudication there, and counts instead of the votes here too.

        Raises:
            AlreadyVoted: this name has a judgement of the meme under another key.
            BadVote: there are no labels, or as `record`.
            NotFound: there is no such meme or annotator.
        """
        judgement = Judgement(labels, VoteKind.DECISION if decision else VoteKind.VOTE)
        check(judgement, key, judgement.kind)
        with self._writing() as db:
            annotator = self.annotator(annotator_id)
            if known := self._sent_before(annotator_id, meme_id, key):
                return known
            if self._standing(annotator_id, meme_id):
                raise AlreadyVoted(f"{annotator.name!r} has judged the meme {meme_id[:80]!r}.")
            if not next(db.query("SELECT 1 FROM memes WHERE id = ?", [meme_id]), None):
                raise NotFound(f"There is no meme {meme_id[:80]!r}.")
            return self._append(
                None,
                annotator,
                meme_id,
                judgement,
                key=key,
            )

    def _seen(self, session: Session, annotator_id: str, meme_id: str, place: Place) -> Seen:
        if place.suggestion is None:
            return Seen.NONE
        if place.assisted:
            return Seen.BEFORE
        if session.plan.suggestions is Suggestions.NONE:
            return Seen.NONE
        judged = self._db.execute(
            "SELECT 1 FROM votes WHERE annotator_id = ? AND meme_id = ?"
            " AND kind IN ('vote', 'unsure')",
            [annotator_id, meme_id],
        ).fetchone()
        return Seen.AFTER if judged else Seen.NONE
