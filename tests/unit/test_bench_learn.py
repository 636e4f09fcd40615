"""The learning benchmark on made-up memes with small recipes."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import FakeEncoder, FakeOcr, draw_picture

from memeapp.bench import baselines, cells
from memeapp.bench.cells import METHODS, Cell, Method, Result, choose, plan, published, subset
from memeapp.bench.labelled import Labelled, load_labelled, split_families
from memeapp.bench.learn import bench_learn
from memeapp.bench.results import OURS, draw_ablation, draw_scores, paired, to_markdown
from memeapp.cli import main
from memeapp.errors import BadInput
from memeapp.images import decode
from memeapp.labels import MAMI
from memeapp.learn.data import FeatureSet
from memeapp.learn.recipe import BEST, REFERENCE
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.types import TextSource


def memes(rows: int, seed: int = 0) -> Labelled:
    """The first words and the text's features decide the labels; every third is alike."""
    rng = np.random.default_rng(seed)
    text = rng.normal(size=(rows, 6))
    targets = (text[:, :5] > [0.0, 0.7, 0.3, 0.5, 0.9]).astype(float)
    words = ["women kitchen", "coffee cold"]
    return Labelled(
        name="made up",
        encoder="none",
        features=FeatureSet(
            ids=tuple(f"{seed}-{row}" for row in range(rows)),
            image=rng.normal(size=(rows, 4)),
            text=text,
            targets=targets,
            labels=MAMI.names,
        ),
        texts=tuple(f"{words[int(yes)]} number {row % 7}" for row, yes in enumerate(targets[:, 0])),
        families=tuple(f"family {row // 3}" for row in range(rows)),
    )


def small(method: Method) -> Method:
    if method.recipe is None:
        return method
    recipe = method.recipe
    return replace(
        method,
        recipe=replace(
            recipe,
            hidden=8,
            branch=8,
            autoencoder=replace(recipe.autoencoder, epochs=2),
            classifier=replace(recipe.classifier, epochs=3),
        ),
    )


SMALL = tuple(map(small, METHODS))
TRAIN, TEST = memes(120), memes(60, seed=1)


def silent(stage: str, done: float) -> None:
    assert 0 <= done <= 1


def bench(out, *, methods=SMALL, counts=(60, 90), **changes):
    settings = dict(seeds=1, inits=1, workers=0, report=silent) | changes
    return bench_learn(TRAIN, TEST, out, counts=counts, methods=methods, **settings)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["memeapp", "bench", "learn", "--test", "/some/where/memes"])
        return out, bench(out)


def test_every_method_is_measured_on_every_subset(done):
    _, outcome = done
    assert len(outcome.results) == len(METHODS) * 2
    for result in outcome.results.values():
        assert result.seconds > 0 and result.peak_mib > 0
        assert result.scores.shape == (4 + 3 * 5,) and result.spread.shape == (1000, 4)
        assert (result.scores[:2] >= 0).all() and (result.scores[:2] <= 1).all()


def test_the_page_has_every_row_in_every_table_and_names_data_and_machine(done):
    out, outcome = done
    page = (out / "results.md").read_text()
    for method in METHODS:
        assert page.count(f"| {method.title} |") == (2 if method.key == OURS else 4)
    assert "120 labelled memes" in page and "60 labels (50 %)" in page
    assert "Python" in page and "torch" in page and "`memeapp " in page
    assert "`memeapp bench learn --test memes`" in page and "/some/where" not in page
    assert all(line.isprintable() for line in page.splitlines())
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {method.key for method in METHODS}
    assert len(rows) == len(outcome.results)


def test_both_figures_are_drawn_the_same_each_time(done, tmp_path):
    out, outcome = done
    for name, draw in (("scores.svg", draw_scores), ("ablation.svg", draw_ablation)):
        drawn = (out / name).read_text()
        assert drawn.lstrip().startswith("<?xml") and "Task B" in drawn
        draw(outcome, tmp_path / name)
        assert (tmp_path / name).read_text() == drawn
    assert "best" in (out / "scores.svg").read_text()


def test_starting_again_computes_nothing_and_says_the_same(done, monkeypatch):
    out, outcome = done

    def forbidden(group):
        raise AssertionError("computed again")

    monkeypatch.setattr(cells, "_run_group", forbidden)
    assert to_markdown(bench(out)) == to_markdown(outcome)


