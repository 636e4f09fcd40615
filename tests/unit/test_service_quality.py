import numpy as np
import pytest
from conftest import draw_picture

from memeapp.errors import BadInput, BadVote, NotFound
from memeapp.images import decode
from memeapp.judging import Judgement, Plan, Rank, Suggestions, VoteKind
from memeapp.labels import MAMI
from memeapp.service.quality import GUIDELINE, Quality
from memeapp.store import Store
from memeapp.types import TextSource

NO = dict.fromkeys(MAMI.names, False)
YES = {**NO, "misogynous": True, "shaming": True}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    for number in range(4):
        store.add_meme(
            decode(draw_picture(number)),
            text=f"text {number}",
            text_source=TextSource.GIVEN,
            origin="import:test",
            holdout_share=0.0,
        )
    yield store
    store.close()


@pytest.fixture
def quality(store):
    return Quality(store, MAMI)


class Room:
    """A session with people in it, who say what they are told to."""

    def __init__(self, store, **plan):
        self.store = store
        self.ids = [meme.id for meme in store.memes()]
        self.session = store.add_session(Plan("Monday", **plan), self.ids).id
        self.people = {}
        self.sent = 0

    def says(self, name, meme, labels, **more):
        if name not in self.people:
            self.people[name] = self.store.add_annotator(name, session_id=self.session).id
        self.sent += 1
        replaces = more.pop("replaces", None)
        return self.store.record(
            self.people[name],
            self.ids[meme],
            Judgement(labels, **more),
            key=f"key-{self.sent}",
            replaces=replaces,
        )

    def suggest(self, meme, says):
        suggestion = {"model": "v1", "chances": {}, "says": says}
        self.store.set_ranks(self.session, {self.ids[meme]: Rank(suggestion=suggestion)})


@pytest.fixture
def room(store):
    return Room(store)


def test_agreement_counts_pairs_of_votes_on_the_same_meme(room, quality):
    for name in ("Ann", "Bob"):
        room.says(name, 0, YES)
        room.says(name, 1, NO)
    room.says("Ann", 2, YES)
    room.says("Bob", 2, NO)
    found = quality.agreement(room.session)["misogynous"]
    assert (found.memes, found.pairs) == (3, 3)
    assert found.observed.value == pytest.approx(2 / 3)
    assert quality.agreement(room.session)["violence"].alpha is None


def test_a_session_without_votes_has_no_figures(room, quality):
    assert quality.agreement(room.session)["misogynous"].observed is None
    assert quality.people(room.session) == []
    assert quality.disputed(room.session) == []
    assert quality.pull(room.session).switched["misogynous"] is None
    assert quality.targets(room.session, "majority").empty


def test_people_are_measured_on_gold_and_who_only_came_has_no_figures(store, room, quality):
    room.says("Ann", 0, YES, seconds=4.0)
    room.says("Bob", 0, NO)
    store.add_annotator("Eve", session_id=room.session)
    store.set_gold(room.session, room.ids[0], YES)
    found = {one.name: one_quality for one, one_quality in quality.people(room.session)}
    assert found["Ann"].gold.value == 1
    assert found["Ann"].median_seconds == 4.0
    assert found["Bob"].gold.count == 3  # of five labels two are wrong
    assert found["Eve"] is None


def test_who_is_left_out_counts_in_no_figure_and_comes_back(store, room, quality):
    room.says("Ann", 0, YES)
    room.says("Bob", 0, NO)
    store.set_excluded(room.people["Bob"], True)
    assert quality.agreement(room.session)["misogynous"].pairs == 0
    assert quality.targets(room.session, "majority").loc[room.ids[0], "misogynous"] == 1
    store.set_excluded(room.people["Bob"], False)
    assert quality.targets(room.session, "majority").loc[room.ids[0], "misogynous"] == 0.5


def test_a_change_to_the_models_answer_is_a_switch_and_a_vote_that_stands_is_none(store, quality):
    room = Room(store, suggestions=Suggestions.AFTER)
    for meme in (0, 1):
        room.suggest(meme, YES)
    blind = room.says("Ann", 0, NO)
    room.says("Ann", 0, YES, replaces=blind.id)
    room.says("Ann", 1, NO)
    pull = quality.pull(room.session)
    assert (pull.switched["misogynous"].count, pull.switched["misogynous"].n) == (1, 2)
    assert pull.switched["violence"] is None  # nobody differed from the model
    assert pull.shift["misogynous"] is None  # nothing was shown beforehand


def test_in_a_session_that_shows_nothing_nobody_can_switch(store, quality):
    room = Room(store, suggestions=Suggestions.NONE)
    room.suggest(0, YES)
    room.says("Ann", 0, NO)
    assert quality.pull(room.session).switched["misogynous"] is None


def test_the_shift_compares_memes_seen_with_and_without_the_answer(store, quality):
    room = Room(store, suggestions=Suggestions.MIXED)
    for meme in range(4):
        room.suggest(meme, YES)
    said = [room.says(name, meme, YES) for name in ("Ann", "Bob", "Eve") for meme in range(4)]
    before = sum(vote.seen.value == "before" for vote in said)
    assert 0 < before < len(said)
    assert quality.pull(room.session).shift["misogynous"].value == 0


@pytest.mark.parametrize("method", ["majority", "dawid-skene", "mace"])
def test_a_decision_counts_instead_of_the_votes(method, room, quality):
    for meme in (0, 1):
        room.says("Ann", meme, YES)
        room.says("Bob", meme, NO)
    quality.decide(room.session, room.ids[0], NO, note="", unclear=False, key="k" * 16)
    table = quality.targets(room.session, method)
    assert table.loc[room.ids[0], "misogynous"] == 0
    assert 0 <= table.loc[room.ids[1], "misogynous"] <= 1
    assert not np.isnan(table.loc[room.ids[1]]).any()


def test_an_unknown_method_is_named_with_those_there_are(room, quality):
    with pytest.raises(BadInput, match="'guess' is no way to aggregate; there are majority"):
        quality.targets(room.session, "guess")


def test_the_most_disputed_meme_comes_first_and_decided_ones_last(room, quality):
    for name, first, second in (("Ann", YES, YES), ("Bob", NO, YES), ("Eve", NO, NO)):
        room.says(name, 0, first)
        room.says(name, 1, second)
    room.says("Ann", 2, YES, note="unsure about the picture")
    room.says("Bob", 2, NO)
    assert [one.meme.id for one in quality.disputed(room.session)][0] == room.ids[2]
    quality.decide(room.session, room.ids[2], YES, note="", unclear=True, key="k" * 16)
    found = quality.disputed(room.session)
    assert found[-1].meme.id == room.ids[2]
    assert found[-1].decision.judgement.reason == GUIDELINE
    assert found[-1].votes[0].judgement.note == "unsure about the picture"
    assert [vote.kind for vote in found[-1].votes] == [VoteKind.VOTE] * 2


def test_a_decision_that_contradicts_itself_or_is_of_nothing_is_refused(room, quality):
    contradiction = {**NO, "violence": True}
    with pytest.raises(BadVote, match="'violence' is ticked"):
        quality.decide(
            room.session, room.ids[0], contradiction, note="", unclear=False, key="k" * 16
        )
    with pytest.raises(BadVote, match="501 characters"):
        quality.decide(room.session, room.ids[0], NO, note="n" * 501, unclear=False, key="k" * 16)
    with pytest.raises(NotFound, match="not in this session"):
        quality.decide(room.session, "0" * 64, NO, note="", unclear=False, key="k" * 16)
