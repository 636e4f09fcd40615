from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeEngines, draw_picture

from memeapp.errors import BadText, Mismatch
from memeapp.images import decode
from memeapp.labels import MAMI
from memeapp.service.classify import RECENT_PICTURES, Classifier
from memeapp.types import ModelVersion, TextSource


class FakeCheckpoint:
    """Says the same of every meme; its thresholds make the first three labels positive."""

    labels = MAMI.names
    thresholds = np.array([0.5, 0.4, 0.2, 0.9, 0.5])

    def predict(self, image, text):
        assert image.shape == (1, 3)
        assert text.shape == (1, 4)
        return np.array([[0.8, 0.4, 0.3, 0.3, 0.1]])

    def decide(self, probabilities):
        return probabilities >= self.thresholds


class FakeRegistry:
    """Two versions: `shipped-1` and, once promoted, another one."""

    def __init__(self, encoder="fake-1", labels=MAMI.names):
        self.shipped_version = ModelVersion(
            "shipped-1", "2026-01-01T00:00:00+00:00", "fake-1", labels, None, "best", {}
        )
        self.now = replace(self.shipped_version, encoder=encoder)
        self.loads = 0

    def current(self):
        return self.now

    def shipped(self):
        return self.shipped_version

    def stamp(self):
        return self.now.name

    def load(self, name):
        self.loads += 1
        if name == "damaged":
            raise Mismatch("damaged cannot be loaded")
        return FakeCheckpoint()


@pytest.fixture
def registry():
    return FakeRegistry()


@pytest.fixture
def classifier(store, registry, engines):
    return make(store, registry, engines)


def make(store, registry, engines):
    return Classifier(store, registry, engines, MAMI, max_text=100, holdout_share=0.2)


def test_a_given_text_is_used_and_ocr_is_not_asked(classifier, engines, picture):
    answer = classifier.classify(picture, "  a text  ")
    assert (answer.text, answer.text_source, answer.ocr) == ("a text", TextSource.GIVEN, None)
    assert engines.reader.reads == 0
    assert (answer.model, answer.encoder) == ("shipped-1", "fake-1")
    assert answer.seconds > 0


def test_the_decisions_follow_the_models_own_thresholds(classifier, picture):
    answer = classifier.classify(picture, "a text")
    assert [score.label for score in answer.scores] == list(MAMI.names)
    assert [score.positive for score in answer.scores] == [True, True, True, False, False]
    assert answer.score("shaming").probability == pytest.approx(0.4)


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_text_is_read_from_the_picture(classifier, engines, picture, text):
    answer = classifier.classify(picture, text)
    assert (answer.text, answer.text_source) == ("a line that was read", TextSource.OCR)
    assert answer.ocr == "fake-ocr"
    assert len(answer.lines) == 1
    assert engines.reader.reads == 1


def test_what_was_read_before_is_not_read_again_and_its_time_counts(classifier, engines, picture):
    reading = classifier.read_text(picture)
    answer = classifier.classify(picture, reading.text, reading=reading)
    assert answer.text_source is TextSource.OCR
    assert engines.reader.reads == 1
    assert answer.seconds > reading.seconds


def test_a_corrected_reading_counts_as_given(classifier, picture):
    reading = classifier.read_text(picture)
    answer = classifier.classify(picture, "a line that was corrected", reading=reading)
    assert (answer.text_source, answer.ocr, answer.lines) == (TextSource.GIVEN, None, ())


def test_nothing_is_stored_without_consent(classifier, store, picture):
    classifier.classify(picture, "a text")
    assert store.memes() == []
    assert not list(store.folder.rglob("*.jpg"))


def test_with_consent_picture_and_text_join_the_unlabelled_pool(classifier, store, picture):
    classifier.classify(picture, "", keep=True)
    (meme,) = store.memes(labelled=False)
    assert (meme.id, meme.text, meme.text_source) == (
        picture.id,
        "a line that was read",
        TextSource.OCR,
    )
    assert store.picture_path(meme.id).is_file()


def test_the_same_picture_is_encoded_once(classifier, engines, picture):
    classifier.classify(picture, "one text")
    classifier.classify(picture, "another text")
    assert engines.fake.pictures_seen == 1


def test_the_same_picture_is_read_once(classifier, engines, picture):
    assert classifier.classify(picture, "").text == classifier.classify(picture, "").text
    assert classifier.read_text(picture).text == engines.reader.text
    assert engines.reader.reads == 1


def test_only_the_pictures_used_last_are_remembered(classifier, engines):
    pictures = [decode(draw_picture(number, size=16)) for number in range(RECENT_PICTURES + 1)]
    for one in pictures:
        classifier.classify(one, "a text")
    classifier.classify(pictures[-1], "a text")
    assert engines.fake.pictures_seen == len(pictures)
    classifier.classify(pictures[0], "a text")
    assert engines.fake.pictures_seen == len(pictures) + 1


def test_a_text_that_is_too_long_is_refused_with_both_numbers(classifier, picture):
    with pytest.raises(BadText, match=r"101.*100"):
        classifier.classify(picture, "x" * 101)


def test_a_promoted_version_answers_the_next_request(classifier, registry, picture):
    classifier.classify(picture, "a text")
    classifier.classify(picture, "a text")
    assert registry.loads == 1
    registry.now = replace(registry.now, name="v0002")
    assert classifier.classify(picture, "a text").model == "v0002"
    assert registry.loads == 2


def test_a_version_whose_encoder_is_missing_hands_over_to_the_shipped_one(store, picture):
    registry = FakeRegistry(encoder="clip-1")
    registry.now = replace(registry.now, name="v0002")
    answer = make(store, registry, FakeEngines("fake-1")).classify(picture, "a text")
    assert (answer.model, answer.encoder) == ("shipped-1", "fake-1")
    assert any("v0002" in notice and "clip-1" in notice for notice in answer.notices)


def test_a_version_whose_files_are_damaged_hands_over_to_the_shipped_one(
    store, registry, engines, picture
):
    registry.now = replace(registry.now, name="damaged")
    answer = make(store, registry, engines).classify(picture, "a text")
    assert answer.model == "shipped-1"
    assert any("damaged" in notice for notice in answer.notices)


def test_the_page_is_told_when_no_version_knows_the_chosen_encoder(store, picture):
    registry = FakeRegistry(encoder="other-1")
    answer = make(store, registry, FakeEngines("fake-1", "other-1")).classify(picture, "a text")
    assert any("fake-1" in notice and "retrain" in notice for notice in answer.notices)


def test_a_version_with_other_labels_is_refused_with_both_schemas(store, engines, picture):
    registry = FakeRegistry(labels=("toxic", "insult"))
    with pytest.raises(Mismatch, match=r"toxic.*misogynous"):
        make(store, registry, engines).classify(picture, "a text")


def test_the_status_names_who_would_answer(classifier):
    status = classifier.status()
    assert (status.ocr, status.model) == ("fake-ocr", "shipped-1")


def test_many_threads_get_the_same_answer(classifier):
    pictures = [decode(draw_picture(number)) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: classifier.classify(one, "a text"), pictures * 4))
    assert {answer.model for answer in answers} == {"shipped-1"}
    assert len({tuple(answer.scores) for answer in answers}) == 1
