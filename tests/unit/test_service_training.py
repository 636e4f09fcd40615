from dataclasses import replace

import pytest
from conftest import FakeEngines, draw_picture

from memeapp.errors import Cancelled, Mismatch, NotFound, TooFewLabels, Unavailable
from memeapp.images import decode
from memeapp.labels import MAMI, Label, LabelSchema
from memeapp.learn.train import BEST
from memeapp.registry import Registry
from memeapp.service import training as module
from memeapp.service.evaluation import Evaluation
from memeapp.service.training import MINIMUM_ROWS, Training
from memeapp.types import TextSource


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "shipped", tmp_path / "data" / "models")


@pytest.fixture
def training(store, registry, engines):
    return make(store, registry, engines, MAMI)


def make(store, registry, engines, schema):
    evaluation = Evaluation(store, registry, engines, schema, max_upload_mb=20)
    return Training(store, registry, engines, schema, evaluation)


@pytest.fixture
def evaluation(store, registry, engines):
    return Evaluation(store, registry, engines, MAMI, max_upload_mb=20)


QUICK = replace(
    BEST,
    folds=2,
    autoencoder=replace(BEST.autoencoder, epochs=2),
    classifier=replace(BEST.classifier, epochs=10),
)


def train(training, report=None, **choices):
    trained = training.train(report or silent, recipe=QUICK, **choices)
    training.promote(trained.version.name)
    return trained


def silent(stage, done):
    pass


def fill(store, labelled, unlabelled=5, holdout_share=0.25, first=0):
    """Memes whose text decides: "kitchen" is a misogynous stereotype, "engine" is harmless."""
    annotator = store.named_annotator("corpus", "import")
    for number in range(first, first + labelled + unlabelled):
        positive = number % 2 == 0
        meme = store.add_meme(
            decode(draw_picture(number)),
            text=f"{'kitchen' if positive else 'engine'} number {number}",
            text_source=TextSource.GIVEN,
            origin="test",
            holdout_share=holdout_share,
        )
        if number < first + labelled:
            store.import_vote(
                annotator.id,
                meme.id,
                {"misogynous": positive, "stereotype": positive, "shaming": False},
                key=str(number),
            )


def test_a_retrain_makes_a_version_that_answers_and_is_measured(store, registry, training):
    fill(store, labelled=80)
    trained = train(training)
    assert registry.current().name == trained.version.name
    assert trained.metrics.task_a.value > 0.9
    data = trained.version.data
    counts = training.counts()
    assert data["labelled"] == counts.labelled - counts.held_out_labelled
    assert data["held_out_labelled"] == trained.metrics.rows == counts.held_out_labelled > 0
    assert data["labelled"] + data["unlabelled"] == counts.memes - counts.held_out
    assert trained.version.encoder == "fake-1"
    assert trained.version.metrics["task_a"]["value"] == trained.metrics.task_a.value


def test_the_second_version_is_compared_with_the_first_on_the_same_memes(store, training):
    fill(store, labelled=80)
    first = train(training)
    second = train(training, seed=1)
    assert second.version.parent == first.version.name
    assert first.before is None
    assert second.before.to_dict() == first.metrics.to_dict()
    assert [version.name for version in training.versions()] == [
        second.version.name,
        first.version.name,
    ]


def test_a_version_on_another_encoder_is_compared_on_the_same_memes(store, registry):
    fill(store, labelled=80)
    engines = FakeEngines("fake-1", "other-1")
    training = make(store, registry, engines, MAMI)
    first = train(training)
    second = train(training, encoder="other-1")
    assert [first.version.encoder, second.version.encoder] == ["fake-1", "other-1"]
    assert engines.fakes["other-1"].pictures_seen == len(store.memes())
    assert second.before.to_dict() == first.metrics.to_dict()
    assert second.before.rows == second.metrics.rows
    assert registry.current().encoder == "other-1"


def test_a_version_that_cannot_be_measured_is_named_with_the_reason(store, registry):
    fill(store, labelled=80)
    engines = FakeEngines("fake-1", "other-1")
    training = make(store, registry, engines, MAMI)
    first = train(training).version.name
    del engines.fakes["fake-1"]
    second = train(training, encoder="other-1")
    assert second.before is None
    assert any(first in told and "fake-1 cannot be had" in told for told in second.notices)


def test_an_encoder_that_cannot_be_had_is_an_error_and_no_other_takes_its_place(store, training):
    fill(store, labelled=80)
    with pytest.raises(Unavailable, match="clip-1 cannot be had"):
        train(training, encoder="clip-1")
    assert training.versions() == []


def test_a_training_can_be_stopped_while_it_compares(store, training):
    fill(store, labelled=80)
    train(training)
    fill(store, labelled=4, holdout_share=0.99, first=900)  # that the first one has not encoded

    def stop(stage, done):
        if stage.startswith("Comparing"):
            raise Cancelled("stop")

    engines = FakeEngines("other-1", "fake-1")
    again = make(store, training._registry, engines, MAMI)
    with pytest.raises(Cancelled):
        train(again, stop, encoder="other-1")
    assert len(training.versions()) == 1