def test_only_cells_that_are_lost_damaged_or_of_another_recipe_are_computed(tmp_path, monkeypatch):
    computed = []
    real = cells.answers

    def counted(name, train, test, seed):
        computed.append((name, int(train.features.judged.sum())))
        return real(name, train, test, seed)

    monkeypatch.setattr(cells, "answers", counted)
    two = choose(METHODS, ["logistic", "tfidf"])
    bench(tmp_path, methods=two)
    assert len(computed) == 4
    (tmp_path / "cells" / "tfidf-60-0-0.npz").unlink()
    (tmp_path / "cells" / "logistic-90-0-0.npz").write_bytes(b"damaged")
    computed.clear()
    bench(tmp_path, methods=two)
    assert sorted(computed) == [("logistic", 90), ("tfidf", 60)]
    computed.clear()
    other = replace(TRAIN, texts=TRAIN.texts[::-1])
    bench_learn(
        other, TEST, tmp_path, counts=[60], methods=two, seeds=1, inits=1, workers=0, report=silent
    )
    assert len(computed) == 2, "other texts, other results"


def test_finished_cells_are_kept_out_of_git(done):
    out, _ = done
    assert (out / "cells" / ".gitignore").read_text() == "*\n"
    assert not list((out / "cells").glob("*.partial"))


def test_worker_processes_find_the_same_scores(done, tmp_path):
    _, outcome = done
    methods = [method for method in SMALL if method.key in ("logistic", "best")]
    there = bench(tmp_path, methods=methods, counts=[60], seeds=1, workers=1)
    for cell, result in there.results.items():
        np.testing.assert_allclose(result.scores, outcome.results[cell].scores, atol=1e-6)


def test_subsets_are_nested_differ_between_seeds_and_hide_the_rest():
    few, more = (subset(TRAIN, count, 3).features.judged for count in (40, 80))
    assert few.sum() == 40 and more.sum() == 80
    assert (more | ~few).all()
    assert (subset(TRAIN, 40, 4).features.judged != few).any()
    assert len(subset(TRAIN, 40, 3)) == len(TRAIN)


def test_methods_without_initialisation_have_one_cell_a_subset():
    cells_of = list(plan(METHODS, [30, 60], seeds=2, inits=3, rows=120))
    assert sum(cell.method == "svm" for cell, _ in cells_of) == 4
    assert sum(cell.method == "best" for cell, _ in cells_of) == 12
    assert len({cell.file for cell, _ in cells_of}) == len(cells_of)


def test_recipes_that_need_unlabelled_memes_are_left_out_where_there_are_none():
    methods = {cell.method for cell, _ in plan(METHODS, [120], 1, 1, rows=120)}
    assert methods == {"logistic", "svm", "tfidf", "best"}


def test_the_reference_decays_as_its_code_does_for_each_share():
    decays = [published(REFERENCE, n, 1000).classifier.decay for n in (50, 100, 300)]
    assert decays == [0.93, 0.90, 0.85]
    assert published(BEST, 50, 1000) is BEST


def test_the_three_ablations_are_the_reference_less_its_parts():
    recipes = {method.key: method.recipe for method in METHODS}
    assert recipes["reference"] == REFERENCE
    assert replace(recipes["no-cook"], cook=True) == REFERENCE
    assert replace(recipes["no-loss"], loss=REFERENCE.loss) == REFERENCE
    assert replace(recipes["neither"], cook=True, loss=REFERENCE.loss) == REFERENCE


def test_a_method_minus_itself_is_zero_and_its_interval_too(done):
    _, outcome = done
    runs = outcome.of("logistic", 60)
    difference = paired(runs, runs, 1)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_a_difference_is_paired_by_resample():
    rng = np.random.default_rng(0)
    luck = rng.normal(size=(500, 1))
    cell = Cell("any", 60, 0, 0)
    worse = Result(cell, 1.0, 1.0, np.full(4, 0.5), np.full((500, 4), 0.5) + luck)
    better = Result(cell, 1.0, 1.0, np.full(4, 0.6), np.full((500, 4), 0.6) + luck)
    difference = paired([better], [worse, worse], 0)
    assert difference.value == pytest.approx(0.1)
    assert (difference.low, difference.high) == pytest.approx((0.1, 0.1))


