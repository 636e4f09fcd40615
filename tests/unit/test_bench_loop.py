"""The loop on memes drawn here: the annotators' noise, what the app is told, going on again."""

import csv
import json
import shutil
import sqlite3
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import FakeEngines, draw_picture

from memeapp import jobs
from memeapp.bench import loop as module
from memeapp.bench.annotators import Annotators, answer
from memeapp.bench.loop import bench_loop
from memeapp.bench.loop_data import encode, read_truth
from memeapp.bench.loop_page import difference, to_markdown
from memeapp.bench.loop_steps import FIRST, POLICIES, Loop, Step, Task
from memeapp.errors import BadInput
from memeapp.jobs import Jobs
from memeapp.judging import Plan
from memeapp.labels import MAMI
from memeapp.learn.recipe import BEST
from memeapp.registry import Registry
from memeapp.service.evaluation import Evaluation
from memeapp.service.labelling import Labelling
from memeapp.service.ranks import Ranking
from memeapp.service.training import Training
from memeapp.service.transfer import Transfer
from memeapp.settings import Settings
from memeapp.store import Store

MEMES, STEP = 120, 60
YES = {**dict.fromkeys(MAMI.names, False), "misogynous": True, "stereotype": True}
NO = dict.fromkeys(MAMI.names, False)
QUICK = replace(
    BEST,
    hidden=6,
    branch=6,
    folds=2,
    autoencoder=replace(BEST.autoencoder, epochs=1),
    classifier=replace(BEST.classifier, epochs=4),
)
TASK = Task(seeds=1, step=STEP, recipe=QUICK)


def silent(stage, done):
    pass


def open_app(settings):
    """The app's real parts, with the encoder and the OCR of these tests."""
    store = Store(settings.data)
    registry = Registry(settings.models, settings.data / "models")
    engines = FakeEngines()
    evaluation = Evaluation(store, registry, engines, MAMI, max_upload_mb=20)
    training = Training(store, registry, engines, MAMI, evaluation)
    return SimpleNamespace(
        schema=MAMI,
        store=store,
        registry=registry,
        engines=engines,
        labelling=Labelling(store, MAMI, max_text=2000),
        training=training,
        transfer=Transfer(store, MAMI, holdout_share=0.3, max_upload_mb=20, max_text=2000),
        jobs=Jobs(store, training, settings),
        ranking=Ranking(store, registry, engines, MAMI),
    )


