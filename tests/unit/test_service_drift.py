import json
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from conftest import draw_picture
from learning import make_checkpoint
from test_service_classify import FakeCheckpoint, FakeRegistry

from memeapp.errors import NotFound
from memeapp.images import decode
from memeapp.labels import MAMI
from memeapp.learn.data import FeatureSet
from memeapp.learn.recipe import BEST
from memeapp.service import drift as module
from memeapp.service import reference as reference_module
from memeapp.service.compared import Verdict, compare, note
from memeapp.service.drift import Drift
from memeapp.service.reference import FILE, Reference
from memeapp.service.shift import in_kinds, in_steps, in_tenths, shift, stability_index
from memeapp.service.snapshot import FILE as SNAPSHOT
from memeapp.service.snapshot import Snapshot
from memeapp.store.connections import moment, now
from memeapp.types import Input, TextSource

VERSION = "v0002"


def inputs(count, seed=0, **changes):
    """Memes of one kind; each change is made by a function of the generator."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        usual = Input(
            at=moment(datetime.now(UTC)),
            version=VERSION,
            text_length=int(rng.lognormal(3.5, 0.5)),
            language=str(rng.choice(["en", "es", "short", "nl"], p=[0.7, 0.2, 0.07, 0.03])),
            ocr_confidence=float(rng.beta(20, 1)),
            unlike_image=bool(rng.random() < 0.02),
            unlike_text=bool(rng.random() < 0.02),
            scores={name: float(rng.beta(1, 3)) for name in MAMI.names},
            kept=False,
        )
        made.append(replace(usual, **{name: how(rng) for name, how in changes.items()}))
    return made


def reference_of(known):
    languages = [one.language for one in known]
    return Reference(
        "2026-01-01T00:00:00+00:00",
        learned=len(known),
        held_out=len(known),
        text_length=[one.text_length for one in known],
        language={name: languages.count(name) for name in languages},
        ocr_confidence=[one.ocr_confidence for one in known],
        unlike_image=[one.unlike_image for one in known],
        unlike_text=[one.unlike_text for one in known],
        scores={name: [one.scores[name] for one in known] for name in MAMI.names},
    )


def compared(known, recent):
    return {row.name: row for row in compare(reference_of(known), recent, VERSION, MAMI)}


def test_the_stability_index_is_that_of_a_sum_by_hand():
    # (50.5, 50.5) and (25.5, 75.5) of 101: -0.2475 ln 0.5050 + 0.2475 ln 1.4950
    assert stability_index([50, 50], [25, 75]) == pytest.approx(0.2687, abs=1e-4)
    assert stability_index([30, 70], [30, 70]) == 0
    assert np.isfinite(stability_index([0, 10], [10, 0]))


def test_the_chance_is_that_of_dealing_the_cases_anew():
    assert shift(np.array([30, 70]), np.array([30, 70])).chance == 1
    # 3 and 0 of 6 cases, 3 of them of one kind: 2 of 20 deals are as far
    assert shift(np.array([3, 0]), np.array([0, 3])).chance == pytest.approx(0.1, abs=0.01)


def test_deciles_of_the_reference_hold_a_tenth_of_it_each():
    reference, recent = in_tenths(range(100), [5] * 7 + [1000])
    assert reference.tolist() == [10] * 10
    assert recent.tolist() == [7, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_reference_of_one_value_still_counts_what_is_above_it():
    reference, recent = in_tenths([4] * 60, [4] * 30 + [5] * 30)
    assert reference.tolist() == [60, 0]
    assert recent.tolist() == [30, 30]


def test_what_lies_outside_the_steps_is_in_the_outer_ones():
    reference, recent = in_steps([0.05, 0.95], [-3, 7], 0, 1)
    assert reference.tolist() == recent.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_rare_kinds_are_one():
    kinds, reference, recent = in_kinds({"en": 90, "nl": 1}, {"en": 8, "eo": 1}, 0.05, "others")
    assert (kinds, reference.tolist(), recent.tolist()) == (["en", "others"], [90, 1], [8, 1])
    assert in_kinds({"en": 9}, {"es": 9}, 0.05, "others")[0] == ["en", "es"]


def test_memes_of_one_kind_hardly_ever_raise_a_note():
    notes = 0
    for seed in range(40):
        rows = compare(reference_of(inputs(200, seed)), inputs(80, 1000 + seed), VERSION, MAMI)
        notes += bool(note(rows, VERSION, 7))
    assert notes <= 1


@pytest.mark.parametrize(
    ("row", "change", "sentence"),
    [
        ("Length of texts", {"text_length": lambda rng: 90}, r"longer: median 3\d → 90 char"),
        ("Length of texts", {"text_length": lambda rng: 3}, "shorter"),
        ("OCR's confidence", {"ocr_confidence": lambda rng: 0.6}, r"less sure: median 9\d → 60 %"),
        ("Language of texts", {"language": lambda rng: "de"}, "most of all German: 0 % → 100 %"),
        (
            "Pictures unlike training",
            {"unlike_image": lambda rng: bool(rng.random() < 0.3)},
            r"More pictures .* a difference of \+\d+ to \+\d+ points",
        ),
        ("Texts unlike training", {"unlike_text": lambda rng: True}, "→ 100 %"),
        (
            "Scores: Shaming",
            {"scores": lambda rng: dict.fromkeys(MAMI.names, 0.9)},
            r"Shaming is scored higher: mean 2\d → 90 %",
        ),
    ],
)
def test_what_parts_is_told_in_a_sentence(row, change, sentence):
    rows = compared(inputs(300), inputs(80, 1, **change))
    assert rows[row].verdict is Verdict.APART
    assert re.search(sentence, rows[row].sentence)
    apart = [name for name, found in rows.items() if found.verdict is Verdict.APART]
    assert apart == [row] or row.startswith("Scores")


def test_a_spread_with_the_same_middle_is_told_by_its_halves():
    even = inputs(300, text_length=lambda rng: int(rng.choice([49, 50, 51])))
    wide = inputs(301, text_length=lambda rng: int(rng.choice([10, 50, 90])))
    row = compared(even, wide)["Length of texts"]
    assert row.verdict is Verdict.APART
    assert "half lie in 10 to 90 characters, not in 49 to 51 characters" in row.sentence


def test_scores_next_to_nothing_do_not_part():
    def scored(score):
        return {"scores": lambda rng: dict.fromkeys(MAMI.names, score)}

    rows = compared(inputs(300, **scored(0.001)), inputs(80, 1, **scored(0.02)))
    assert rows["Scores: Shaming"].verdict is Verdict.ALIKE
    rows = compared(inputs(300, **scored(0.001)), inputs(80, 1, **scored(0.3)))
    assert rows["Scores: Shaming"].verdict is Verdict.APART


def test_scores_of_which_the_high_ones_are_missing_part():
    known = inputs(
        300, scores=lambda rng: dict.fromkeys(MAMI.names, 0.98 if rng.random() < 0.3 else 0.01)
    )
    recent = inputs(80, 1, scores=lambda rng: dict.fromkeys(MAMI.names, 0.06))
    assert compared(known, recent)["Scores: Shaming"].verdict is Verdict.APART


def test_too_few_inputs_are_counted_and_not_compared():
    rows = compared(inputs(300), inputs(38, text_length=lambda rng: 900))
    assert {row.verdict for row in rows.values()} == {Verdict.TOO_FEW}
    assert "12 more" in rows["Length of texts"].sentence


def test_without_training_there_is_nothing_to_compare_with():
    rows = compared(inputs(20), inputs(300, text_length=lambda rng: 900))
    assert {row.verdict for row in rows.values()} == {Verdict.UNKNOWN}
    assert rows["OCR's confidence"].training.startswith("median")


def test_scores_of_another_version_do_not_count():
    recent = [replace(one, version="v0001") for one in inputs(80)]
    rows = compared(inputs(300), recent)
    assert rows["Length of texts"].verdict is Verdict.ALIKE
    assert rows["Scores: Shaming"].verdict is rows["Texts unlike training"].verdict
    assert rows["Scores: Shaming"].verdict is Verdict.TOO_FEW


def test_a_note_names_three_and_counts_the_others():
    rows = compare(
        reference_of(inputs(300)),
        inputs(80, 1, scores=lambda rng: dict.fromkeys(MAMI.names, 0.9)),
        VERSION,
        MAMI,
    )
    told = note(rows, VERSION, 7)
    assert told.startswith(f"What came in during the last 7 days is not like what {VERSION}")
    assert told.count("is scored higher") == 3
    assert told.endswith("And 2 more.")


class Checkpoint(FakeCheckpoint):
    """Surer the redder a picture is; a picture without red is unlike training."""

    encoder = "fake-1"
    image_width, text_width = 3, 4
    reliability = (((0.1, 0.1, 500), (0.5, 0.5, 500)),) * 5

    def predict(self, image, text):
        return np.repeat(image[:, :1], 5, axis=1)

    def unlike(self, image, text):
        return np.stack([image[:, 0] < 0.5, np.ones(len(text), bool)], axis=1)


@pytest.fixture
def registry():
    registry = FakeRegistry()
    registry.checkpoint = Checkpoint()
    registry.now = replace(registry.now, name=VERSION)
    return registry


def stored(store, number, *, held_out, text="nobody expects the coffee before noon"):
    meme = store.add_meme(
        decode(draw_picture(number, size=8)),
        text=text,
        text_source=TextSource.OCR,
        origin="import:test",
        holdout_share=0.0,
        held_out=held_out,
        ocr_confidence=0.75,
    )
    store.put_image_features("fake-1", {meme.id: np.array([number % 2, 0, 0], np.float32)})
    store.put_text_features("fake-1", {text: np.zeros(4, np.float32)})
    return meme


def trained(folder, version, memes):
    """The version with the snapshot of a training on these memes."""
    known = FeatureSet(
        ids=tuple(meme.id for meme in memes),
        image=np.zeros((len(memes), 3), np.float32),
        text=np.zeros((len(memes), 4), np.float32),
        targets=np.zeros((len(memes), 5), np.float32),
        labels=MAMI.names,
    )
    snapshot = Snapshot.take(
        known, memes, encoder="fake-1", recipe=BEST, seed=0, taken_at=now(), last_vote=0, votes=0
    )
    folder.mkdir(exist_ok=True)
    (folder / SNAPSHOT).write_bytes(snapshot.to_bytes())
    return replace(version, path=folder)


def test_the_reference_is_what_the_version_learned_from(store, registry, tmp_path):
    learned = [stored(store, number, held_out=False) for number in range(3)]
    stored(store, 3, held_out=False, text="came later")
    version = trained(tmp_path / "v", registry.now, learned)
    found = Reference.of(store, version, Checkpoint())
    assert found.learned == 3
    assert found.text_length == (len(learned[0].text),) * 3
    assert found.language == {"en": 3}
    assert found.ocr_confidence == (0.75,) * 3


def test_scores_are_compared_with_those_of_held_out_memes(store, registry, tmp_path, monkeypatch):
    monkeypatch.setattr(reference_module, "LEAST", 4)
    learned = [stored(store, 0, held_out=False)]
    for number in range(1, 5):
        stored(store, number, held_out=True, text=" " if number == 1 else f"text {number}")
    version = trained(tmp_path / "v", registry.now, learned)
    stored(store, 5, held_out=True, text="came later")
    found = Reference.of(store, version, Checkpoint())
    assert found.held_out == 4
    assert found.scores["shaming"] == [1, 0, 1, 0]
    assert found.unlike_image == (False, True, False, True)
    assert found.unlike_text == (False, True, True, True)


def test_held_out_memes_that_the_version_learned_from_elsewhere_are_left_out(
    store, registry, tmp_path, monkeypatch
):
    monkeypatch.setattr(reference_module, "LEAST", 2)
    memes = [stored(store, number, held_out=True, text=f"text {number}") for number in range(5)]
    version = trained(tmp_path / "v", registry.now, memes[:3])
    assert Reference.of(store, version, Checkpoint()).held_out == 2


def test_too_few_held_out_memes_leave_the_scores_out_of_fold(store, registry, tmp_path):
    learned = [stored(store, 0, held_out=False)]
    stored(store, 1, held_out=True)
    version = trained(tmp_path / "v", registry.now, learned)
    found = Reference.of(store, version, Checkpoint())
    assert (found.held_out, found.unlike_image) == (0, ())
    assert np.mean(found.scores["shaming"]) == pytest.approx(0.3, abs=0.01)
    assert (min(found.scores["shaming"]), max(found.scores["shaming"])) == (0.1, 0.5)


def test_a_shipped_version_has_its_scores_and_says_what_is_missing(store, registry):
    store.add_inputs([replace(one, version=VERSION) for one in inputs(60)], keep_days=90)
    report = Drift(store, registry, MAMI).report()
    rows = {row.name: row for row in report.rows}
    assert "memes that are not here" in report.about
    assert rows["Length of texts"].verdict is Verdict.UNKNOWN
    assert rows["Scores: Shaming"].shift is not None


def test_a_shipped_version_may_bring_its_own_reference(store, registry, tmp_path):
    brought = replace(reference_of(inputs(300)), created_at=registry.now.created_at)
    brought.write(tmp_path / FILE)
    registry.now = replace(registry.now, path=tmp_path)
    store.add_inputs(inputs(60), keep_days=90)
    report = Drift(store, registry, MAMI).report()
    assert {row.verdict for row in report.rows} == {Verdict.ALIKE}
    assert registry.loads == 0


def test_the_reference_is_worked_out_once_and_kept_over_a_restart(store, registry):
    for _ in range(2):
        drift = Drift(store, registry, MAMI)
        drift.report()
        drift.report()
    assert registry.loads == 1
    registry.now = replace(registry.now, created_at="2026-02-02T00:00:00+00:00")
    Drift(store, registry, MAMI).report()
    assert registry.loads == 2


def test_a_kept_reference_that_is_damaged_is_made_anew(store, registry, caplog):
    Drift(store, registry, MAMI).report()
    file = store.folder / "drift" / f"{VERSION}.json"
    for damage in ("{", json.dumps({"created": 1})):
        file.write_text(damage)
        assert Drift(store, registry, MAMI).report().version == VERSION
        assert Reference.read(file) is not None
    assert sum("made anew" in record.message for record in caplog.records) == 2


def test_a_reference_that_cannot_be_kept_is_used_all_the_same(store, registry, caplog):
    (store.folder / "drift").write_text("a file where the folder should be")
    assert Drift(store, registry, MAMI).report().version == VERSION
    assert "cannot be" in caplog.text


def test_a_real_checkpoint_gives_scores_for_its_labels(store, registry):
    found = Reference.of(store, registry.now, make_checkpoint())
    assert len(found.scores["parent"]) == 8


def parting(store, registry, tmp_path):
    brought = replace(reference_of(inputs(300)), created_at=registry.now.created_at)
    brought.write(tmp_path / FILE)
    registry.now = replace(registry.now, path=tmp_path)
    store.add_inputs(inputs(60, text_length=lambda rng: 500), keep_days=90)
    return Drift(store, registry, MAMI)


def test_the_log_is_told_once_a_day_and_version(store, registry, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "WATCH_SECONDS", 0)
    drift = parting(store, registry, tmp_path)
    drift.watch()
    drift.watch()
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert "Texts are longer" in told[0]


def test_nobody_looks_again_within_the_hour(store, registry, tmp_path, monkeypatch):
    drift = parting(store, registry, tmp_path)
    looks = []
    report = drift.report
    monkeypatch.setattr(drift, "report", lambda: looks.append(1) or report())
    drift.watch()
    drift.watch()
    assert len(looks) == 1


def test_without_a_version_the_watch_is_quiet(store, registry, caplog):
    def none():
        raise NotFound("There is no model version")

    registry.current = none
    Drift(store, registry, MAMI).watch()
    assert not caplog.records
