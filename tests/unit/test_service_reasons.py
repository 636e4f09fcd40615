import numpy as np
import pytest

from memeapp.encoders.base import Encoder
from memeapp.labels import MAMI
from memeapp.service import reasons
from memeapp.service.reasons import Reasoner, split_into_parts

GREY = np.array([0.5, 0.5, 0.5], np.float32)


class WordEncoder(Encoder):
    """Counts four words in a text, and the texts it sees."""

    id = "words-1"
    image_width = 3
    text_width = 4
    words = ("kitchen", "engine", "red", "belongs")

    def __init__(self):
        self.batches = []

    def encode_images(self, pictures):
        raise NotImplementedError

    def encode_texts(self, texts):
        self.batches.append(list(texts))
        rows = [[text.casefold().split().count(word) for word in self.words] for text in texts]
        return np.array(rows, np.float32)


class LinearCheckpoint:
    """Log-odds linear in the features, so that every effect is known."""

    labels = MAMI.names
    thresholds = np.full(5, 0.5)
    means = GREY, np.array([0.5, 0.5, 0.5, 0.5], np.float32)
    far = (False, False)

    def __init__(self):
        self.image = np.zeros((3, 5))
        self.text = np.zeros((4, 5))
        self.batches = 0

    def predict(self, image, text):
        self.batches += 1
        return 1 / (1 + np.exp(-(image @ self.image + text @ self.text)))

    def unlike(self, image, text):
        return np.array([self.far])


@pytest.fixture
def encoder():
    return WordEncoder()


@pytest.fixture
def checkpoint():
    return LinearCheckpoint()


@pytest.fixture
def explain(store, encoder, checkpoint):
    reasoner = Reasoner(store)

    def explain(text, image=GREY, encoded_in=1e-4):
        row = encoder.encode_texts([text])[0]
        encoder.batches.clear()
        return reasoner.explain(checkpoint, encoder, image, row, text, encoded_in=encoded_in)

    return explain


def test_picture_and_text_move_each_label_by_what_sets_them_apart_from_the_average(
    explain, checkpoint
):
    checkpoint.image[0] = [2, -1, 0, 0, 0]
    checkpoint.text[0] = [3, 0, -4, 0, 0]
    found = explain("the kitchen", image=np.array([1, 0.5, 0.5], np.float32))
    assert [effect.label for effect in found.modality] == list(MAMI.names)
    assert [effect.image for effect in found.modality] == pytest.approx([1, -0.5, 0, 0, 0])
    assert [effect.text for effect in found.modality] == pytest.approx([1.5, 0, -2, 0, 0])


def test_the_average_picture_and_text_move_nothing(explain, checkpoint):
    checkpoint.image[:] = checkpoint.text[:] = 1
    checkpoint.means = GREY, np.array([1, 0, 0, 0], np.float32)
    assert {(effect.image, effect.text) for effect in explain("kitchen").modality} == {(0.0, 0.0)}


def test_the_planted_word_is_found_with_its_sign(explain, checkpoint):
    checkpoint.text[:, 0] = [1.5, -0.75, 0, 0]
    found = explain("She took the Kitchen engine of a friend")
    assert [(word.word, word.label) for word in found.words] == [
        ("Kitchen", "misogynous"),
        ("engine", "misogynous"),
    ]
    assert [word.effect for word in found.words] == pytest.approx([1.5, -0.75])


def test_words_are_told_of_the_parent_and_of_the_kind_that_is_most_of_all_a_yes(
    explain, checkpoint
):
    checkpoint.text[3] = [1, 0.2, 2, 0.4, 0]
    checkpoint.thresholds = np.array([0.5, 0.5, 0.9, 0.9, 0.9])
    found = explain("belongs here")
    assert found.about == ("misogynous", "shaming")
    checkpoint.thresholds = np.array([0.5, 0.5, 0.5, 0.9, 0.9])
    found = explain("belongs here")
    assert found.about == ("misogynous", "stereotype")
    assert [(word.word, word.label) for word in found.words] == [
        ("belongs", "misogynous"),
        ("belongs", "stereotype"),
    ]


