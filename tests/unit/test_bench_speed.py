"""The benchmark of speed: the loop that it compares with computes what `fit` computes."""

from dataclasses import replace

import numpy as np
import pytest

from memeapp.bench import speed
from memeapp.bench.speed import (
    FIT_BEST,
    FIT_REFERENCE,
    LOOP,
    LOOP_ONE,
    RUNNERS,
    Grown,
    Size,
    bench_speed,
    grow,
    made_up,
    run,
)
from memeapp.learn.recipe import BEST, REFERENCE

SIZE = Size(unlabelled=240, labelled=320, test=300, widths=(24, 16))


def short(recipe, epochs):
    return replace(
        recipe,
        hidden=16,
        branch=16,
        autoencoder=replace(recipe.autoencoder, epochs=epochs, rate=2e-3),
        classifier=replace(recipe.classifier, epochs=epochs, rate=2e-3),
    )


def in_short(name, size=SIZE, seed=0):
    return run(name, size, seed, reference=short(REFERENCE, 12), best=short(BEST, 3))


@pytest.fixture(scope="module")
def timed():
    return {name: in_short(name) for name in (LOOP, FIT_REFERENCE, FIT_BEST)}


def test_the_loop_and_fit_learn_the_same(timed):
    loop, ours = timed[LOOP], timed[FIT_REFERENCE]
    untrained = run(LOOP, SIZE, 0, reference=short(REFERENCE, 0))
    for theirs, mine, start in zip(loop.losses, ours.losses, untrained.losses, strict=True):
        assert mine == pytest.approx(theirs, rel=0.05)
        assert abs(mine - theirs) < 0.3 * (start - theirs), "both have learned as much"
    np.testing.assert_allclose(ours.scores[2], loop.scores[2], atol=0.03)


def test_every_run_is_timed_and_scored(timed):
    for one in timed.values():
        assert one.seconds > 0 and one.peak_mib > 0
        assert np.isfinite(one.scores).all() and one.spread.shape[0] == 1000
    assert np.isnan(timed[FIT_BEST].losses).all()


def test_the_last_rows_have_no_labels_and_the_test_has_all():
    train, test = made_up(SIZE, 0)
    assert train.judged.sum() == train.judged[: SIZE.labelled].sum() == SIZE.labelled
    assert len(train) == 560 and test.judged.all()


def test_growth_counts_rows_and_labels():
    one = grow(200, (24, 16), short(BEST, 1))
    assert (one.rows, one.labelled) == (200, 60)
    assert one.seconds > 0 and one.peak_mib > 0


def test_the_page_has_a_line_for_every_way_and_every_size(tmp_path, monkeypatch, timed):
    def at_once(function, tasks, **options):
        for task in tasks:
            if isinstance(task, int):
                yield Grown(task, task // 3, 1.0, 2.0, 500.0)
            else:
                yield replace(timed[LOOP if task == LOOP_ONE else task], name=task)

    monkeypatch.setattr(speed, "in_fresh_processes", at_once)
    told = []
    bench_speed(
        tmp_path,
        seeds=1,
        rows=[1000, 3000],
        report=lambda stage, done: told.append(done),
        size=SIZE,
    )
    page = (tmp_path / "speed.md").read_text()
    for name in RUNNERS:
        assert f"| {name} |" in page
    assert "| 1,000 | 333 | 1.0 | 2.0 | 500 |" in page and "| 3,000 |" in page
    assert "240 memes without and 320 with labels" in page
    assert told == sorted(told) and told[-1] == 1


def test_parts_that_are_not_wanted_are_not_on_the_page(tmp_path):
    bench_speed(tmp_path, seeds=0, rows=[], report=lambda stage, done: None)
    page = (tmp_path / "speed.md").read_text()
    assert "Growth" not in page and "loop" not in page
