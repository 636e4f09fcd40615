"""What the receipt of a training says, and what it says of two versions side by side."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import FakeEngines, draw_picture
from storing import add

from memeapp.errors import BadInput, Cancelled, NotFound
from memeapp.images import decode
from memeapp.labels import MAMI, Label, LabelSchema
from memeapp.learn import curve
from memeapp.learn.curve import Curve, Help, Trend
from memeapp.learn.data import FeatureSet
from memeapp.learn.gate import Rule
from memeapp.learn.metrics import Figure
from memeapp.learn.train import BEST
from memeapp.registry import Registry
from memeapp.service import receipt as module
from memeapp.service import snapshot
from memeapp.service.evaluation import Answers, Evaluation
from memeapp.service.flips import KEPT, find_flips
from memeapp.service.receipt import FAILED, FILE, STOPPED, Receipt, read_receipt
from memeapp.service.receipt_words import advice, as_text, figure, headline, next_labels
from memeapp.service.run import Trained
from memeapp.service.snapshot import FILE as SNAPSHOT
from memeapp.service.snapshot import Snapshot, rebuild
from memeapp.service.training import Training
from memeapp.service.versus import Versus, compare
from memeapp.store import Store
from memeapp.types import TextSource
from memeapp.ui.receipt_views import compare_page, receipt_page

QUICK = replace(
    BEST,
    folds=2,
    autoencoder=replace(BEST.autoencoder, epochs=2),
    classifier=replace(BEST.classifier, epochs=10),
)
HOSTILE = "<img src=x onerror=alert(1)>\"'{{ 7*7 }}"


def silent(stage: str, done: float) -> None:
    pass


class Place:
    """A store with labelled memes, and what trains on it."""

    def __init__(self, store: Store, registry: Registry, engines: FakeEngines) -> None:
        self.store, self.registry = store, registry
        evaluation = Evaluation(store, registry, engines, MAMI, max_upload_mb=20)  # type: ignore[arg-type]
        self.training = Training(store, registry, engines, MAMI, evaluation)  # type: ignore[arg-type]

    def fill(self, count: int, holdout_share: float = 0.4) -> None:
        """Every second one is a misogynous stereotype, and its text says so; two people judge."""
        people = [self.store.named_annotator(name, "import").id for name in ("one", "two")]
        for number in range(count):
            yes = number % 2 == 0
            meme = self.store.add_meme(
                decode(draw_picture(number)),
                text=f"{'kitchen' if yes else 'engine'} number {number}",
                text_source=TextSource.GIVEN,
                origin="test",
                holdout_share=holdout_share,
            )
            said = {"misogynous": yes, "stereotype": yes, "shaming": False}
            for who in people:
                self.store.import_vote(who, meme.id, said, key=f"{who} {number}")

    def train(self, **choices: Any) -> Trained:
        trained = self.training.train(silent, recipe=QUICK, **choices)
        self.training.promote(trained.version.name)
        return trained

    def versus(self, a: str, b: str, schema: LabelSchema = MAMI) -> Versus:
        return compare(self.store, self.registry, schema, a, b, Rule())


@pytest.fixture(autouse=True)
def a_curve_from_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "LEAST_ROWS", 30)


@pytest.fixture
def place(tmp_path: Any, store: Store, engines: FakeEngines) -> Place:
    registry = Registry(tmp_path / "shipped", tmp_path / "data" / "models")
    return Place(store, registry, engines)


def test_a_training_leaves_a_receipt_that_counts_what_it_learned(place: Place) -> None:
    place.fill(180)
    version = place.train(seed=3).version
    receipt = read_receipt(version)
    assert receipt.data == version.data
    assert receipt.metrics == version.metrics
    assert (receipt.parent, receipt.flips) == (None, None)
    assert (receipt.encoder, receipt.recipe, receipt.data["seed"]) == ("fake-1", "best", 3)
    memes = place.store.memes()
    held_out = sum(meme.held_out for meme in memes)
    first = receipt.labels[0]
    assert first.label == "misogynous"
    assert (first.judged, first.held_out) == (len(memes) - held_out, held_out)
    positives = sum(not meme.held_out and "kitchen" in meme.text for meme in memes)
    assert first.positives == positives
    assert first.held_out_positives == sum(m.held_out and "kitchen" in m.text for m in memes)
    unjudged = next(one for one in receipt.labels if one.label == "violence")
    assert (unjudged.judged, unjudged.held_out, unjudged.with_votes.votes) == (0, 0, 0)
    assert sum(memes for _, _, memes in first.out_of_fold) == first.judged
    assert sum(memes for _, _, memes in first.on_held_out) == first.held_out
    assert {curve.stage for curve in receipt.losses} >= {"Relating pictures and texts"}
    assert [point.rows for point in receipt.curve.points][-1] == first.judged
    assert receipt.curve.held_out == held_out


def test_a_receipt_comes_back_from_its_file_and_holds_no_text_of_a_meme(place: Place) -> None:
    place.fill(90)
    place.train()
    path = place.train(seed=1).version.path
    assert path is not None
    content = (path / FILE).read_bytes()
    receipt = Receipt.from_bytes(content)
    assert receipt.to_bytes() == content
    assert b"kitchen number" not in content
    assert json.loads(content)["schema"] == 1


def test_the_same_training_gives_the_same_receipt_and_weights(place: Place) -> None:
    place.fill(180)
    place.train()
    first, second = place.train(seed=1).version, place.train(seed=1).version

    def told(receipt: Receipt) -> Receipt:
        return replace(receipt, data={}, taken_at="", parent=None, flips=None, metrics={})

    assert told(read_receipt(first)) == told(read_receipt(second))
    assert first.data["snapshot"] == second.data["snapshot"]
    assert rebuild(place.store, place.registry, second.name, silent)


def test_a_version_that_waits_at_the_gate_has_a_receipt_too(place: Place) -> None:
    place.fill(60, holdout_share=0.2)
    place.train()
    waiting = place.training.train(silent, recipe=QUICK).version
    receipt = read_receipt(waiting)
    assert receipt.metrics["gate"]["verdict"] == "unknown"
    assert "at least 50 are needed" in receipt.curve.missing
    assert receipt.flips is not None and receipt.flips.memes == 0
    assert receipt.flips.compared == 60


def test_votes_are_compared_with_answers_and_with_each_other(place: Place) -> None:
    place.fill(120)
    third = place.store.named_annotator("three", "import").id
    held_out = place.store.memes(held_out=True)
    for number, meme in enumerate(held_out):
        said = {"misogynous": ("kitchen" in meme.text) == (number >= 12)}
        place.store.import_vote(third, meme.id, said, key=meme.id)
    one = read_receipt(place.train().version).labels[0]
    count = len(held_out)
    assert (one.with_votes.memes, one.with_votes.votes) == (count, 3 * count)
    assert one.with_votes.observed is not None and one.with_majority.observed is not None
    assert one.with_majority.observed.value == 1.0
    assert one.with_votes.observed.value == pytest.approx((3 * count - 12) / (3 * count))
    assert one.among_people.observed is not None
    assert one.among_people.observed.value == pytest.approx(1 - 24 / (3 * count))


def test_a_receipt_that_fails_is_named_and_loses_no_version(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place.fill(60)

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(module, "learning_curve", broken)
    with caplog.at_level(logging.ERROR):
        trained = place.train()
    assert FAILED in trained.notices
    assert "a bug" in caplog.text
    assert place.registry.current().name == trained.version.name
    with pytest.raises(NotFound, match="has no receipt"):
        read_receipt(trained.version)


@pytest.mark.parametrize("error", [Cancelled("stop"), KeyboardInterrupt()])
def test_a_version_is_saved_and_stays_when_its_receipt_is_cut_off(
    place: Place, error: BaseException
) -> None:
    place.fill(180)
    saved: list[Trained] = []

    def stop(stage: str, done: float) -> None:
        if stage == "Drawing the learning curve":
            raise error

    if isinstance(error, Cancelled):
        trained = place.training.train(stop, recipe=QUICK, on_saved=saved.append)
        assert trained.notices == (STOPPED,)
    else:
        with pytest.raises(KeyboardInterrupt):
            place.training.train(stop, recipe=QUICK, on_saved=saved.append)
    (version,) = place.training.versions()
    assert [one.version for one in saved] == [version]
    assert place.registry.load(version.name).labels == MAMI.names
    with pytest.raises(NotFound, match="has no receipt"):
        read_receipt(version)


def test_a_receipt_from_elsewhere_that_is_none_is_refused(place: Place) -> None:
    place.fill(90)
    place.train()
    version = place.train(seed=1).version
    assert version.path is not None
    told = json.loads((version.path / FILE).read_bytes())
    flips = {**told["flips"], "largest": [{"meme": "../../x", "held_out": True, "labels": []}]}
    for content in (
        b"",
        b"[]",
        b'{"schema": 1}',
        json.dumps({**told, "schema": 2}).encode(),
        json.dumps({**told, "labels": None}).encode(),
        json.dumps({**told, "flips": flips}).encode(),
        json.dumps({**told, "metrics": {"a": float("nan")}}).encode(),
    ):
        with pytest.raises(BadInput, match=FILE):
            Receipt.from_bytes(content)


class Says:
    """A version that answers each meme as its picture's features say."""

    labels = ("misogynous", "shaming")

    def __init__(self, encoder: str) -> None:
        self.encoder = encoder

    def predict(self, image: Any, text: Any) -> Any:
        return np.asarray(image, dtype=np.float64)

    def decide(self, probabilities: Any) -> Any:
        return probabilities >= 0.5