def test_the_usual_encoder_is_the_wanted_one_until_a_version_is_trained_on_it(store, registry):
    fill(store, labelled=80)
    engines = FakeEngines("fake-1", "other-1")
    training = make(store, registry, engines, MAMI)
    assert training.usual_encoder() == "fake-1"
    first = train(training).version
    train(training, encoder="other-1")
    assert training.usual_encoder() == "other-1"  # chosen by an admin
    engines.wanted = "clip-1"
    assert training.usual_encoder() == "clip-1"  # chosen by whoever started the app
    engines.wanted = "other-1"
    training.promote(first.name)
    assert training.usual_encoder() == "fake-1"


def test_the_known_encoders_are_named_once_and_without_numbers(store, registry):
    fill(store, labelled=0, unlabelled=1)
    engines = FakeEngines("embedded-7", "local-dir:/clip#0123456789ab", "b/1")
    training = make(store, registry, engines, MAMI)
    for id in engines.fakes:
        assert training.encode(silent, id) == (1, id)
    assert training.known_encoders() == ["embedded", "b/1", "local-dir:/clip"]


def test_held_out_memes_never_reach_the_training(store, training, monkeypatch):
    fill(store, labelled=80)
    seen = []
    real_fit = module.fit

    def spy(features, *args, **kwargs):
        seen.extend(features.ids)
        return real_fit(features, *args, **kwargs)

    monkeypatch.setattr(module, "fit", spy)
    train(training)
    held_out = {meme.id for meme in store.memes(held_out=True)}
    assert held_out
    assert not held_out & set(seen)
    assert len(seen) == len(store.memes()) - len(held_out)


def test_memes_without_a_text_are_read_first(store, training, engines):
    fill(store, labelled=80)
    store.add_meme(
        decode(draw_picture(999)),
        text="",
        text_source=TextSource.NONE,
        origin="test",
        holdout_share=0.0,
    )
    train(training)
    assert engines.reader.reads == 1
    assert store.memes()[-1].text == "a line that was read"
    train(training)
    assert engines.reader.reads == 1


def test_features_are_encoded_once(store, training, engines):
    fill(store, labelled=80)
    train(training)
    assert engines.fake.pictures_seen == len(store.memes())
    train(training)
    assert engines.fake.pictures_seen == len(store.memes())
    assert training.encode(silent) == (0, "fake-1")


def test_too_few_labels_are_a_message_with_numbers(store, training):
    fill(store, labelled=10, holdout_share=0.0)
    with pytest.raises(TooFewLabels, match=rf"10 labelled.*{MINIMUM_ROWS}.*{MINIMUM_ROWS - 10}"):
        training.check()


def test_labels_that_all_say_the_same_are_a_message(store, training):
    fill(store, labelled=0, unlabelled=40, holdout_share=0.0)
    annotator = store.named_annotator("corpus", "import")
    for meme in store.memes():
        store.import_vote(
            annotator.id,
            meme.id,
            {"misogynous": False},
            key=meme.id,
        )
    with pytest.raises(TooFewLabels, match="misogynous"):
        train(training)


def test_stopping_a_training_leaves_no_version_behind(store, training, registry):
    fill(store, labelled=80)

    def stop_in_the_middle(stage, done):
        if done > 0.7:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        train(training, stop_in_the_middle)
    assert training.versions() == []


def test_progress_never_falls_and_ends_near_one(store, training):
    fill(store, labelled=80)
    seen = []
    train(training, lambda stage, done: seen.append(done))
    assert seen == sorted(seen)
    assert seen[0] >= 0
    assert 0.9 < seen[-1] <= 1


def test_an_admin_can_go_back_to_another_version(store, training, registry):
    fill(store, labelled=80)
    first = train(training).version
    train(training, seed=1)
    training.promote(first.name)
    assert training.current().name == first.name
    with pytest.raises(NotFound):
        training.promote("v9999")


def test_a_version_with_other_labels_cannot_answer(store, training, registry, engines):
    fill(store, labelled=80)
    name = train(training).version.name
    other = LabelSchema(Label("toxic", "Toxic"), (Label("insult", "Insult"),))
    with pytest.raises(Mismatch, match="toxic"):
        make(store, registry, engines, other).promote(name)


def test_evaluating_needs_labelled_held_out_memes(store, training, evaluation):
    fill(store, labelled=60, holdout_share=0.0)
    train(training)
    with pytest.raises(TooFewLabels):
        evaluation.held_out(silent)


def test_evaluating_gives_what_the_training_measured(store, training, evaluation):
    fill(store, labelled=80)
    trained = train(training)
    assert evaluation.held_out(silent).to_dict() == trained.metrics.to_dict()
    assert evaluation.held_out(silent, trained.version.name).rows == trained.metrics.rows


def test_the_reliability_of_the_version_in_use_is_told_per_label(store, registry, training):
    assert training.reliability() == {}  # No version yet.
    fill(store, 60)
    train(training)
    told = training.reliability()
    assert tuple(told) == MAMI.names
    assert sum(memes for _, _, memes in told["misogynous"]) >= MINIMUM_ROWS
    train(training)
    assert training.reliability() is not told  # Another version answers now.
