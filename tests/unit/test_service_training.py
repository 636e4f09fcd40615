from dataclasses import replace

import pytest
from conftest import FakeEngines, draw_picture

from memeapp.errors import BadInput, Cancelled, Mismatch, NotFound, TooFewLabels, Unavailable
from memeapp.images import decode
from memeapp.judging import Judgement, Plan, Rank, Suggestions, VoteKind
from memeapp.labels import MAMI, Label, LabelSchema
from memeapp.learn.gate import Verdict
from memeapp.learn.train import BEST
from memeapp.registry import Registry
from memeapp.service import snapshot as snapshot_module
from memeapp.service import training as module
from memeapp.service.evaluation import Evaluation
from memeapp.service.snapshot import FILE, Row, Snapshot, rebuild
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
    assert second.decision.verdict is Verdict.UNKNOWN
    assert first in second.decision.reason and "fake-1 cannot be had" in second.decision.reason


BROKEN = replace(QUICK, heads=("raw_n_cook",), classifier=replace(QUICK.classifier, epochs=0))


def test_a_broken_recipe_is_not_let_through_and_a_good_one_is(store, training):
    fill(store, labelled=180, holdout_share=0.4)
    first = train(training)
    assert first.decision is None
    broken = training.train(silent, recipe=BROKEN)
    assert broken.decision.verdict is Verdict.WAIT
    assert broken.decision.task_a.high < 0
    again = training.train(silent, recipe=QUICK, seed=1)
    assert again.decision.verdict is Verdict.PROMOTE
    assert again.version.metrics["gate"]["task_a"]["not_worse"] == again.decision.task_a.not_worse


def test_votes_that_come_while_it_trains_do_not_keep_the_gate_from_comparing(store, training):
    fill(store, labelled=180, holdout_share=0.4)
    train(training)
    late = store.named_annotator("late", "import")
    unlike = {"misogynous": False, "stereotype": False, "shaming": False}

    def vote_meanwhile(stage, done):
        if stage == "Measuring on held-out memes":
            for number, meme in enumerate(store.memes(held_out=True)):
                store.import_vote(late.id, meme.id, unlike, key=f"late {number}")

    decision = training.train(vote_meanwhile, recipe=QUICK).decision
    assert store.all_votes()[-1].annotator_id == late.id
    assert decision.verdict is Verdict.PROMOTE


def test_with_few_held_out_labels_the_gate_says_that_it_cannot_tell(store, training):
    fill(store, labelled=60)
    train(training)
    decision = training.train(silent, recipe=QUICK).decision
    assert decision.verdict is Verdict.UNKNOWN
    assert decision.reason.startswith(f"{decision.rows} labelled held-out memes")


def test_a_version_is_made_again_from_its_snapshot_with_equal_weights(store, registry, training):
    fill(store, labelled=80)
    version = train(training, seed=5).version
    fill(store, labelled=9, first=200)  # votes of afterwards change nothing
    snapshot = Snapshot.from_bytes((version.path / FILE).read_bytes())
    assert snapshot.hash == version.data["snapshot"]
    assert snapshot.votes == version.data["vote_count"]
    assert rebuild(store, registry, version.name, silent)
    seed = replace(snapshot, seed=6)
    (version.path / FILE).write_bytes(seed.to_bytes())
    assert not rebuild(store, registry, version.name, silent)
    (version.path / FILE).unlink()
    with pytest.raises(NotFound, match="no snapshot"):
        rebuild(store, registry, version.name, silent)


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


def blind_and_later(store, number, blind, later):
    """A member of a session judges a meme, sees the model's answer, and says something else."""
    meme = store.memes()[number]
    said = {"misogynous": blind, "stereotype": blind, "shaming": False}
    changed = {"misogynous": later, "stereotype": later, "shaming": False}
    session = store.add_session(Plan(f"Room {number}", suggestions=Suggestions.AFTER), [meme.id])
    suggestion = {"model": "v", "chances": {}, "says": changed}
    store.set_ranks(session.id, {meme.id: Rank(suggestion=suggestion)})
    who = store.add_annotator("Ann", session_id=session.id).id
    first = store.record(who, meme.id, Judgement(said), key="first")
    return store.record(who, meme.id, Judgement(changed), key="then", replaces=first.id)


def targets_of(monkeypatch, training, **choices):
    """Meme → soft target of "misogynous" that a training learns from, and its version's data."""
    seen = {}
    real = module.fit

    def fit(rows, *args, **kwargs):
        seen.update(zip(rows.ids, rows.targets[:, 0], strict=True))
        return real(rows, *args, **kwargs)

    monkeypatch.setattr(module, "fit", fit)
    return seen, train(training, **choices)


def test_a_training_learns_from_blind_votes_or_from_those_that_stand(store, training, monkeypatch):
    fill(store, labelled=60, unlabelled=10, holdout_share=0.0)
    meme = store.memes()[60].id
    blind_and_later(store, 60, blind=False, later=True)
    seen, trained = targets_of(monkeypatch, training)
    assert seen[meme] == 0
    assert (trained.version.data["votes"], trained.version.data["aggregation"]) == (
        "blind",
        "majority",
    )
    seen, trained = targets_of(monkeypatch, training, votes="all")
    assert seen[meme] == 1
    assert trained.version.data["votes"] == "all"


