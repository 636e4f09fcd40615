"""What is asked of the loop, what a step of it gave, and the files of finished runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from memeapp.learn.recipe import BEST, Recipe

PROTOCOL = 1
"""Another number whenever the same seed would give other rows."""
POLICIES: Mapping[str, Mapping[str, float]] = {
    "random": {"random": 1.0},
    "mixed": {"random": 0.4, "uncertain": 0.3, "far": 0.2, "relabel": 0.1},
}
"""What is compared: chance alone, and the shares that the Admin page proposes."""
PEOPLE = 5
FIRST = "first"
"""In place of a verdict: there was no version before this one."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked."""

    seeds: int = 5
    step: int = 200
    """Labels between two trainings."""
    noise: float = 0.1
    """Probability that an annotator flips a label."""
    recipe: Recipe = BEST


@dataclass(frozen=True, slots=True)
class Step:
    """One training of one run. A and B are measured on all held-out memes against the truth."""

    policy: str
    seed: int
    labels: int
    """Memes that people have judged, held-out ones included."""
    by_chance: int
    """Of those of this step, how many came from the queue `random`."""
    held_out_labelled: int
    """Of all labels the held-out ones: all that the gate sees."""
    held_out: int
    """Memes on which A and B are measured."""
    templates: int
    """Of those."""
    a: float
    """Of the version just trained."""
    b: float
    answering_a: float
    """Of the version that answers after the gate's decision."""
    answering_b: float
    seen_b: float | None
    """B of the version just trained as the app sees it: on the labelled held-out memes, against
    what the annotators said."""
    verdict: str
    """The gate's, or `FIRST`."""
    difference_a: float | None
    """As the gate sees it: new version minus the one that answered."""
    not_worse_a: float | None
    """The gate's probability that the new version is not worse by more than the margin."""
    difference_b: float | None
    not_worse_b: float | None
    promoted: bool
    seconds: float
    """Of the training, the gate and the ranking."""
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Loop:
    """All runs, and what they are about."""

    name: str
    """The folder's."""
    memes: int
    encoder: str
    digest: str
    """SHA-256 (hex) of the pictures' ids, texts and labels."""
    task: Task
    steps: tuple[Step, ...]

    def with_steps(self, found: Mapping[tuple[str, int], Sequence[Step]]) -> Loop:
        """The same with the steps of these runs."""
        return replace(self, steps=tuple(step for run in found.values() for step in run))

    def of(self, policy: str, labels: int) -> dict[int, Step]:
        """Seed → its step at this number of labels."""
        return {
            step.seed: step for step in self.steps if (step.policy, step.labels) == (policy, labels)
        }

    @property
    def counts(self) -> list[int]:
        """The numbers of labels at which a version was trained."""
        return sorted({step.labels for step in self.steps})


def _key(loop: Loop, policy: str, seed: int) -> str:
    task = loop.task
    what = [PROTOCOL, loop.digest, loop.encoder, task.step, task.noise, task.recipe.to_dict()]
    return hashlib.sha256(
        json.dumps([*what, PEOPLE, policy, dict(POLICIES[policy]), seed]).encode()
    ).hexdigest()


def write_run(cells: Path, loop: Loop, policy: str, seed: int, steps: Sequence[Step]) -> None:
    partial = cells / f"{policy}-{seed}.{os.getpid()}.partial"
    content = {"key": _key(loop, policy, seed), "steps": [asdict(step) for step in steps]}
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(cells / f"{policy}-{seed}.json")


def read_run(cells: Path, loop: Loop, policy: str, seed: int) -> list[Step]:
    """The steps of a finished run; none if it is not there or was made of something else."""
    try:
        content = json.loads((cells / f"{policy}-{seed}.json").read_text(encoding="utf-8"))
        if content["key"] != _key(loop, policy, seed):
            return []
        return [Step(**step) for step in content["steps"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