def answers(store: Store, encoder: str, said: dict[str, tuple[float, float]]) -> Any:
    store.put_image_features(encoder, {id: np.array(p, np.float32) for id, p in said.items()})
    store.put_text_features(encoder, {"hello": np.zeros(1, np.float32)})
    return Says(encoder)


def test_flips_are_found_counted_and_sorted_with_their_votes(store: Store) -> None:
    a, b, c, d = (add(store, name) for name in "abcd")
    before = answers(
        store, "old-1", {a.id: (0.4, 0.25), b.id: (0.75, 0.25), c.id: (0.25, 0.25), d.id: (0, 0)}
    )
    after = answers(store, "new-1", {a.id: (0.625, 0.25), b.id: (0.25, 0.75), c.id: (0.375, 0.25)})
    who = store.named_annotator("one", "import").id
    store.import_vote(who, b.id, {"misogynous": True, "shaming": False}, key="b")
    memes = [replace(meme, held_out=meme.id == b.id) for meme in store.memes()]
    targets = {b.id: np.array([1.0, 0.0], np.float32)}
    flips = find_flips(store, memes, before, after, targets)
    assert (flips.compared, flips.memes) == (3, 2)
    assert [flip.meme for flip in flips.largest] == [b.id, a.id]
    first, second = flips.largest
    assert [one.flipped for one in first.labels] == [True, True]
    assert [(one.yes, one.no) for one in first.labels] == [(1, 0), (0, 1)]
    assert first.held_out and not second.held_out
    assert (second.labels[0].said, second.labels[0].says) == (False, True)
    assert [(one.to_yes, one.to_no, one.towards, one.away) for one in flips.labels] == [
        (1, 1, 0, 1),
        (1, 0, 0, 1),
    ]


