from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeEngines, draw_picture

from memeapp.errors import BadText, Mismatch
from memeapp.images import decode
from memeapp.labels import MAMI
from memeapp.learn.calibration import Band
from memeapp.learn.recipe import BEST
from memeapp.service.classify import RECENT_PICTURES, Classifier
from memeapp.types import AbstainBand, ModelVersion, TextSource


class FakeCheckpoint:
    """Says the same of every meme; its thresholds make the first three labels positive."""

    labels = MAMI.names
    recipe = BEST
    thresholds = np.array([0.5, 0.4, 0.2, 0.9, 0.5])
    means = np.zeros(3), np.zeros(4)
    answer = np.array([0.8, 0.4, 0.3, 0.3, 0.1])
    in_band = np.zeros(5, dtype=bool)
    bands = (Band(0.4, 0.6, 0.2, 0.1, 0.15),) * 5

    def predict(self, image, text):
        assert image.shape[1:] == (3,)
        assert text.shape[1:] == (4,)
        return np.tile(self.answer, (len(image), 1))

    def decide(self, probabilities):
        return probabilities >= self.thresholds

    def unsure(self, probabilities):
        return np.tile(self.in_band, (len(probabilities), 1))

    def unlike(self, image, text):
        return np.zeros((len(image), 2), dtype=bool)


class FakeRegistry:
    """Two versions: `shipped-1` and, once promoted, another one."""

    def __init__(self, encoder="fake-1", labels=MAMI.names):
        self.shipped_version = ModelVersion(
            "shipped-1", "2026-01-01T00:00:00+00:00", "fake-1", labels, None, "best", {}
        )
        self.now = replace(self.shipped_version, encoder=encoder)
        self.loads = 0
        self.checkpoint = FakeCheckpoint()

    def current(self):
        return self.now

    def shipped(self):
        return self.shipped_version

    def versions(self):
        return [self.now]

    def stamp(self):
        return self.now.name

    def load(self, name):
        self.loads += 1
        if name == "damaged":
            raise Mismatch("damaged cannot be loaded")
        return self.checkpoint


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


@pytest.mark.parametrize(
    ("parent", "parent_in_band", "kind", "kind_in_band", "unsure"),
    [
        (0.8, False, 0.3, True, True),
        (0.8, False, 0.3, False, False),
        (0.55, True, 0.3, True, True),
        (0.55, True, 0.7, False, True),
        (0.45, True, 0.1, False, False),
        (0.1, False, 0.3, True, False),
        (0.1, False, 0.7, False, False),
    ],
)
def test_a_kind_is_no_surer_than_its_parent_and_a_sure_no_where_that_is_one(
    classifier, registry, picture, parent, parent_in_band, kind, kind_in_band, unsure
):
    registry.checkpoint.answer = np.array([parent, kind, 0, 0, 0])
    registry.checkpoint.in_band = np.array([parent_in_band, kind_in_band, False, False, False])
    registry.checkpoint.thresholds = np.array([0.5, 0.4, 0.5, 0.5, 0.5])
    answer = classifier.classify(picture, "a text")
    assert answer.score("misogynous").unsure is parent_in_band
    assert answer.score("shaming").unsure is unsure


def test_without_a_parent_label_to_go_first_a_kind_is_unsure_by_itself(
    classifier, registry, picture
):
    registry.checkpoint.recipe = replace(BEST, parent_first=False)
    registry.checkpoint.answer = np.array([0.1, 0.3, 0, 0, 0])
    registry.checkpoint.in_band = np.array([False, True, False, False, False])
    assert classifier.classify(picture, "a text").score("shaming").unsure


def test_the_band_of_each_label_comes_along_where_it_was_measured(classifier, registry, picture):
    answer = classifier.classify(picture, "a text")
    assert {score.band for score in answer.scores} == {AbstainBand(0.4, 0.6, 0.2, 0.1, 0.15)}
    unknown = Band(0.5, 0.5, 0.0, float("nan"), float("nan"))
    registry.checkpoint.bands = (unknown,) * 5
    assert {score.band for score in classifier.classify(picture, "a text").scores} == {None}


def test_reasons_are_given_unless_they_are_not_wanted(classifier, picture):
    given = classifier.classify(picture, "a text").reasons
    assert [effect.label for effect in given.modality] == list(MAMI.names)
    assert given.seconds > 0
    assert classifier.classify(picture, "a text", reasons=False).reasons is None


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