def test_no_label_gets_more_words_than_the_largest_five(explain, checkpoint, encoder):
    encoder.words, encoder.text_width = tuple("abcdefg"), 7
    checkpoint.text = np.zeros((7, 5))
    checkpoint.text[:, 0] = [1, -7, 3, -4, 5, 6, 0.5]
    checkpoint.means = GREY, np.zeros(7, np.float32)
    assert [word.word for word in explain("a b c d e f g").words] == ["b", "f", "e", "d", "c"]


def test_a_word_that_comes_twice_is_left_out_twice(explain, checkpoint, encoder):
    checkpoint.text[0, 0] = 1
    (word,) = explain("kitchen or KITCHEN!").words[:1]
    assert encoder.batches == [["or", "kitchen KITCHEN!"]]
    assert word.word == "kitchen"


def test_one_batch_of_texts_and_one_of_predictions_do(explain, checkpoint, encoder):
    explain("one two three four five")
    assert [len(batch) for batch in encoder.batches] == [5]
    assert checkpoint.batches == 1


def test_a_long_text_is_left_out_in_runs_of_words_so_that_the_number_is_bounded(
    explain, checkpoint, encoder
):
    checkpoint.text[0, 0] = 2
    words = [f"word{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(100)]
    words[50] = "kitchen"
    found = explain(" ".join(words))
    assert [len(batch) for batch in encoder.batches] == [reasons.MOST_PARTS]
    (word,) = found.words
    assert "kitchen" in word.word.split()
    assert len(word.word.split()) <= 5


def test_a_slow_encoder_is_asked_for_fewer_texts_of_longer_parts(explain, encoder):
    explain("one two three four five six", encoded_in=reasons.WORD_SECONDS / 3.5)
    assert encoder.batches == [
        ["three four five six", "one two five six", "one two three four"],
    ]


@pytest.mark.parametrize("text", ["", "kitchen", "kitchen KITCHEN, kitchen", "!? ..."])
def test_a_text_without_two_words_names_none_and_encodes_nothing(explain, encoder, text):
    assert explain(text).words == ()
    assert encoder.batches == []


def test_an_encoder_too_slow_for_two_texts_is_asked_for_none(explain, encoder):
    found = explain("one two three", encoded_in=reasons.WORD_SECONDS)
    assert found.words == ()
    assert encoder.batches == []
    assert len(found.modality) == 5


@pytest.mark.parametrize(
    ("far", "names"),
    [
        ((False, False), ()),
        ((True, False), ("picture",)),
        ((False, True), ("text",)),
        ((True, True), ("picture", "text")),
    ],
)
def test_what_is_unlike_the_training_memes_is_named(explain, checkpoint, far, names):
    checkpoint.far = far
    assert explain("a text").unlike == names
    assert "text" not in explain(" ").unlike


def test_without_labelled_memes_there_are_no_neighbours(explain):
    assert explain("a text").neighbours == ()


def test_certain_answers_have_finite_effects(explain, checkpoint):
    checkpoint.text[0, 0] = 1e6
    with np.errstate(over="ignore"):
        found = explain("the kitchen")
    assert np.isfinite(found.modality[0].text)
    assert found.words[0].word == "kitchen"


def test_words_in_other_scripts_are_words_too():
    assert [part for part, _ in split_into_parts("слово дома 言葉", 24)] == [
        "слово",
        "дома",
        "言葉",
    ]


def test_parts_cover_the_text_in_order_and_every_rest_is_the_text_without_its_part():
    text = " ".join(f"{letter}{letter}" for letter in "abcdefghij")
    parts = split_into_parts(text, 4)
    assert len(parts) == 4
    assert " ".join(part for part, _ in parts) == text
    for part, rest in parts:
        assert sorted([*part.split(), *rest.split()]) == text.split()