def test_of_many_flips_the_largest_are_kept_and_all_are_counted(store: Store) -> None:
    memes = [add(store, f"meme {number}") for number in range(KEPT + 5)]
    old = answers(store, "old-1", {meme.id: (0.25, 0.25) for meme in memes})
    new = answers(
        store,
        "new-1",
        {meme.id: (0.5 + number / 1000, 0.25) for number, meme in enumerate(memes)},
    )
    flips = find_flips(store, store.memes(), old, new, {})
    assert flips.memes == KEPT + 5
    assert [flip.meme for flip in flips.largest] == [meme.id for meme in memes[:4:-1]]


def test_a_version_beside_itself_shows_no_difference(place: Place) -> None:
    place.fill(180)
    name = place.train().version.name
    found = place.versus(name, name)
    assert found.missing == "" and found.decision is not None
    assert str(found.side_a) == str(found.side_b)
    assert found.decision.task_a is not None and found.decision.f1 is not None
    for one in (found.decision.task_a, found.decision.task_b, *found.decision.f1.values()):
        assert one is not None and (one.value, one.low, one.high, one.better) == (0, 0, 0, 0)
    assert found.flips is None
    page = compare_page(found, MAMI, {})
    assert "one and the same version" in page
    assert "no change on these memes" in page


def test_versions_on_different_encoders_are_measured_on_what_both_have_encoded(
    tmp_path: Any, store: Store
) -> None:
    registry = Registry(tmp_path / "shipped", tmp_path / "data" / "models")
    engines = FakeEngines("fake-1", "other-1")
    place = Place(store, registry, engines)
    place.fill(180)
    first = place.train().version
    second = place.train(encoder="other-1").version
    late = place.store.add_meme(
        decode(draw_picture(999)),
        text="late",
        text_source=TextSource.GIVEN,
        origin="test",
        holdout_share=0.0,
        held_out=True,
    )
    who = store.named_annotator("late", "import").id
    store.import_vote(who, late.id, {"misogynous": True}, key="late")
    engines.fakes.clear()  # nothing is opened to compare
    found = place.versus(first.name, second.name)
    assert found.side_a is not None and found.decision is not None
    assert found.side_a.metrics.rows == found.decision.rows == found.labelled - 1
    assert found.flips is not None and found.flips.compared == 180


