"""The two-view laboratory: its worlds are what they claim, and its page says what was measured."""

from dataclasses import replace

import numpy as np
import pytest

from memeapp.bench import lab
from memeapp.bench.lab import PREVALENCE, Setting, Size, Trial, World, bench_lab, mean_gain
from memeapp.learn.recipe import BEST

WIDTHS = (40, 30)
QUICK = replace(
    BEST,
    hidden=8,
    branch=8,
    autoencoder=replace(BEST.autoencoder, epochs=1),
    classifier=replace(BEST.classifier, epochs=2),
)


def explained(image, text):
    """Share of the text's variance that a linear map of the picture tells, on unseen rows."""
    image, text = image - image.mean(axis=0), text - text.mean(axis=0)
    half = len(image) // 2
    weights, *_ = np.linalg.lstsq(image[:half], text[:half], rcond=None)
    rest = text[half:] - image[half:] @ weights
    return 1 - (rest**2).mean() / (text[half:] ** 2).mean()


def told(shared, **options):
    memes = World.draw(shared, 0, widths=WIDTHS, **options).memes(4000, 1)
    return explained(memes.image, memes.text)


def test_the_picture_tells_of_the_text_what_is_shared_and_no_more():
    at = [told(shared) for shared in (0.0, 0.25, 0.75)]
    assert at[0] == pytest.approx(0, abs=0.04)
    assert at[0] < at[1] - 0.05 < at[2] - 0.1
    assert at[1] < 0.25 and at[2] < 0.75


def test_views_without_a_shared_part_are_not_correlated():
    memes = World.draw(0.0, 3, widths=WIDTHS).memes(20_000, 4)
    across = np.corrcoef(memes.image.T, memes.text.T)[: WIDTHS[0], WIDTHS[0] :]
    assert np.abs(across).max() < 5 / np.sqrt(20_000)


def test_prevalences_are_as_stated_and_a_kind_implies_the_parent():
    targets = World.draw(0.25, 0, widths=WIDTHS).memes(2000, 1).targets
    np.testing.assert_allclose(targets.mean(axis=0), PREVALENCE, atol=0.002)
    assert not (targets[:, 1:].any(axis=1) & (targets[:, 0] == 0)).any()


def test_labels_about_the_shared_part_can_be_told_from_either_view():
    def agreement(about):
        memes = World.draw(0.5, 0, told=about, widths=(90, 90)).memes(4000, 1)
        truth = memes.targets[:, :1] - memes.targets[:, :1].mean()
        image = explained(memes.image, truth)
        return image, explained(np.hstack([memes.image, memes.text]), truth)

    alone, both = agreement(1.0)
    assert both < 1.25 * alone
    alone, both = agreement(0.0)
    assert both > 1.6 * alone


def test_memes_of_a_world_differ_by_seed_and_repeat_with_it(monkeypatch):
    world = World.draw(0.25, 0, widths=WIDTHS)
    memes = world.memes(50, 1)
    assert (world.memes(50, 1).image == memes.image).all()
    assert (world.memes(50, 2).image != memes.image).all()
    monkeypatch.setattr(lab, "CHUNK", 7)
    assert world.memes(50, 1).image.shape == (50, WIDTHS[0])
    assert np.isfinite(world.memes(50, 1).text).all()


def test_a_gain_is_the_mean_with_students_interval():
    setting = Setting(0.25, 1.0)
    trials = [Trial(setting, np.full(3, gain), np.zeros(3)) for gain in (0.1, 0.2, 0.3)]
    gain = mean_gain(trials, 1)
    assert gain.value == pytest.approx(0.2)
    assert gain.high - gain.value == pytest.approx(4.3027 * 0.1 / np.sqrt(3), rel=1e-4)
    assert np.isnan(mean_gain(trials[:1], 1).low)


def test_a_recipe_without_autoencoders_gains_exactly_nothing_over_itself(monkeypatch):
    monkeypatch.setattr(
        lab,
        "replace",
        lambda value, **changes: replace(
            value, **{name: new for name, new in changes.items() if name != "cook"}
        ),
    )
    one = lab.trial((Setting(0.25, 1.0), 0), Size(80, 40, 60, WIDTHS), replace(QUICK, cook=False))
    assert (one.gain == 0).all()


def test_the_page_has_a_line_for_every_setting(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "SHARED", (0.0, 0.25))
    monkeypatch.setattr(lab, "TOLD", (1.0, 0.0))
    bench_lab(
        tmp_path,
        seeds=2,
        workers=0,
        report=lambda stage, done: None,
        size=Size(80, 40, 60, WIDTHS),
        recipe=QUICK,
    )
    page = (tmp_path / "lab.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| ") and "%" in line]
    assert [line.split("|")[1].strip() for line in lines] == [
        *("0%", "25%"),
        *("100%", "0%"),
    ]
    assert "nan" not in page
    assert "shared variance" in (tmp_path / "lab.svg").read_text()
