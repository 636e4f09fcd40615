"""What the loop gave, as results.csv, loop.md and loop.svg."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memeapp.bench.figures import BLUE, INK, VERMILLION, sheet
from memeapp.bench.loop_steps import FIRST, PEOPLE, POLICIES, Loop, Step
from memeapp.bench.machine import heading
from memeapp.bench.results import in_words, over_draws
from memeapp.learn.gate import FEWEST_GROUPS, FEWEST_MEMES, Verdict
from memeapp.learn.metrics import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASE, OTHER = POLICIES
"""The policy that the other one is compared with, and that one."""
DRAWN = {BASE: (VERMILLION, "s", "--"), OTHER: (BLUE, "o", "-")}
NEW, ANSWERING = "b", "answering_b"
TITLES = {NEW: "B of the version just trained", ANSWERING: "B of the version that answers"}
MARKS = {
    FIRST: ("D", "full", "the first, answers"),
    Verdict.PROMOTE.value: ("o", "full", "promoted"),
    Verdict.WAIT.value: ("o", "none", "waits"),
    Verdict.UNKNOWN.value: ("x", "full", "cannot tell, waits"),
}
"""Verdict → marker, its filling, and words."""


def write_page(loop: Loop, out: Path) -> None:
    with (out / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Step)], lineterminator="\n")
        writer.writeheader()
        for step in loop.steps:
            writer.writerow(
                {
                    name: round(value, 5) if isinstance(value, float) else value
                    for name, value in asdict(step).items()
                }
            )
    _draw(loop, out / "loop.svg")
    (out / "loop.md").write_text(to_markdown(loop), encoding="utf-8")


def values(steps: Mapping[int, Step], column: str) -> list[float]:
    """A column of some steps, where it has a value."""
    found = (getattr(step, column) for step in steps.values())
    return [float(value) for value in found if value is not None]


def difference(loop: Loop, labels: int, column: str) -> Figure | None:
    """`mixed` minus `random` with the same seed, over seeds; None where none has both."""
    base, other = loop.of(BASE, labels), loop.of(OTHER, labels)
    gains = [
        getattr(other[seed], column) - getattr(base[seed], column)
        for seed in sorted(base.keys() & other.keys())
    ]
    return over_draws(gains) if gains else None


def to_markdown(loop: Loop) -> str:
    shares = ", ".join(f"{queue} {share:.0%}" for queue, share in POLICIES[OTHER].items())
    held_out = [(step.held_out, step.templates) for step in loop.steps]
    low, high = min(held_out, default=(0, 0)), max(held_out, default=(0, 0))
    seeds = len({step.seed for step in loop.steps})
    parts = [
        "# What the loop gives, label by label",
        heading(),
        f"{loop.memes:,} memes of `{loop.name}` (SHA-256 {loop.digest[:12]}), encoded with "
        f"`{loop.encoder}`, are imported without their labels. {PEOPLE} simulated people join a "
        "session and judge what the app hands out, one vote a meme; each label of a vote is the "
        f"truth flipped with probability {loop.task.noise:.0%} (where the parent comes out as no, "
        f"the kinds do too). After every {loop.task.step:,} votes the app trains, its gate "
        "decides, and the queues are ranked anew: all by the code that the app itself runs.",
        f"- `{BASE}`: every meme comes by chance. `{OTHER}`: the shares that the Admin page "
        f"proposes ({shares}); with one vote a meme there is nothing to ask again, so the share of "
        "`relabel` goes to the other queues. The first step is by chance for both: without a "
        "version there are no ranks. At the end both have all labels, and learn the same.\n"
        "- There is no shipped version, as it has learned from labels of this data set (the "
        "embedded encoder has from its texts, not from its labels). The first version "
        "of each run answers without a comparison; one that the gate lets wait stays waiting, as "
        "nobody looks at it.\n"
        "- B (and A, in `results.csv`) is measured on all held-out memes against the truth, not "
        "only on those that people have judged; the gate sees only these, with their noise. Held "
        f"out are {low[0]:,} memes of {low[1]} templates to {high[0]:,} of {high[1]}, by seed. "
        "Votes on held-out memes count as labels here, though no version learns from them.\n"
        f"- {seeds} seeds: a seed decides the order of the import and with it which templates are "
        "held out, the order of chance, who errs where, and the training's randomness. Both "
        "policies have the same ones. A draw that holds out fewer than "
        f"{FEWEST_GROUPS} templates is made anew, as the gate could never speak in it.\n"
        "- In brackets Student's 95 % intervals over seeds; differences are paired by seed, in "
        "bold where above zero.",
        "![B against labels for both policies, and the gate's decisions](loop.svg)",
        *(f"## {TITLES[column]}\n\n{_scores(loop, column)}" for column in (NEW, ANSWERING)),
        "## The gate\n\n"
        f"Fewer than {FEWEST_MEMES} labelled held-out memes, or {FEWEST_GROUPS} templates among "
        "them, are too few to tell. “Not worse” is the gate's mean probability, in task B, that "
        "the new version is not worse than the one that answers by more than the margin (it asks "
        "the same of task A, which is in `results.csv`); B as "
        "the app sees it is that of the version just trained, on the labelled held-out memes "
        f"against the votes.\n\n{_gate(loop)}",
        f"A training with its gate and ranking took "
        f"{_mean([step.seconds for step in loop.steps]):.0f} s on average; the largest resident "
        f"size was {max((step.peak_mib for step in loop.steps), default=0.0):,.0f} MiB, everything "
        "that the benchmark holds included.",
    ]
    return "\n\n".join(parts) + "\n"


def _scores(loop: Loop, column: str) -> str:
    rows = [f"| labels | `{BASE}` | `{OTHER}` | `{OTHER}` minus `{BASE}` |", "| --- " * 4 + "|"]
    for labels in loop.counts:
        means = [_figure(values(loop.of(policy, labels), column)) for policy in POLICIES]
        gain = difference(loop, labels, column)
        rows.append(f"| {labels:,} | {' | '.join(means)} | {in_words(gain) if gain else '–'} |")
    return "\n".join(rows)


def _gate(loop: Loop) -> str:
    rows = [
        "| labels | policy | by chance | labelled, held out | promoted | waits | cannot tell "
        "| difference in B | not worse | B as the app sees it |",
        "| --- " * 10 + "|",
    ]
    for labels in loop.counts:
        for policy in POLICIES:
            steps = loop.of(policy, labels)
            verdicts = Counter(step.verdict for step in steps.values())
            promoted, waits, unknown = (verdicts[verdict.value] for verdict in Verdict)
            gained = values(steps, "difference_b")
            cells = [
                f"{labels:,}",
                f"`{policy}`",
                f"{_mean(values(steps, 'by_chance')):.0f}",
                f"{_mean(values(steps, 'held_out_labelled')):.0f}",
                "(the first)" if verdicts[FIRST] else promoted,
                waits,
                unknown,
                f"{_mean(gained):+.3f}" if gained else "–",
                f"{_mean(values(steps, 'not_worse_b')):.2f}" if gained else "–",
                _plain(values(steps, "seen_b")),
            ]
            rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def _mean(numbers: Sequence[float]) -> float:
    return float(np.mean(numbers)) if numbers else float("nan")


def _plain(numbers: Sequence[float]) -> str:
    return f"{_mean(numbers):.3f}" if numbers else "–"


def _figure(numbers: Sequence[float]) -> str:
    if len(numbers) < 2:
        return _plain(numbers)
    figure = over_draws(numbers)
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _draw(loop: Loop, path: Path) -> None:
    with sheet(path, 3) as (figure, axes):
        for column, ax in zip((NEW, ANSWERING), axes[:2], strict=True):
            _draw_scores(loop, column, ax)
        _draw_gate(loop, axes[2])
        bottom = min(ax.get_ylim()[0] for ax in axes[:2])
        top = max(ax.get_ylim()[1] for ax in axes[:2])
        for ax in axes[:2]:
            ax.set_ylim(bottom, top)
        for ax in axes:
            ax.set_xlabel("labels")
            ax.spines[["top", "right"]].set_visible(False)
        policies, decisions = (axes[at].get_legend_handles_labels() for at in (0, 2))
        figure.legend(
            *([*one, *other] for one, other in zip(policies, decisions, strict=True)),
            loc="outside lower center",
            ncols=6,
            frameon=False,
        )


def _draw_scores(loop: Loop, column: str, ax: Axes) -> None:
    """Means over seeds with their intervals as bands."""
    for policy, (colour, marker, style) in DRAWN.items():
        counts = [labels for labels in loop.counts if loop.of(policy, labels)]
        means = [over_draws(values(loop.of(policy, labels), column)) for labels in counts]
        ax.plot(
            counts,
            [mean.value for mean in means],
            label=policy,
            color=colour,
            marker=marker,
            linestyle=style,
            markersize=5,
            linewidth=1.6,
        )
        low, high = ([getattr(mean, side) for mean in means] for side in ("low", "high"))
        ax.fill_between(counts, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.set_title(TITLES[column], fontsize=10)
    ax.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)


def _draw_gate(loop: Loop, ax: Axes) -> None:
    """A row of marks for each run, those of a policy together."""
    seeds = sorted({step.seed for step in loop.steps})
    rows = [(policy, seed) for policy in reversed(list(POLICIES)) for seed in seeds]
    for verdict, (marker, filling, words) in MARKS.items():
        for policy, (colour, _, _) in DRAWN.items():
            steps = [
                step for step in loop.steps if (step.policy, step.verdict) == (policy, verdict)
            ]
            ax.plot(
                [step.labels for step in steps],
                [rows.index((policy, step.seed)) for step in steps],
                color=colour,
                marker=marker,
                fillstyle=filling,
                linestyle="",
                markersize=6,
            )
        ax.plot([], [], color=INK, marker=marker, fillstyle=filling, linestyle="", label=words)
    ax.set_title("The gate's decision in each run", fontsize=10)
    ax.set_yticks(range(len(rows)), [f"{policy} {seed}" for policy, seed in rows])
