"""What came out of a session: agreement, who judges how, the model's pull, what to adjudicate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from memeapp.crowd.aggregate import effective_labels
from memeapp.crowd.agreement import Agreement, agreement
from memeapp.crowd.intervals import Estimate, Share
from memeapp.crowd.quality import (
    AnnotatorQuality,
    annotator_quality,
    assisted_shift,
    switches,
)
from memeapp.crowd.targets import vote_frame
from memeapp.judging import Annotator, Judgement, Seen, Suggestions, Vote, VoteKind
from memeapp.labels import LabelSchema
from memeapp.service.labelling import check_note
from memeapp.store import Store
from memeapp.types import Meme

GUIDELINE = "guideline"
"""The reason of a decision that says: the guideline is unclear here."""
AT_ONCE = 50
"""Memes of the adjudication list that are shown."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the blind votes of a session tell."""

    agreement: Mapping[str, Agreement]
    """Label → how far people agree."""
    effective: Mapping[str, float]
    """Label → as how many independent judgements the votes count; see `crowd.aggregate`."""
    people: Sequence[tuple[Annotator, AnnotatorQuality | None]]
    """Everybody in the session, in the order they came; None without a vote that counts."""


@dataclass(frozen=True, slots=True)
class Pull:
    """What the model's answers do to people's."""

    switched: Mapping[str, Share | None]
    """Label → of the blind judgements that differed from the model's answer, the share that people
    changed to it once they saw it."""
    shift: Mapping[str, Estimate | None]
    """Label → share of yes beside the model's answer minus share of yes without."""


@dataclass(frozen=True, slots=True)
class Disputed:
    """A meme that people do not agree on, or that was decided already."""

    meme: Meme
    disagreement: float
    """Mean over the labels of 4 · share of yes · share of no: 0 for one voice, 1 for a tie."""
    votes: tuple[Vote, ...]
    """Without decisions; who they are from is not for the judge to know."""
    decision: Vote | None


