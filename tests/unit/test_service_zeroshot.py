"""CLIP's first answer from prompts, and when it is given."""

from math import exp

import numpy as np
import pytest
import torch
from conftest import FakeEncoder, FakeEngines, write_tiny_clip
from test_service_classify import FakeCheckpoint

from memeapp.encoders import OpenClipEncoder
from memeapp.errors import Mismatch, NotFound
from memeapp.labels import MAMI, Label, LabelSchema
from memeapp.service.classify import Classifier
from memeapp.service.zeroshot import NAME, PROMPTS, ZeroShot, find_zero_shot, prompts_for
from memeapp.types import ModelVersion

OTHER = LabelSchema(Label("toxic", "Toxic", "Meant to hurt."), (Label("insult", "Insult"),))
FOR, AGAINST = np.float32([1, 0]), np.float32([0, 1])


class HandClip(FakeEncoder):
    """Prompts that speak for a label point one way, those against it another, "" between them."""

    image_width = text_width = 2
    logit_scale = 2.0

    def __init__(self):
        super().__init__("clip-1")
        self.against = {pair[1] for label in MAMI.labels for pair in prompts_for(label)}
        self.against |= {pair[1] for label in OTHER.labels for pair in prompts_for(label)}

    def encode_images(self, pictures):
        return np.tile(FOR * 7, (len(pictures), 1))

    def encode_texts(self, texts):
        rows = [
            FOR + AGAINST if not text else AGAINST if text in self.against else FOR
            for text in texts
        ]
        return np.array(rows).reshape(-1, 2) * np.float32(3)


def sigmoid(margin):
    return 1 / (1 + exp(-margin))


def test_the_answer_is_the_softmax_over_each_pair_at_clips_own_scale():
    zero_shot = ZeroShot(HandClip(), MAMI)
    nothing = (FOR + AGAINST)[None] * 3
    for picture, margin in ((FOR, 1), (AGAINST, -1), (FOR + AGAINST, 0)):
        answer = zero_shot.predict(picture[None] * 5, nothing)
        assert answer == pytest.approx(np.full((1, 5), sigmoid(2.0 * margin)))


def test_picture_and_text_count_alike_and_a_text_that_says_nothing_does_not_count():
    zero_shot = ZeroShot(HandClip(), MAMI)
    assert zero_shot.predict(FOR[None], AGAINST[None]) == pytest.approx(np.full((1, 5), 0.5))
    both = zero_shot.predict(FOR[None], FOR[None])
    assert both == pytest.approx(np.full((1, 5), sigmoid(2.0)))


def test_it_agrees_with_open_clips_own_forward_pass(tmp_path, picture):
    encoder = OpenClipEncoder(f"local-dir:{write_tiny_clip(tmp_path, seed=3)}")
    image = encoder.encode_images([picture.image])
    answer = ZeroShot(encoder, MAMI).predict(image, encoder.encode_texts([""]))
    model = encoder._model.eval()
    pixels = encoder._preprocess(picture.image)[None]
    for label, chance in zip(MAMI.names, answer[0], strict=True):
        shares = []
        for pair in PROMPTS[label]:
            with torch.inference_mode():
                seen, read, scale = model(pixels, encoder._tokenize(list(pair)))
                shares.append((scale * seen @ read.T).softmax(-1)[0, 0].item())
        assert chance == pytest.approx(np.mean(shares), abs=1e-5)


def test_a_kind_holds_only_if_the_parent_does():
    class Torn(HandClip):
        def encode_texts(self, texts):
            rows = super().encode_texts(texts)
            first = PROMPTS[MAMI.parent.name]
            for row, text in zip(rows, texts, strict=True):
                if any(text in pair for pair in first):
                    row[:] = row[::-1]
            return rows

    scores = ZeroShot(Torn(), MAMI).scores(FOR, FOR)
    assert scores[0].probability < 0.5 < scores[1].probability
    assert not any(score.positive for score in scores)
    assert all(score.positive for score in ZeroShot(HandClip(), MAMI).scores(FOR, FOR))


def test_every_schema_has_prompts_that_tell_for_from_against():
    for schema in (MAMI, OTHER):
        for label in schema.labels:
            pairs = prompts_for(label)
            assert pairs
            assert all(yes != no for yes, no in pairs)
    toxic = [yes for yes, _ in prompts_for(OTHER.parent)]
    assert toxic == ["a meme that is an example of Toxic", "Meant to hurt."]
    assert prompts_for(Label("violence", "Violence", "Of any kind.")) != PROMPTS["violence"]