def test_baselines_answer_with_probabilities_and_consistent_decisions():
    known = subset(TRAIN, 90, 0)
    for name in baselines.BASELINES:
        said = baselines.answers(name, known, TEST, seed=0)
        assert ((said.probabilities >= 0) & (said.probabilities <= 1)).all()
        assert not (said.decisions[:, 1:] & ~said.decisions[:, :1]).any()
        truth = TEST.features.targets[:, 0] > 0.5
        assert (said.decisions[:, 0] == truth).mean() > 0.75, name


def test_a_baseline_takes_labels_that_nobody_gave_or_everybody():
    features = subset(TRAIN, 60, 0).features
    targets = features.targets.copy()
    targets[:, 1], targets[~np.isnan(targets[:, 2]), 2] = np.nan, 0.0
    targets[np.flatnonzero(features.judged)[0], 1] = 1.0
    known = replace(TRAIN, features=replace(features, targets=targets))
    said = baselines.answers("logistic", known, TEST, seed=0)
    assert np.isfinite(said.probabilities).all()


def test_a_family_is_on_one_side_and_stays_there():
    train, test = split_families(TRAIN)
    assert not set(train.families) & set(test.families)
    assert len(train) + len(test) == len(TRAIN) and 0.05 < len(test) / len(TRAIN) < 0.4
    part, _ = split_families(TRAIN.take(np.arange(90)))
    assert set(part.families) <= set(train.families)
    with pytest.raises(BadInput, match="--test"):
        split_families(TRAIN.take(np.arange(2)))


@pytest.mark.parametrize("counts", [[20], [60, 121]])
def test_numbers_of_labels_that_there_are_not_are_refused(tmp_path, counts):
    with pytest.raises(BadInput, match="between 30 and the 120"):
        bench(tmp_path, counts=counts)


def test_an_unknown_method_is_named():
    with pytest.raises(BadInput, match="'guessing'"):
        choose(METHODS, ["best", "guessing"])


def load(folder):
    return load_labelled(
        folder,
        settings=Settings(),
        encoder=FakeEncoder(),
        ocr=FakeOcr,
        schema=MAMI,
        report=silent,
    )


def test_labelled_memes_come_from_a_data_folder(tmp_path):
    store = Store(tmp_path / "data")
    person = store.named_annotator("a table", "import")
    for number, text in enumerate(("red", "an engine", "nothing")):
        meme = store.add_meme(
            decode(draw_picture(number)),
            text=text,
            text_source=TextSource.GIVEN,
            origin="test",
            holdout_share=0.0,
        )
        if number < 2:
            yes = dict.fromkeys(MAMI.names, number == 0)
            store.import_vote(
                person.id,
                meme.id,
                yes,
                key=str(number),
            )
    store.close()
    found = load(tmp_path / "data")
    assert sorted(found.texts) == ["an engine", "red"]
    assert found.features.judged.all() and found.encoder == "fake-1"
    assert len(set(found.families)) == len(set(found.features.groups.tolist())) == 2


def test_labelled_memes_come_from_a_folder_in_mamis_layout(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = ["\t".join(["file_name", *MAMI.names, "Text Transcription"])]
    for number in range(3):
        (folder / f"{number}.png").write_bytes(draw_picture(number))
        lines.append("\t".join([f"{number}.png", *"10000", f"text {number}"]))
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    found = load(folder)
    assert found.name == "corpus" and len(found) == 3
    assert found.features.targets[:, 0].tolist() == [1, 1, 1]


def test_a_folder_without_labels_is_refused(tmp_path):
    Store(tmp_path).close()
    with pytest.raises(BadInput, match="no labelled memes"):
        load(tmp_path)


def test_a_list_that_is_none_is_refused_by_the_command(tmp_path):
    result = CliRunner().invoke(
        main, ["bench", "learn", "--shares", "5;10", "--out", str(tmp_path)]
    )
    assert result.exit_code == 2 and "5;10" in result.output


def test_results_are_valid_without_our_method(tmp_path):
    outcome = bench(tmp_path, methods=choose(METHODS, ["logistic"]), counts=[60], seeds=1)
    assert "`best` minus" not in to_markdown(outcome).split("## 60")[1]
    assert json.dumps(outcome.results[Cell("logistic", 60, 0, 0)].scores.tolist())