def test_scores_and_the_gate_draw_near_duplicates_together() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.random((60, 1)) < 0.5, 4, axis=0).astype(float)
    said = np.repeat(rng.random((60, 1)) < 0.5, 4, axis=0)
    rows = FeatureSet(
        tuple(map(str, range(240))), truth, truth, truth, ("kind",), groups=np.arange(240) // 4
    )
    none, right = (Answers(rows, truth, one * 1.0, one) for one in (said, truth > 0))
    alone = replace(none, rows=replace(rows, groups=np.arange(240)))
    together, apart = none.measure().task_a, alone.measure().task_a
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    gain = right.against(none, Rule()).task_a
    assert gain is not None  # of answers that are always right all of the interval is the other's
    ends = together.low, together.high
    assert (1 - gain.high, 1 - gain.low) == pytest.approx(ends, abs=0.02)


def test_versions_are_compared_on_memes_that_neither_learned_from(place: Place) -> None:
    place.fill(180)
    first, second = place.train().version, place.train(seed=1).version
    before = place.versus(first.name, second.name)
    seen = [meme.id for meme in place.store.memes(held_out=True)][:5]
    assert before.labelled > 5 and second.path is not None
    file = second.path / SNAPSHOT
    frozen = Snapshot.from_bytes(file.read_bytes())
    rows = tuple(replace(frozen.rows[0], meme=meme) for meme in seen)
    file.write_bytes(replace(frozen, rows=frozen.rows + rows).to_bytes())
    snapshot._memes_in.cache_clear()
    for found in (place.versus(first.name, second.name), place.versus(second.name, first.name)):
        assert found.labelled == before.labelled - 5
        assert found.decision is not None and found.decision.rows == found.labelled
        assert found.flips is not None and before.flips is not None
        assert found.flips.compared == before.flips.compared


def test_a_damaged_snapshot_hinders_no_comparison(place: Place) -> None:
    place.fill(180)
    first, second = place.train().version, place.train(seed=1).version
    before = place.versus(first.name, second.name)
    assert second.path is not None
    (second.path / SNAPSHOT).write_bytes(b"words")
    snapshot._memes_in.cache_clear()
    assert place.versus(first.name, second.name).decision == before.decision


def test_what_cannot_be_compared_is_said(place: Place) -> None:
    place.fill(60, holdout_share=0.0)
    name = place.train().version.name
    assert "No held-out meme has a label" in place.versus(name, name).missing
    other = LabelSchema(Label("other", "Other"), (Label("kind", "Kind"),))
    found = place.versus(name, name, other)
    assert "knows the labels" in found.missing
    assert "knows the labels" in compare_page(found, other, {})
    with pytest.raises(NotFound):
        place.versus(name, "v9999")


