"""Figures of the benchmarks as SVG: mid-grey ink without ground reads on light and on dark pages,
and colours (Okabe & Ito) go with markers, for those who see them alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#808080"
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"


@dataclass(frozen=True, slots=True)
class Line:
    """A series of points with an interval around each."""

    title: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: str
    marker: str
    style: str = "-"


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes."""

    title: str
    lines: Sequence[Line]
    x_title: str
    ticks: Sequence[tuple[float, str]]
    zero: bool = False
    """Draw a line at y = 0."""


@contextmanager
def sheet(path: Path, panels: int) -> Iterator[tuple[Figure, list[Axes]]]:
    """Axes side by side to draw on, saved when the block ends; the same input gives the same
    bytes."""
    from matplotlib import rc_context  # noqa: PLC0415 - a second that only figures need
    from matplotlib.figure import Figure  # noqa: PLC0415

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": path.stem,
        "font.family": "sans-serif",
        "font.size": 9,
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
        ),
    }
    with rc_context(settings):
        figure = Figure(figsize=(4.2 * panels, 3.6), layout="constrained")
        yield figure, list(figure.subplots(1, panels, squeeze=False)[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})


def draw(panels: Sequence[Panel], path: Path, *, logarithmic: bool = False) -> None:
    """Panels side by side with one legend below."""
    with sheet(path, len(panels)) as (figure, axes):
        for panel, ax in zip(panels, axes, strict=True):
            _fill(panel, ax, logarithmic)
        handles, titles = axes[0].get_legend_handles_labels()
        figure.legend(
            handles, titles, loc="outside lower center", ncols=min(3, len(titles)), frameon=False
        )


def _fill(panel: Panel, ax: Axes, logarithmic: bool) -> None:
    for line in panel.lines:
        y = np.asarray(line.y)
        ax.errorbar(
            line.x,
            y,
            yerr=[y - np.asarray(line.low), np.asarray(line.high) - y],
            label=line.title,
            color=line.colour,
            marker=line.marker,
            linestyle=line.style,
            markersize=5,
            linewidth=1.6,
            elinewidth=1,
            capsize=2,
        )
    ax.set_title(panel.title, fontsize=10)
    ax.set_xlabel(panel.x_title)
    if logarithmic:
        ax.set_xscale("log")
        ax.minorticks_off()
    ax.set_xticks([at for at, _ in panel.ticks], [words for _, words in panel.ticks])
    ax.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)
    if panel.zero:
        ax.axhline(0, color=INK, linewidth=1)
    ax.spines[["top", "right"]].set_visible(False)
