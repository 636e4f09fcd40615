from types import SimpleNamespace

import numpy as np
import pytest
from conftest import FakeEngines, draw_picture

from memeapp.errors import Mismatch
from memeapp.images import decode
from memeapp.judging import Judgement, Plan
from memeapp.labels import MAMI
from memeapp.learn.data import FeatureSet
from memeapp.service.ranks import CANDIDATES, NUDITY, SPREAD_OUT, Ranking, _farthest_first, _ranks
from memeapp.store import Store
from memeapp.types import ModelVersion, TextSource

NO = dict.fromkeys(MAMI.names, False)
YES = {**NO, "misogynous": True, "violence": True}


class Scripted:
    """A checkpoint that says of each meme what it is told to, in the order they come."""

    labels = MAMI.names
    thresholds = np.full(5, 0.5)

    def __init__(self, *parent):
        self.parent = np.array(parent)

    def predict(self, image, text):
        chances = np.full((len(image), 5), 0.1)
        chances[:, 0] = self.parent[: len(image)]
        chances[:, 4] = np.where(chances[:, 0] > 0.5, 0.8, 0.1)
        return chances

    def decide(self, probabilities):
        return probabilities >= self.thresholds


class OneVersion:
    def __init__(self, checkpoint, labels=MAMI.names):
        self.version = ModelVersion("v1", "now", "fake-1", labels, None, "best", {})
        self.checkpoint = checkpoint

    def current(self):
        return self.version

    def load(self, name):
        assert name == "v1"
        return self.checkpoint


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


def fill(store, count, holdout_share=0.0):
    for number in range(count):
        store.add_meme(
            decode(draw_picture(number)),
            text=f"text {number}",
            text_source=TextSource.GIVEN,
            origin="import:test",
            holdout_share=holdout_share,
        )
    return [meme.id for meme in store.memes()]


def silent(stage, done):
    pass


def queue(store, session, column):
    rows = store._db.execute(
        f"SELECT meme_id FROM session_memes WHERE session_id = ? AND {column} IS NOT NULL"
        f" ORDER BY {column}",
        [session.id],
    )
    return [meme_id for (meme_id,) in rows]


def ranking(store, checkpoint, **more):
    return Ranking(store, OneVersion(checkpoint, **more), FakeEngines(), MAMI)


def test_the_least_sure_meme_comes_first(store):
    ids = fill(store, 3)
    session = store.add_session(Plan("Monday"), ids)
    assert ranking(store, Scripted(0.95, 0.55, 0.02)).rank(session.id, silent) == 3
    assert queue(store, session, "uncertain")[0] == ids[1]


def test_held_out_memes_are_judged_but_never_because_the_model_is_unsure(store):
    ids = fill(store, 3, holdout_share=0.999)
    session = store.add_session(Plan("Monday"), ids)
    ranking(store, Scripted(0.5, 0.5, 0.5)).rank(session.id, silent)
    assert queue(store, session, "uncertain") == []
    assert len(queue(store, session, "random")) == 3


def test_what_people_and_model_disagree_on_most_is_asked_again_first(store):
    ids = fill(store, 3)
    people = store.named_annotator("data", "import")
    store.import_vote(people.id, ids[0], YES, key="a")
    store.import_vote(people.id, ids[1], NO, key="b")
    session = store.add_session(Plan("Monday"), ids)
    ranking(store, Scripted(0.9, 0.9, 0.9)).rank(session.id, silent)
    assert queue(store, session, "relabel") == [ids[1], ids[0]]


def test_the_models_answer_severity_and_kinds_are_kept_with_each_meme(store):
    ids = fill(store, 2)
    session = store.add_session(Plan("Monday"), ids)
    ranking(store, Scripted(0.9, 0.1)).rank(session.id, silent)
    me = store.add_annotator("Ann", session_id=session.id)
    store.record(me.id, ids[0], Judgement(NO), key="k")
    severe = store.card_of(store.last_votes(me.id)[0])
    assert severe.suggestion["model"] == "v1"
    assert severe.suggestion["says"] == YES
    assert severe.suggestion["chances"]["misogynous"] == 0.9
    assert severe.severity > 0.5
    opted_out = store.next_cards(me.id, "tab-00000001", avoided=1 << 4)
    assert [card.meme.id for card in opted_out] == [ids[1]]
    assert opted_out[0].severity < 0.2


def test_a_nude_picture_is_severe_and_has_its_own_bit():
    rows = features(2)
    memes = [SimpleNamespace(id=id, held_out=False) for id in rows.ids]
    ranks = _ranks("v1", Scripted(0.1, 0.1), rows, memes, np.array([0.9, 0.2]))
    assert ranks["meme-0"].kinds == NUDITY
    assert ranks["meme-0"].severity == pytest.approx(0.9)
    assert ranks["meme-1"].kinds == 0


def test_a_version_of_other_labels_ranks_nothing_and_the_session_stays(store):
    ids = fill(store, 2)
    session = store.add_session(Plan("Monday"), ids)
    other = ranking(store, Scripted(0.9, 0.9), labels=("toxic", "rude"))
    with pytest.raises(Mismatch, match="toxic"):
        other.rank(session.id, silent)
    assert other.rank_open(silent) == 0
    assert len(queue(store, session, "random")) == 2


def test_only_open_sessions_are_ranked(store):
    ids = fill(store, 2)
    store.close_session(store.add_session(Plan("Monday"), ids).id)
    still_open = store.add_session(Plan("Tuesday"), ids)
    assert ranking(store, Scripted(0.9, 0.9)).rank_open(silent) == 2
    assert len(queue(store, still_open, "uncertain")) == 2


def features(count, judged=(), width=6, rng=None):
    rng = rng or np.random.default_rng(0)
    targets = np.full((count, 5), np.nan, np.float32)
    targets[list(judged)] = 0
    return FeatureSet(
        ids=tuple(f"meme-{number}" for number in range(count)),
        image=rng.normal(size=(count, width)).astype(np.float32),
        text=rng.normal(size=(count, width)).astype(np.float32),
        targets=targets,
        labels=MAMI.names,
    )


def test_each_meme_is_the_farthest_from_those_before_it_and_from_the_labelled():
    rows = features(40, judged=range(10))
    joined = np.concatenate([rows.image, rows.text], axis=1)
    for half in (slice(0, 6), slice(6, 12)):
        joined[:, half] /= np.linalg.norm(joined[:, half], axis=1, keepdims=True)
    chosen = _farthest_first(rows)
    assert sorted(chosen) == list(range(10, 40))
    for place, at in enumerate(chosen):
        before = [*range(10), *chosen[:place]]
        nearest = (joined[chosen[place:]] @ joined[before].T).max(axis=1)
        assert nearest[0] <= nearest.min() + 1e-5, at


def test_of_many_memes_some_are_chosen_and_of_none_none():
    many = features(CANDIDATES + 100)
    chosen = _farthest_first(many)
    assert len(set(chosen)) == len(chosen) == SPREAD_OUT
    assert _farthest_first(features(3, judged=range(3))) == []
