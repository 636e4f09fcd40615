from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import FakeEncoder, draw_picture

from memeapp.images import decode
from memeapp.labels import MAMI
from memeapp.service import neighbours
from memeapp.service.neighbours import Neighbours
from memeapp.types import TextSource

ENCODER = FakeEncoder()


class Memes:
    """Adds memes with features of the test's choice, and votes on them."""

    def __init__(self, store):
        self.store = store
        self.annotators = [
            store.named_annotator(name, "import").id for name in ("Ada", "Grace", "Mary")
        ]
        self.votes = 0

    def add(self, number, image, text=(1, 0, 0, 0), *, origin="import:a", held_out=False, **more):
        meme = self.store.add_meme(
            decode(draw_picture(number)),
            text=f"text {number}",
            text_source=TextSource.GIVEN,
            origin=origin,
            holdout_share=1.0 if held_out else 0.0,
        )
        if more.get("encoded", True):
            self.encode(meme, image, text)
        for yes in more.get("votes", (True,)):
            self.vote(meme.id, yes)
        return meme

    def encode(self, meme, image, text=(1, 0, 0, 0)):
        self.store.put_image_features("fake-1", {meme.id: np.array(image, np.float32)})
        self.store.put_text_features("fake-1", {meme.text: np.array(text, np.float32)})

    def vote(self, id, yes, annotator=None):
        self.votes += 1
        before = len(self.store.standing_votes([id]))
        self.store.import_vote(
            self.annotators[before],
            id,
            {label: yes and label in ("misogynous", "shaming") for label in MAMI.names},
            key=f"key {self.votes}",
        )


@pytest.fixture
def memes(store):
    return Memes(store)


def nearest(near, image, text=(1, 0, 0, 0), count=3):
    return near.nearest(np.array(image, np.float32), np.array(text, np.float32), MAMI.names, count)


def test_the_three_nearest_come_first_to_last_with_labels_and_text(store, memes):
    far = memes.add(1, (0, 0, 1), (0, 0, 0, 1))
    same = memes.add(2, (1, 0, 0))
    half = memes.add(3, (1, 0, 0), (0, 1, 0, 0), votes=(False,))
    close = memes.add(4, (1, 0.5, 0))
    found = nearest(Neighbours(store, ENCODER), (2, 0, 0))
    assert [meme.meme_id for meme in found] == [same.id, close.id, half.id]
    assert far.id not in {meme.meme_id for meme in found}
    assert found[0].similarity == pytest.approx(1)
    assert found[2].similarity == pytest.approx(0.5)
    assert found[0].text == "text 2"
    assert found[0].labels == dict(zip(MAMI.names, (1, 1, 0, 0, 0), strict=True))
    assert set(found[2].labels.values()) == {0}


def test_held_out_visitors_and_unlabelled_memes_are_never_shown(store, memes):
    memes.add(1, (1, 0, 0), held_out=True)
    memes.add(2, (1, 0, 0), origin="visitor")
    memes.add(3, (1, 0, 0), votes=())
    shown = memes.add(4, (0, 1, 0))
    assert [meme.meme_id for meme in nearest(Neighbours(store, ENCODER), (1, 0, 0))] == [shown.id]


def test_labels_are_those_of_now_and_new_memes_join_at_once(store, memes):
    first = memes.add(1, (1, 0, 0))
    near = Neighbours(store, ENCODER)
    assert nearest(near, (1, 0, 0))[0].labels["misogynous"] == 1
    memes.vote(first.id, False)
    second = memes.add(2, (1, 0.1, 0))
    found = nearest(near, (1, 0, 0))
    assert found[0].labels["misogynous"] == 0.5
    assert [meme.meme_id for meme in found] == [first.id, second.id]


def test_without_news_nothing_but_the_number_of_the_last_vote_is_read(store, memes, monkeypatch):
    memes.add(1, (1, 0, 0))
    near = Neighbours(store, ENCODER)
    near.grow()
    monkeypatch.setattr(store, "examples", pytest.fail)
    assert len(nearest(near, (1, 0, 0))) == 1


def test_memes_that_are_encoded_later_join_after_a_while(store, memes, monkeypatch):
    late = memes.add(1, (1, 0, 0), encoded=False)
    near = Neighbours(store, ENCODER)
    assert nearest(near, (1, 0, 0)) == ()
    memes.encode(late, (1, 0, 0))
    assert nearest(near, (1, 0, 0)) == ()
    monkeypatch.setattr(neighbours, "PATIENCE", 0)
    assert [meme.meme_id for meme in nearest(near, (1, 0, 0))] == [late.id]


def test_the_newest_memes_push_the_oldest_out(store, memes):
    memes.add(1, (1, 0, 0))
    near = Neighbours(store, ENCODER, most=3)
    kept = [memes.add(number, (0, 1, 0)).id for number in (2, 3, 4)]
    assert {meme.meme_id for meme in nearest(near, (1, 0, 0))} == set(kept)
    newest = memes.add(5, (1, 0, 0))
    found = nearest(near, (1, 0, 0))
    assert found[0].meme_id == newest.id
    assert {meme.meme_id for meme in found} == {*kept[1:], newest.id}


def test_a_text_that_says_nothing_leaves_the_picture_to_speak(store, memes):
    memes.add(1, (1, 0, 0), (0, 0, 0, 0))
    (found,) = nearest(Neighbours(store, ENCODER), (1, 0, 0), (0, 0, 0, 0))
    assert found.similarity == pytest.approx(0.5)


def test_many_threads_and_votes_at_once_lose_no_meme(store, memes):
    near = Neighbours(store, ENCODER)
    numbers = range(1, 13)

    def ask(_):
        return len(nearest(near, (1, 0, 0), count=99))

    with ThreadPoolExecutor(4) as pool:
        counts = pool.map(ask, range(40))
        for number in numbers:
            memes.add(number, (1, 0, 0))
        assert max(counts) <= len(numbers)
    assert ask(None) == len(numbers)
