"""Encoding a corpus: bounded memory, resumed where it stopped, told with its speed."""

import weakref

import pytest
from conftest import FakeEncoder, FakeOcr, draw_picture

from memeapp.errors import Cancelled
from memeapp.images import decode
from memeapp.service import encoding
from memeapp.service import features as module
from memeapp.service.features import BATCH, in_words, prepare
from memeapp.types import TextSource

COUNT = 3 * BATCH + 4


@pytest.fixture
def memes(store):
    """100 memes with a text, one more without."""
    for number in range(COUNT + 1):
        store.add_meme(
            decode(draw_picture(number, size=16)),
            text=f"text {number}" if number < COUNT else "",
            text_source=TextSource.GIVEN if number < COUNT else TextSource.NONE,
            origin="test",
            holdout_share=0.0,
        )
    return store.memes()


def run(store, memes, encoder, report=lambda stage, done: None):
    return prepare(store, memes, encoder, FakeOcr, report)


def test_pictures_in_memory_are_bounded_by_the_batch_and_not_by_the_corpus(
    store, memes, monkeypatch
):
    alive, most, opened, batches = set(), 0, 0, []
    really_open = encoding._open

    def open_and_watch(data):
        nonlocal most, opened
        picture = really_open(data)
        key = opened
        alive.add(key)
        weakref.finalize(picture, alive.discard, key)
        opened += 1
        most = max(most, len(alive))
        return picture

    class Watching(FakeEncoder):
        batch = BATCH

        def encode_images(self, pictures):
            batches.append(len(pictures))
            return super().encode_images(pictures)

    monkeypatch.setattr(encoding, "_open", open_and_watch)
    run(store, memes, Watching())
    assert opened == len(memes) + 1  # one was opened for OCR too
    assert most == max(batches) == BATCH < len(memes)


def test_what_was_encoded_before_a_stop_is_not_encoded_again(store, memes):
    encoder = FakeEncoder()

    def stop(stage, done):
        if stage.startswith(f"Encoding pictures: {2 * BATCH}"):
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        run(store, memes, encoder, stop)
    assert encoder.pictures_seen == 2 * BATCH
    _, encoded = run(store, memes, encoder)
    assert encoded == len(memes) - 2 * BATCH
    assert encoder.pictures_seen == len(memes)
    assert store.without_image_features("fake-1", [meme.id for meme in memes]) == []


def test_the_progress_tells_how_many_how_fast_and_how_long(store, memes, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    told = []
    run(store, memes[:BATCH], FakeEncoder())
    run(store, memes, FakeEncoder(), lambda stage, done: told.append(stage))
    pictures = [stage for stage in told if stage.startswith("Encoding pictures")]
    assert pictures == [
        "Encoding pictures: 32 of 101",  # there before: no speed is known yet
        "Encoding pictures: 64 of 101, 32 memes/s, about 2 s left",
        "Encoding pictures: 96 of 101, 32 memes/s, about 1 s left",
        "Encoding pictures: 101 of 101",
    ]
    assert "Reading texts: 0 of 1" in told
    assert "Encoding texts: 32 of 101" in told


def test_progress_never_falls(store, memes):
    told = []
    run(store, memes, FakeEncoder(), lambda stage, done: told.append(done))
    assert told == sorted(told)
    assert 0 <= told[0] <= told[-1] <= 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (9000, "2.5 h")],
)
def test_a_stretch_of_time_is_told_as_people_say_it(seconds, words):
    assert in_words(seconds) == words


def test_the_encoders_that_were_used_here_are_known(store, memes):
    assert store.encoders() == []
    for id in ("b", "a", "c"):
        run(store, memes[:2], FakeEncoder(id))
    assert store.encoders() == ["a", "b", "c"]