@pytest.fixture(scope="module", autouse=True)
def the_encoder_of_these_tests_can_be_asked_for():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "check_encoder", lambda name: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Labelled memes: "kitchen" is a misogynous stereotype, "engine" is harmless."""
    folder = tmp_path_factory.mktemp("corpus") / "drawn"
    (folder / "images").mkdir(parents=True)
    with (folder / "data.csv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(["file_name", *MAMI.names, "Text Transcription"])
        for number in range(MEMES):
            (folder / "images" / f"{number}.png").write_bytes(draw_picture(number))
            truth, word = (YES, "kitchen") if number % 2 else (NO, "engine")
            labels = [int(truth[name]) for name in MAMI.names]
            table.writerow([f"{number}.png", *labels, f"{word} number {number}"])
    return folder


def run(folder, out, **changes):
    task = replace(TASK, **changes)
    settings = Settings(data=out / "unused")
    return bench_loop(folder, out, settings=settings, open_app=open_app, task=task, report=silent)


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    run(folder, out)
    return out


def rows(out):
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


def flips(said, truth):
    return np.array([said[name] != truth[name] for name in MAMI.names])


def test_each_label_of_a_misogynous_meme_is_flipped_at_the_rate_that_is_asked():
    every = dict.fromkeys(MAMI.names, True)
    answers = [answer(every, 0.1, MAMI, f"meme {number}") for number in range(8000)]
    flipped = np.array([flips(said, every) for said in answers if said["misogynous"]])
    assert 1 - len(flipped) / len(answers) == pytest.approx(0.1, abs=0.012)
    np.testing.assert_allclose(flipped[:, 1:].mean(axis=0), 0.1, atol=0.012)


def test_an_answer_is_always_one_that_the_app_takes():
    contradictory = {**NO, "shaming": True}
    for number in range(300):
        for truth in (YES, NO, contradictory):
            MAMI.check(answer(truth, 0.3, MAMI, str(number)))


def test_who_never_errs_tells_the_truth_and_the_same_salt_errs_alike():
    assert answer(YES, 0.0, MAMI, "any") == YES
    assert answer(YES, 0.4, MAMI, "any") == answer(YES, 0.4, MAMI, "any")
    assert len({str(answer(YES, 0.4, MAMI, str(salt))) for salt in range(50)}) > 5


def test_people_label_as_many_memes_as_are_asked_each_once_and_stop_when_none_is_left(
    folder, tmp_path
):
    app = open_app(Settings(data=tmp_path, models=tmp_path / "none"))
    memes, truth = read_truth(folder, MAMI)
    encode(app, memes, "drawn", silent)
    session = app.labelling.open_session(Plan("Room", votes_per_meme=1), list(truth)[:30])
    people = Annotators(app.labelling, session.id, truth, people=3, noise=0.0, seed=0)
    assert [people.label(20).total() for _ in range(3)] == [20, 10, 0]
    votes = app.store.standing_votes()
    assert len({vote.meme_id for vote in votes}) == 30
    assert len({vote.annotator_id for vote in votes}) == 3
    assert all(vote.labels == truth[vote.meme_id] for vote in votes)
    app.store.close()


def test_the_app_learns_of_a_truth_by_votes_alone(folder, tmp_path):
    app = open_app(Settings(data=tmp_path / "data", models=tmp_path / "none"))
    memes, truth = read_truth(folder, MAMI)
    encode(app, memes, "drawn", silent)
    assert len(app.store.memes()) == MEMES
    assert {meme.id for meme in app.store.memes()} == set(truth)
    assert app.store.standing_votes() == []
    assert app.store.annotators() == []
    app.store.close()
    db = sqlite3.connect(tmp_path / "data" / "memeapp.db")
    assert {stratum for (stratum,) in db.execute("SELECT stratum FROM memes")} == {""}
    db.close()
    assert not list((tmp_path / "data").rglob("data.*"))


def test_memes_without_all_labels_are_refused(folder, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "one.png").write_bytes(draw_picture(1))
    with pytest.raises(BadInput, match="one.png.*lacks labels"):
        run(bare, tmp_path / "out")


def test_every_policy_gives_a_row_for_each_step_until_all_is_labelled(out):
    steps = [(row["policy"], int(row["labels"])) for row in rows(out)]
    assert steps == [(policy, labels) for policy in POLICIES for labels in (STEP, MEMES)]
    for row in rows(out):
        assert 0 < int(row["held_out_labelled"]) <= int(row["held_out"]) < MEMES
        assert 0 < float(row["b"]) <= 1


def test_the_first_version_answers_and_the_next_one_only_if_the_gate_lets_it(out):
    for first, second in zip(rows(out)[::2], rows(out)[1::2], strict=True):
        assert (first["verdict"], first["promoted"], first["difference_b"]) == (FIRST, "True", "")
        assert first["answering_b"] == first["b"]
        assert second["verdict"] in ("promote", "wait", "unknown")
        promoted = second["verdict"] == "promote"
        assert second["promoted"] == str(promoted)
        assert second["answering_b"] == (second if promoted else first)["b"]


def test_the_first_step_is_by_chance_and_later_ones_follow_the_queues(out):
    by_chance = {(row["policy"], row["labels"]): int(row["by_chance"]) for row in rows(out)}
    assert by_chance["mixed", str(STEP)] == by_chance["random", str(STEP)] == STEP
    assert by_chance["random", str(MEMES)] == STEP > by_chance["mixed", str(MEMES)]


def test_both_policies_of_a_seed_have_the_same_holdout_and_end_with_the_same_votes(out):
    random, mixed = (rows(out)[at] for at in (1, 3))
    for column in ("held_out", "templates", "held_out_labelled", "seen_b"):
        assert random[column] == mixed[column]


def test_another_seed_holds_out_others_and_goes_through_them_in_another_order(
    folder, out, tmp_path
):
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    run(folder, tmp_path, seeds=2)
    assert [row for row in rows(tmp_path) if row["seed"] == "0"] == rows(out)
    first, second = ([row for row in rows(tmp_path) if row["seed"] == seed] for seed in "01")
    told = ("held_out", "held_out_labelled", "b", "seen_b")
    assert [[row[name] for name in told] for row in first] != [
        [row[name] for name in told] for row in second
    ]


def test_a_run_that_is_done_is_not_repeated_and_one_that_was_interrupted_is(
    folder, tmp_path, monkeypatch
):
    begun = []
    real = module._run

    def watched(app, policy, seed, *rest):
        begun.append((policy, seed))
        for number, step in enumerate(real(app, policy, seed, *rest)):
            if len(begun) == 2 and number == 1:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(module, "_run", watched)
    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path)
    assert {row["policy"] for row in rows(tmp_path)} == {"random"}
    before = rows(tmp_path)
    run(folder, tmp_path)
    assert begun == [("random", 0), ("mixed", 0), ("mixed", 0)]
    assert rows(tmp_path)[: len(before)] == before
    assert len(rows(tmp_path)) == 2 * len(POLICIES)
    run(folder, tmp_path)
    assert len(begun) == 3


def test_what_was_made_of_another_task_is_not_taken_for_this_one(folder, out):
    kept = json.loads((out / "cells" / "random-0.json").read_text())
    cells = out / "cells" / "random-0.json"
    cells.write_text(json.dumps({**kept, "key": "another"}))
    run(folder, out)
    again = json.loads(cells.read_text())
    assert again["key"] == kept["key"]
    timing = {"seconds", "peak_mib"}
    assert [{n: v for n, v in step.items() if n not in timing} for step in again["steps"]] == [
        {n: v for n, v in step.items() if n not in timing} for step in kept["steps"]
    ]


def test_memes_of_too_few_templates_are_refused_with_what_the_gate_needs(tmp_path):
    folder = tmp_path / "alike"
    (folder / "images").mkdir(parents=True)
    lines = ["\t".join(["file_name", *MAMI.names, "Text Transcription"])]
    for number in range(3):
        (folder / "images" / f"{number}.png").write_bytes(draw_picture(number))
        lines.append("\t".join([f"{number}.png", *"00000", f"number {number}"]))
    (folder / "data.csv").write_text("\n".join(lines))
    with pytest.raises(BadInput, match="too few templates"):
        run(folder, tmp_path / "out")


def made_up(policy, seed, b, verdict="promote"):
    return Step(
        policy=policy,
        seed=seed,
        labels=200,
        by_chance=200,
        held_out_labelled=40,
        held_out=400,
        templates=8,
        a=0.8,
        b=b,
        answering_a=0.8,
        answering_b=b,
        seen_b=None,
        verdict=verdict,
        difference_a=0.0,
        not_worse_a=0.95,
        difference_b=0.0125,
        not_worse_b=0.95,
        promoted=verdict == "promote",
        seconds=3.0,
        peak_mib=500.0,
    )


def test_policies_are_compared_seed_by_seed():
    steps = [made_up("random", seed, 0.5 + seed / 10) for seed in range(3)]
    steps += [made_up("mixed", seed, 0.52 + seed / 10) for seed in range(3)]
    gain = difference(Loop("made up", 2000, "fake", "0" * 64, Task(), tuple(steps)), 200, "b")
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.02, 0.02, 0.02))


def test_the_page_counts_the_gates_decisions_and_names_what_it_is_about():
    steps = [made_up("random", seed, 0.6, verdict) for seed, verdict in enumerate(["wait"] * 2)]
    page = to_markdown(Loop("made up", 2000, "fake", "0" * 64, Task(), tuple(steps)))
    assert "`made up`" in page and "flipped with probability 10%" in page
    assert "| 200 | `random` | 200 | 40 | 0 | 2 | 0 | +0.013 | 0.95 | – |" in page


def test_the_figure_and_the_page_are_there_with_every_kind_of_decision(out):
    assert "](loop.svg)" in (out / "loop.md").read_text()
    assert "The gate's decision in each run" in (out / "loop.svg").read_text()