@pytest.mark.parametrize("aggregation", ["dawid-skene", "mace"])
def test_an_aggregation_weighs_people(store, training, monkeypatch, aggregation):
    fill(store, labelled=60, holdout_share=0.0)
    good = [store.named_annotator(f"good {n}", "import").id for n in range(2)]
    bad = store.named_annotator("careless", "import").id
    for number, meme in enumerate(store.memes()[:60]):
        truth = number % 2 == 0
        for who in good:
            store.import_vote(who, meme.id, {"misogynous": truth}, key=f"{who} {number}")
        said = number % 3 == 0
        store.import_vote(bad, meme.id, {"misogynous": said}, key=f"bad {number}")
    seen, trained = targets_of(monkeypatch, training, aggregation=aggregation)
    disputed = store.memes()[2].id  # three say yes, the careless one no
    assert seen[disputed] > 0.9
    assert trained.version.data["aggregation"] == aggregation
    votes = 60 * 4
    assert 60 <= trained.version.data["effective_labels"] < votes
    seen, _ = targets_of(monkeypatch, training)
    assert seen[disputed] == 0.75


def test_held_out_memes_are_measured_on_the_majority_of_blind_votes_whatever_was_trained_on(
    store, training, monkeypatch
):
    fill(store, labelled=80, unlabelled=12)
    unjudged = [n for n, meme in enumerate(store.memes()) if n >= 80 and meme.held_out]
    for number in unjudged:
        blind_and_later(store, number, blind=number % 2 == 0, later=number % 2 == 1)
    assert unjudged
    truths = []
    real = module.Answers.of

    def measured(checkpoint, rows):
        truths.append(dict(zip(rows.ids, rows.targets[:, 0].tolist(), strict=True)))
        return real(checkpoint, rows)

    monkeypatch.setattr(module.Answers, "of", measured)
    train(training)
    train(training, votes="all", aggregation="dawid-skene")
    assert truths[0] == truths[1]
    for number in unjudged:
        assert truths[0][store.memes()[number].id] == (number % 2 == 0)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"aggregation": "guess"}, "'guess' is no aggregation; there are majority, dawid-skene"),
        ({"votes": "some"}, "'some' votes cannot be learned from; there are blind, all"),
    ],
)
def test_an_unknown_way_to_learn_is_refused_before_anything_is_done(training, choice, words):
    with pytest.raises(BadInput, match=words):
        training.train(silent, **choice)


def test_the_counts_follow_imports_decisions_and_who_is_left_out_at_once(
    store, training, monkeypatch
):
    monkeypatch.setattr("memeapp.service.recent.CHEAP", 0.0)
    monkeypatch.setattr("memeapp.service.recent.LASTS", 1e9)
    fill(store, labelled=6, unlabelled=2)
    before = training.counts()
    assert (before.memes, before.votes) == (8, 6)
    session = store.add_session(Plan("Room"), [meme.id for meme in store.memes()])
    who = store.add_annotator("Ann", session_id=session.id).id
    said = Judgement({"misogynous": True})
    store.record(who, store.memes()[7].id, said, key="k")
    assert training.counts() is before  # a moment old while people label
    store.set_excluded(who, True)
    assert training.counts().annotators == 1
    store.set_excluded(who, False)
    assert training.counts().votes == 7
    decided = Judgement({"misogynous": False}, VoteKind.DECISION)
    store.decide(session.id, store.memes()[6].id, decided, key="d")
    assert training.counts().labelled == 8
    fill(store, labelled=1, unlabelled=0, first=8)
    assert training.counts().memes == 9


def learned_elsewhere(version, memes):
    """Let the version's snapshot name these memes."""
    rows = tuple(Row(meme.id, "", "", 1.0, ()) for meme in memes)
    frozen = Snapshot("", 0, 0, MAMI.names, version.encoder, {}, 0, "", rows)
    (version.path / FILE).write_bytes(frozen.to_bytes())
    snapshot_module._memes_in.cache_clear()


def test_a_version_is_not_compared_on_memes_that_it_learned_from_elsewhere(
    store, training, evaluation
):
    fill(store, labelled=150, unlabelled=0, holdout_share=0.3)
    train(training)
    current = training.current()
    held_out = store.memes(held_out=True)
    learned_elsewhere(current, held_out[:10])
    assert evaluation.held_out(silent).rows == len(held_out) - 10
    trained = training.train(silent, recipe=QUICK)
    assert trained.metrics.rows == len(held_out)
    assert trained.decision.rows == len(held_out) - 10


def test_a_version_that_learned_from_all_held_out_memes_cannot_be_judged(
    store, training, evaluation
):
    fill(store, labelled=150, unlabelled=0, holdout_share=0.3)
    train(training)
    learned_elsewhere(training.current(), store.memes(held_out=True))
    trained = training.train(silent, recipe=QUICK)
    assert trained.decision.verdict is Verdict.UNKNOWN
    assert "learned from every labelled held-out meme" in trained.decision.reason
    with pytest.raises(TooFewLabels):
        evaluation.held_out(silent)
