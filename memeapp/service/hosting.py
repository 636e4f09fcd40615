"""What whoever runs labelling sessions can do: open, watch, invite, shut out, close."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from memeapp.errors import BadInput
from memeapp.judging import (
    QUEUES,
    Annotator,
    Invite,
    Plan,
    Selection,
    Session,
    SessionCounts,
    Vote,
    VoteKind,
)
from memeapp.labels import LabelSchema
from memeapp.service.recent import Recent
from memeapp.store import Store
from memeapp.store.connections import moment

MAX_GUIDELINES = 20_000
MAX_WARNING = 300
EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a session and its people stand."""

    counts: SessionCounts
    judged: Mapping[str, int]
    """Annotator id → how many memes; who has judged none is missing."""


class Hosting:
    """Sessions from the side of the admin; the caller has checked who asks."""

    def __init__(
        self,
        store: Store,
        schema: LabelSchema,
        *,
        max_text: int,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self.schema = schema
        self._max_text = max_text
        self._now = today
        self._standings = Recent(self._standing)

    def open_session(
        self,
        plan: Plan,
        meme_ids: Iterable[str] | None = None,
        *,
        selection: Selection = EVERYTHING,
    ) -> Session:
        """Open a session on these memes, on those of a selection if None. What visitors brought
        never comes into one.

        Raises:
            BadInput: with what is wrong with the plan, or if there is no meme.
        """
        self._check(plan)
        chosen = (
            self._store.chosen_memes(selection)
            if meme_ids is None
            else self._store.without_visitors(list(meme_ids))
        )
        return self._store.add_session(plan, chosen)

    def size(self, selection: Selection) -> int:
        """How many memes a session on this selection would have now."""
        return len(self._store.chosen_memes(selection))

    def data_sets(self) -> dict[str, int]:
        """Where memes came from → how many did; visitors are left out."""
        return self._store.data_sets()

    def change_plan(self, session_id: int, plan: Plan) -> Session:
        """Raises: BadInput, NotFound."""
        self._check(plan)
        return self._store.change_plan(session_id, plan)

    def sessions(self) -> list[Session]:
        """The newest first."""
        return self._store.sessions()

    def session(self, id: int) -> Session:
        """Raises: NotFound."""
        return self._store.session(id)

    def counts(self, session_id: int) -> SessionCounts:
        return self._store.session_counts(session_id)

    def standing(self, session_id: int) -> Standing:
        """At most a minute old where it is costly, but never older than what an admin did."""
        return self._standings(session_id, self._store.session_mark(session_id))

    def _standing(self, session_id: int) -> Standing:
        return Standing(self.counts(session_id), self._store.judged_by(session_id))

    def close(self, session_id: int, closed: bool = True) -> Session:
        """End a session, or open it again. Raises: NotFound."""
        return self._store.close_session(session_id, closed)

    def draw_gold(self, session_id: int, count: int) -> int:
        """Make so many memes of the session ones with a known answer; gives how many it has then.

        Taken are memes with an adjudication, or on whose votes in data sets and other sessions
        everybody agrees; every label must be known. Chance decides among them.

        Raises: NotFound.
        """
        session = self.session(session_id)
        chosen = self._store.gold(session_id)
        by_meme: dict[str, list[Vote]] = {}
        wanted = self._store.session_meme_ids(session_id)
        for vote in self._store.standing_votes(wanted, blind=True):
            if vote.kind is VoteKind.DECISION or vote.session_id != session.id:
                by_meme.setdefault(vote.meme_id, []).append(vote)
        for meme_id in wanted:
            votes = by_meme.get(meme_id, [])
            votes = [vote for vote in votes if vote.kind is VoteKind.DECISION] or votes
            answers = {tuple(sorted(vote.labels.items())) for vote in votes}
            if len(chosen) >= count or len(answers) != 1 or meme_id in chosen:
                continue
            labels = dict(answers.pop())
            if set(labels) == set(self.schema.names):
                self._store.set_gold(session_id, meme_id, labels)
                chosen[meme_id] = labels
        return len(chosen)

    def invite(self, session_id: int) -> Invite:
        """Make a link into a session. Raises: NotFound."""
        return self._store.add_invite(session_id)

    def invites(self, session_id: int) -> list[Invite]:
        return self._store.invites(session_id)

    def revoke_invite(self, token: str) -> None:
        """Raises: NotFound."""
        self._store.revoke_invite(token)

    def people(self, session_id: int) -> list[Annotator]:
        """Who joined, in the order they came."""
        return self._store.annotators(session_id, kind="person")

    def warn(self, annotator_id: str, text: str) -> None:
        """Tell somebody something about how they judge, in place of what was told before; "" takes
        it back.

        Raises:
            BadInput: the text is longer than `MAX_WARNING` characters.
            NotFound: there is no such person.
        """
        text = text.strip()
        if len(text) > MAX_WARNING:
            raise BadInput(f"The text has {len(text)} characters; at most {MAX_WARNING}.")
        self._store.warn(annotator_id, text)

    def revoke_person(self, annotator_id: str, revoked: bool = True) -> None:
        """Shut somebody out, or let them in again. Raises: NotFound."""
        self._store.set_revoked(annotator_id, revoked)

    def exclude_person(self, annotator_id: str, excluded: bool = True) -> None:
        """Leave somebody's votes out of every sum, or count them again. Raises: NotFound."""
        self._store.set_excluded(annotator_id, excluded)

    def is_open(self, session: Session) -> bool:
        return session.is_open(moment(self._now()))

    def _check(self, plan: Plan) -> None:
        if unknown := sorted(set(plan.policy) - set(QUEUES)):
            raise BadInput(f"{unknown[0]!r} is no queue; there are {', '.join(QUEUES)}.")
        if any(not 0 <= share <= 1 for share in plan.policy.values()) or not (
            0.999 < sum(plan.policy.values()) < 1.001
        ):
            raise BadInput(f"The queues' shares add up to {sum(plan.policy.values()):g}, not to 1.")
        bounds: Mapping[str, tuple[float, float, float]] = {
            "votes per meme": (plan.votes_per_meme, 1, 100),
            "seconds a meme is kept": (plan.lease_seconds, 10, 3600),
            "minutes to a break": (plan.break_minutes, 1, 600),
            "exposure to a break": (plan.break_exposure, 1, 100_000),
        }
        for what, (value, least, most) in bounds.items():
            if not least <= value <= most:
                raise BadInput(f"The {what} cannot be {value:g}; {least:g} to {most:g} can.")
        if len(plan.guidelines) > MAX_GUIDELINES:
            raise BadInput(
                f"The guidelines have {len(plan.guidelines):,} characters; at most "
                f"{MAX_GUIDELINES:,}."
            )