def test_nothing_from_outside_gets_into_the_pages_as_it_is(place: Place) -> None:
    place.fill(90)
    version = place.train().version
    place.train(seed=1)
    receipt = read_receipt(version)
    memes = {meme.id: replace(meme, text=HOSTILE) for meme in place.store.memes()}
    old, new = ({meme: (p, 0.0) for meme in memes} for p in (0.25, 0.75))
    texts = {meme.text: np.zeros(1, np.float32) for meme in place.store.memes()}
    for encoder in ("old-1", "new-1"):
        place.store.put_text_features(encoder, texts)
    flips = find_flips(
        place.store,
        place.store.memes(),
        answers(place.store, "old-1", old),
        answers(place.store, "new-1", new),
        {},
    )
    hostile = replace(
        version,
        encoder=HOSTILE,
        recipe=HOSTILE,
        parent=HOSTILE,
        data={HOSTILE: HOSTILE, "seed": 1e300},
        labels=(*version.labels[1:], HOSTILE),
        metrics={
            "gate": {"reason": HOSTILE, "task_a": [1], "f1": HOSTILE},
            "task_a": {"value": HOSTILE, "low": 10**400},
            "labels": 7,
        },
    )
    told = replace(receipt, flips=flips, warnings=(HOSTILE,))
    plain = receipt_page(hostile, MAMI, None, HOSTILE, {})
    for page in (receipt_page(hostile, MAMI, told, "", memes), plain):
        assert "<img src=x" not in page and "&lt;img src=x" in page
        assert "49" not in page.split("&lt;img src=x")[1][:40]
    assert "<img src=x" not in as_text(version, receipt, "", MAMI)


def curve_of(*helps: Help) -> Curve:
    return Curve((), 0, "", helps)


def test_what_to_label_next_comes_in_the_order_of_need() -> None:
    few = Help("violence", Trend.UNKNOWN, None, 300, 12, True, None)
    rising = Help("shaming", Trend.RISING, Figure(0.05, 0.01, 0.09), 300, 60, False, None)
    level = Help("misogynous", Trend.LEVEL, Figure(0.001, -0.01, 0.02), 300, 150, False, None)
    assert next_labels(curve_of(level, rising, few), MAMI).endswith(": Violence, Shaming")
    assert "No label starves" in next_labels(curve_of(level), MAMI)
    assert "look for such memes" in advice(few) and "cannot be told" in advice(few)
    assert "About 300 more labelled memes (about 60 with it)" in advice(rising)
    assert "+0.050 (+0.010 to +0.090)" in advice(rising)
    assert "hardly anything" in advice(level)
    wide = Help("misogynous", Trend.UNKNOWN, Figure(0.05, -0.1, 0.2), 300, 150, False, None)
    assert "cannot be told yet" in advice(wide)
    assert "cannot be told yet" in next_labels(curve_of(level, wide), MAMI)
    soon = replace(few, positives=40, until_enough=75)
    assert "About 75 more labelled memes" in advice(soon)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ((0.01, 0.05), (-0.01, 0.05), "It is better than v1"),
        ((-0.05, -0.01), (-0.01, 0.05), "It is worse than v1"),
        ((-0.05, -0.01), (0.01, 0.05), "better in one task and worse in the other, against v1"),
        ((-0.01, 0.01), (-0.01, 0.01), "about as good as v1"),
        (None, None, "Nobody can tell yet whether it is better than v1"),
    ],
)
def test_the_headline_says_whether_it_is_better(a: Any, b: Any, words: str) -> None:
    tasks = {
        name: ends and {"value": 0.0, "low": ends[0], "high": ends[1]}
        for name, ends in (("task_a", a), ("task_b", b))
    }
    assert words in headline({"verdict": "promote", **tasks}, "v1")
    assert "first version" in headline({}, None)


def test_a_figure_is_told_with_its_interval_or_a_dash() -> None:
    assert (
        figure({"value": -0.5, "low": -1, "high": 0.25}, sign=True) == "−0.500 (−1.000 to +0.250)"
    )
    assert figure({"value": 0.5}) == "0.500"
    assert figure({}) == "–"
