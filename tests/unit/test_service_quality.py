import pytest
from conftest import draw_picture

from memeapp.errors import BadVote, NotFound
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
    found = quality.figures(room.session).agreement["misogynous"]
    assert (found.memes, found.pairs) == (3, 3)
    assert found.observed.value == pytest.approx(2 / 3)
    assert quality.figures(room.session).agreement["violence"].alpha is None


def test_a_session_without_votes_has_no_figures(room, quality):
    assert quality.figures(room.session).agreement["misogynous"].observed is None
    assert quality.figures(room.session).people == []
    assert quality.figures(room.session).effective == {}
    assert quality.warnings(room.session) == {}
    assert quality.disputed(room.session) == []
    assert quality.pull(room.session).switched["misogynous"] is None


def test_people_are_measured_on_gold_and_who_only_came_has_no_figures(store, room, quality):
    room.says("Ann", 0, YES, seconds=4.0)
    room.says("Bob", 0, NO)
    store.add_annotator("Eve", session_id=room.session)
    store.set_gold(room.session, room.ids[0], YES)
    found = {one.name: one_quality for one, one_quality in quality.figures(room.session).people}
    assert found["Ann"].gold.value == 1
    assert found["Ann"].median_seconds == 4.0
    assert found["Bob"].gold.count == 3  # of five labels two are wrong
    assert found["Eve"] is None


def test_who_is_left_out_counts_in_no_figure_and_comes_back(store, room, quality):
    room.says("Ann", 0, YES)
    room.says("Bob", 0, NO)
    store.set_excluded(room.people["Bob"], True)
    assert quality.figures(room.session).agreement["misogynous"].pairs == 0
    assert quality.figures(room.session).effective["misogynous"] == 1
    store.set_excluded(room.people["Bob"], False)
    assert quality.figures(room.session).agreement["misogynous"].pairs == 1


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


def test_the_votes_are_read_once_for_all_figures(store, room, quality, monkeypatch):
    for name in ("Ann", "Bob"):
        room.says(name, 0, YES)
    reads = []
    monkeypatch.setattr(
        store,
        "standing_votes",
        lambda *a, **k: reads.append(k) or Store.standing_votes(store, *a, **k),
    )
    figures = quality.figures(room.session)
    assert figures.effective["misogynous"] == 1
    assert len(figures.people) == 2
    assert reads == [{"session_id": room.session, "blind": True}]


def test_who_is_mostly_wrong_on_known_answers_is_worth_a_word(store, room, quality):
    for meme in range(4):
        store.set_gold(room.session, room.ids[meme], YES)
        room.says("Ann", meme, YES)
        room.says("Bob", meme, NO)
    store.add_annotator("Eve", session_id=room.session)
    warnings = quality.warnings(room.session)
    assert set(warnings) == {room.people["Bob"]}
    assert warnings[room.people["Bob"]].startswith("12 of 20 answers")
    assert all(len(words) <= 300 for words in warnings.values())


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