def test_an_encoder_that_is_no_clip_cannot_answer():
    with pytest.raises(ValueError, match="fake-1"):
        ZeroShot(FakeEncoder(), MAMI)


class AnyWidth(FakeCheckpoint):
    def predict(self, image, text):
        return np.tile(self.answer, (len(image), 1))


class FakeRegistry:
    """One version, the shipped one, on the encoder `fake-1`; others as a test adds them."""

    def __init__(self, labels=MAMI.names):
        self.all = [ModelVersion("shipped-1", "now", "fake-1", labels, None, "best", {})]

    def versions(self):
        return self.all

    def shipped(self):
        if not self.all:
            raise NotFound("There is no version.")
        return self.all[-1]

    current = shipped

    def stamp(self):
        return len(self.all)

    def load(self, name):
        return AnyWidth()


@pytest.fixture
def engines():
    engines = FakeEngines("clip-1", "fake-1")
    engines.fake = engines.fakes["clip-1"] = HandClip()
    return engines


def classifier(store, registry, engines, schema=MAMI):
    return Classifier(store, registry, engines, schema, max_text=100, holdout_share=0.2)


def test_before_labels_clips_answer_stands_beside_that_of_the_shipped_version(
    store, engines, picture
):
    answer = classifier(store, FakeRegistry(), engines).classify(picture, "a text", reasons=False)
    assert (answer.model, answer.encoder) == ("shipped-1", "fake-1")
    assert answer.scores[0].probability == pytest.approx(0.8)
    assert [score.label for score in answer.zero_shot] == list(MAMI.names)
    assert answer.zero_shot[0].probability == pytest.approx(sigmoid(2.0))
    assert any("clip-1" in told and "shipped-1" in told for told in answer.notices)


@pytest.mark.parametrize("broken", ["none at all", "other labels"])
def test_where_no_version_can_answer_clip_answers_alone_and_says_so(
    store, engines, picture, broken
):
    registry = FakeRegistry()
    if broken == "none at all":
        registry.all.clear()
    schema = OTHER if broken == "other labels" else MAMI
    classify = classifier(store, registry, engines, schema)
    answer = classify.classify(picture, "a text", reasons=False)
    assert (answer.model, answer.encoder, answer.zero_shot) == (NAME, "clip-1", None)
    assert [score.label for score in answer.scores] == list(schema.names)
    assert any("uncalibrated, no labels used" in told for told in answer.notices)
    assert classify.status().model == NAME


def test_once_a_version_is_trained_on_the_encoder_there_is_no_zero_shot(store, engines, picture):
    registry = FakeRegistry()
    classify = classifier(store, registry, engines)
    assert classify.classify(picture, "a text", reasons=False).zero_shot is not None
    registry.all.append(ModelVersion("v0002", "now", "clip-1", MAMI.names, "shipped-1", "best", {}))
    answer = classify.classify(picture, "a text", reasons=False)
    assert (answer.model, answer.zero_shot, answer.notices) == ("v0002", None, ())


def test_an_admin_who_went_back_to_another_encoder_is_told_nothing(store, engines, picture):
    registry = FakeRegistry()
    registry.all.insert(0, ModelVersion("v0002", "now", "clip-1", MAMI.names, None, "best", {}))
    answer = classifier(store, registry, engines).classify(picture, "a text", reasons=False)
    assert (answer.model, answer.zero_shot, answer.notices) == ("shipped-1", None, ())


def test_without_clip_and_without_a_version_the_error_stays(store, picture):
    registry = FakeRegistry(labels=("other", "labels"))
    with pytest.raises(Mismatch):
        classifier(store, registry, FakeEngines("fake-1")).classify(
            picture, "a text", reasons=False
        )


def test_a_version_on_clip_with_other_labels_does_not_count(engines):
    registry = FakeRegistry()
    registry.all.append(ModelVersion("v0002", "now", "clip-1", ("x", "y"), None, "best", {}))
    assert find_zero_shot(engines, registry, MAMI) is not None
    assert find_zero_shot(FakeEngines("fake-1"), registry, MAMI) is None
