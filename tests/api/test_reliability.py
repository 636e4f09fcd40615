"""The reliability plot is built without a server."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

from memeapp.ui.components import reliability_svg

POINTS = [(0.1, 0.2, 30), (0.5, 0.5, 30), (0.9, 0.75, 40)]


def test_every_bin_is_a_point_at_its_place_with_its_numbers() -> None:
    figure = fromstring(str(reliability_svg(POINTS, "Misogynous")))
    circles = figure.findall(".//circle")
    assert [(circle.get("cx"), circle.get("cy")) for circle in circles] == [
        ("44.0", "90.0"),
        ("84.0", "60.0"),
        ("124.0", "35.0"),
    ]
    assert circles[0].findtext("title") == "10 % predicted, 20 % found, 30 memes"
    words = " ".join(text.strip() for text in figure.itertext())
    assert "predicted, %" in words
    assert "found, %" in words


def test_the_caption_gives_the_mean_distance_weighted_by_memes() -> None:
    assert "on average 9.0 points off, 100 memes" in reliability_svg(POINTS, "Misogynous")


def test_a_label_without_points_says_so_and_is_escaped() -> None:
    figure = reliability_svg([], "<b>")
    assert "not measured" in figure
    assert "<svg" not in figure
    assert "&lt;b&gt;" in figure