class Quality:
    """Figures of one session; the caller has checked who asks."""

    def __init__(self, store: Store, schema: LabelSchema) -> None:
        self._store = store
        self._schema = schema

    def figures(self, session_id: int) -> Figures:
        """Agreement and people, from the blind votes that count."""
        votes = self._blind(session_id)
        frame = vote_frame(votes)
        return Figures(
            agreement(frame, self._schema.names),
            effective_labels(frame),
            self._people(session_id, votes, frame),
        )

    def warnings(self, session_id: int) -> dict[str, str]:
        """Annotator id → what is worth a word, where something is."""
        votes = self._blind(session_id)
        return {
            one.id: found.warn
            for one, found in self._people(session_id, votes, vote_frame(votes))
            if found and found.warn
        }

    def _people(
        self, session_id: int, votes: Sequence[Vote], frame: pd.DataFrame
    ) -> list[tuple[Annotator, AnnotatorQuality | None]]:
        seconds = {(vote.meme_id, vote.annotator_id): vote.judgement.seconds for vote in votes}
        gold = self._store.gold(session_id)
        found = annotator_quality(frame, gold, seconds) if votes else {}
        people = self._store.annotators(session_id, kind="person")
        return [(one, found.get(one.id)) for one in people]

    def pull(self, session_id: int) -> Pull:
        """How often people give in to the model's answer, and how it shifts what is said."""
        votes = self._store.all_votes(session_id)
        before = {vote.id: vote for vote in votes}
        replaced = {vote.replaces for vote in votes}
        rows, yes = [], {seen: dict.fromkeys(self._schema.names, 0) for seen in Seen}
        count = {seen: dict.fromkeys(self._schema.names, 0) for seen in Seen}
        for vote in votes:
            if vote.kind is not VoteKind.VOTE:
                continue
            if vote.seen is not Seen.AFTER:  # the first word, blind or beside the model's answer
                for label, said in vote.labels.items():
                    yes[vote.seen][label] += said
                    count[vote.seen][label] += 1
            if vote.id in replaced or vote.suggestion is None or vote.seen is not Seen.AFTER:
                continue
            blind = _first_blind(vote, before)
            says = vote.suggestion.get("says")
            if blind is not None and isinstance(says, Mapping):
                rows += [
                    (label, int(blind.labels[label]), int(said), int(bool(says[label])))
                    for label, said in vote.labels.items()
                    if label in blind.labels and label in says
                ]
        shown = pd.DataFrame(rows, columns=["label", "blind", "final", "model"])
        return Pull(
            switches(self._with_kept(shown, votes, replaced), self._schema.names),
            {
                label: assisted_shift(
                    (yes[Seen.BEFORE][label], count[Seen.BEFORE][label]),
                    (yes[Seen.NONE][label], count[Seen.NONE][label]),
                )
                for label in self._schema.names
            },
        )

    def _with_kept(
        self, changed: pd.DataFrame, votes: Sequence[Vote], replaced: set[int | None]
    ) -> pd.DataFrame:
        """Also who saw the model's answer after a blind vote and let their own stand."""
        rows = []
        for vote in votes if self._shows(votes) else ():
            if vote.kind is not VoteKind.VOTE or vote.seen is not Seen.NONE or vote.id in replaced:
                continue
            suggestion = self._store.card_of(vote).suggestion if vote.session_id else None
            says = suggestion.get("says") if suggestion else None
            if isinstance(says, Mapping):
                rows += [
                    (label, int(said), int(said), int(bool(says[label])))
                    for label, said in vote.labels.items()
                    if label in says
                ]
        kept = pd.DataFrame(rows, columns=changed.columns)
        return pd.concat([part for part in (changed, kept) if len(part)] or [changed])

    def _shows(self, votes: Sequence[Vote]) -> bool:
        """Whether the session of these votes shows the model's answer at all."""
        session_id = next((vote.session_id for vote in votes), None)
        if session_id is None:
            return False
        return self._store.session(session_id).plan.suggestions is not Suggestions.NONE

    def disputed(self, session_id: int, most: int = AT_ONCE) -> list[Disputed]:
        """The memes on which people disagree most, those without a decision first."""
        by_meme: dict[str, list[Vote]] = {}
        for vote in self._store.standing_votes(session_id=session_id):
            by_meme.setdefault(vote.meme_id, []).append(vote)
        found = []
        for meme_id, votes in by_meme.items():
            said = [vote for vote in votes if vote.kind is VoteKind.VOTE]
            decisions = [vote for vote in votes if vote.kind is VoteKind.DECISION]
            disagreement = _disagreement(said)
            if disagreement or decisions:
                found.append((bool(decisions), -disagreement, meme_id, said, decisions))
        found.sort(key=lambda row: row[:3])
        return [
            Disputed(
                self._store.meme(meme_id),
                -negative,
                tuple(said),
                decisions[-1] if decisions else None,
            )
            for _, negative, meme_id, said, decisions in found[:most]
        ]

    def decide(
        self,
        session_id: int,
        meme_id: str,
        labels: Mapping[str, bool],
        *,
        note: str,
        unclear: bool,
        key: str,
    ) -> Vote:
        """Adjudicate a meme; it counts instead of everybody's votes.

        Args:
            unclear: the guideline is unclear here.

        Raises:
            BadVote: the labels are unknown or contradict each other, or the note is too long.
            NotFound: there is no such session, or no such meme in it.
        """
        self._schema.check(labels)
        check_note(note)
        judgement = Judgement(
            labels, VoteKind.DECISION, reason=GUIDELINE if unclear else "", note=note
        )
        return self._store.decide(session_id, meme_id, judgement, key=key)

    def _blind(self, session_id: int) -> list[Vote]:
        votes = self._store.standing_votes(session_id=session_id, blind=True)
        return [vote for vote in votes if vote.kind is VoteKind.VOTE]


def _first_blind(vote: Vote, votes: Mapping[int, Vote]) -> Vote | None:
    """The last judgement of the chain that was made before the model's answer was seen."""
    while vote.replaces is not None and vote.replaces in votes:
        vote = votes[vote.replaces]
        if vote.kind is VoteKind.VOTE and vote.seen is Seen.NONE:
            return vote
    return None


def _disagreement(votes: Sequence[Vote]) -> float:
    labels = {label for vote in votes for label in vote.labels}
    if len(votes) < 2 or not labels:
        return 0.0
    total = 0.0
    for label in labels:
        said = [vote.labels[label] for vote in votes if label in vote.labels]
        share = sum(said) / len(said)
        total += 4 * share * (1 - share)
    return total / len(labels)
