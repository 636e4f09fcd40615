"""What annotators can do: join a session, judge meme after meme, change their mind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from memeapp.errors import BadInput, BadVote, NotAllowed, NotFound
from memeapp.judging import (
    NUDITY,
    Annotator,
    Card,
    Judgement,
    Session,
    SkipReason,
    Suggestions,
    Vote,
    VoteKind,
)
from memeapp.service.hosting import Hosting
from memeapp.store.connections import moment
from memeapp.text import check_length

MAX_NOTE = 500


@dataclass(frozen=True, slots=True)
class Preferences:
    """How somebody wants to see memes."""

    blur: bool = True
    greyscale: bool = True
    text_first: bool = True
    """The picture is shown only when asked for."""
    avoid: tuple[str, ...] = ()
    """Names of kinds that this person would rather not see."""

    @classmethod
    def of(cls, annotator: Annotator) -> Preferences:
        known = {name: annotator.preferences.get(name) for name in ("blur", "greyscale")}
        avoid = annotator.preferences.get("avoid")
        return cls(
            **{name: value for name, value in known.items() if isinstance(value, bool)},
            text_first=annotator.preferences.get("text_first") is not False,
            avoid=tuple(str(name) for name in avoid) if isinstance(avoid, list | tuple) else (),
        )


class Labelling(Hosting):
    """Sessions from the side of those who label, too; the caller has checked who asks."""

    def invited(self, token: str) -> Session:
        """The session that a link leads into.

        Raises:
            NotAllowed: the link was revoked, or the session has ended.
            NotFound: nobody made this link.
        """
        invite = self._store.invite(token)
        session = self._store.session(invite.session_id)
        if invite.revoked_at is not None:
            raise NotAllowed("This link is no longer valid; ask for a new one.")
        if not self.is_open(session):
            raise NotAllowed(f"The session {session.plan.name!r} has ended. Thank you for coming.")
        return session

    def join(self, token: str, name: str) -> Annotator:
        """Become a member of the session under a display name.

        Raises:
            BadInput: the name is empty, too long or taken.
            NotAllowed, NotFound: as `invited`.
        """
        return self._store.add_annotator(name, session_id=self.invited(token).id)

    def annotator(self, annotator_id: str) -> Annotator:
        """A member of a session. Raises: NotFound; NotAllowed, if they were taken out."""
        annotator = self._store.annotator(annotator_id)
        if annotator.revoked_at is not None:
            raise NotAllowed("You were taken out of this session. Ask whoever runs it.")
        if annotator.session_id is None or annotator.kind != "person":
            raise NotFound("You are in no session; ask for a link.")
        return annotator

    def session_of(self, annotator_id: str) -> Session:
        """Raises: NotFound, NotAllowed."""
        return self._store.session(self.annotator(annotator_id).session_id or 0)

    def set_preferences(self, annotator_id: str, preferences: Preferences) -> None:
        """Raises: BadInput, if a kind to avoid is unknown; NotFound."""
        if unknown := sorted(set(preferences.avoid) - {NUDITY, *self.schema.names[1:]}):
            raise BadInput(f"{unknown[0]!r} is no kind of content here.")
        self._store.set_preferences(
            annotator_id,
            {
                "blur": preferences.blur,
                "greyscale": preferences.greyscale,
                "text_first": preferences.text_first,
                "avoid": list(preferences.avoid),
            },
        )

    def cards(self, annotator_id: str, tab: str) -> list[Card]:
        """The meme for this tab now and the one after it, kept for this person for a while.

        Raises: NotFound, NotAllowed.
        """
        avoid = Preferences.of(self.annotator(annotator_id)).avoid
        kinds = (NUDITY, *self.schema.names[1:])
        bits = sum(1 << bit for bit, kind in enumerate(kinds) if kind in avoid)
        return self._store.next_cards(annotator_id, tab, avoided=bits)

    def card(self, annotator_id: str, vote_id: int) -> tuple[Vote, Card]:
        """A standing judgement of one's own with its meme, to change it.

        Raises: NotFound, if it is not among the last ones.
        """
        for vote in self._store.last_votes(annotator_id):
            if vote.id == vote_id:
                return vote, self._store.card_of(vote)
        raise NotFound("That judgement is too long ago to be changed, or was changed meanwhile.")

    def judge(
        self,
        annotator_id: str,
        meme_id: str,
        judgement: Judgement,
        *,
        key: str,
        replaces: int | None = None,
    ) -> Vote:
        """Save what somebody says; it is on the disk when this returns.

        Raises:
            BadVote: the labels are unknown or contradict each other, a skip has no known reason,
                the note is too long; or as `Store.record`.
            AlreadyVoted, NotAllowed, NotFound: as `Store.record`.
        """
        if judgement.kind is VoteKind.VOTE:
            self.schema.check(judgement.labels)
        elif judgement.kind not in (VoteKind.UNSURE, VoteKind.SKIP):
            raise BadVote(f"A judgement cannot be of the kind {judgement.kind.value!r}.")
        if (judgement.kind is VoteKind.SKIP) != (judgement.reason in set(SkipReason)):
            raise BadVote(f"{judgement.reason!r} is no reason to skip a meme.")
        check_note(judgement.note)
        if judgement.text is not None:
            corrected = check_length(judgement.text, self._max_text).strip()
            judgement = replace(judgement, text=corrected)
        return self._store.record(annotator_id, meme_id, judgement, key=key, replaces=replaces)

    def undo(self, annotator_id: str, *, key: str, tab: str) -> Vote | None:
        """Take back one's last judgement; its meme is the tab's next. None: nothing to take back.

        Raises: as `Store.undo`.
        """
        return self._store.undo(annotator_id, key=key, tab=tab)

    def history(self, annotator_id: str) -> list[tuple[Vote, Card]]:
        """One's last judgements that can be changed, the newest first, with their memes."""
        votes = self._store.last_votes(annotator_id)
        return [(vote, self._store.card_of(vote)) for vote in votes]

    def renew(self, annotator_id: str, tab: str) -> int:
        """Keep a tab's memes for another while. Raises: NotFound, NotAllowed."""
        return self._store.renew(annotator_id, tab)

    def give_back(self, annotator_id: str, tab: str) -> None:
        """Free the memes of a tab that is closed."""
        self._store.give_back(annotator_id, tab)

    def judged(self, annotator_id: str) -> int:
        """How many memes this person has judged."""
        return self._store.vote_count_of(annotator_id)

    def suggestion(self, vote: Vote) -> Mapping[str, object] | None:
        """What the model says of the meme of a judgement; None where the session does not tell,
        there is no model, or nothing was said that could be compared with it."""
        if vote.session_id is None or vote.kind not in (VoteKind.VOTE, VoteKind.UNSURE):
            return None
        if self._store.session(vote.session_id).plan.suggestions is Suggestions.NONE:
            return None
        return self._store.card_of(vote).suggestion

    def exposure(self, annotator_id: str, since: float) -> float:
        """Seconds of looking at pictures, weighed by their severity, since then (seconds since
        1970)."""
        return self._store.exposure_of(annotator_id, moment(datetime.fromtimestamp(since, UTC)))

    def unrevealed(self, annotator_id: str) -> float | None:
        """The share of this person's judgements that were made without uncovering the picture;
        None without any."""
        return self._store.unrevealed_share(annotator_id)

    def surroundings(self, annotator_id: str) -> dict[str, object]:
        """Whether this person's session is `open`, the admin's `warning` for them, and, if the
        admin wants a `leaderboard`, all names with their numbers of judged memes, the most first,
        at most a minute old.

        Raises: NotFound, NotAllowed.
        """
        annotator = self.annotator(annotator_id)
        session = self.session_of(annotator_id)
        board = []
        if session.plan.leaderboard:
            judged = self.standing(session.id).judged
            board = [(judged.get(one.id, 0), one.name) for one in self.people(session.id)]
        return {
            "open": self.is_open(session),
            "warning": annotator.warning,
            "leaderboard": [
                {"name": name, "judged": count}
                for count, name in sorted(board, key=lambda one: -one[0])
            ],
        }

    def picture(self, meme_id: str) -> Path:
        """The file of a meme's picture. Raises: NotFound."""
        return self._store.picture_path(self._store.meme(meme_id).id)


def check_note(note: str) -> None:
    """Raises: BadVote, if the note is too long."""
    if len(note) > MAX_NOTE:
        raise BadVote(f"The note has {len(note)} characters; at most {MAX_NOTE}.")
