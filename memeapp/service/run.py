"""What one training took and found, as its version and its receipt tell of it."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import FeatureSet
from memeapp.learn.gate import Decision
from memeapp.learn.metrics import Metrics
from memeapp.service.evaluation import Answers
from memeapp.service.said import Said
from memeapp.service.snapshot import Snapshot
from memeapp.types import LossCurve, Meme, ModelVersion


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A training that has learned and measured."""

    parent: ModelVersion | None
    memes: Sequence[Meme]
    """All of them, on both sides of the holdout."""
    said: Said
    aggregation: str
    votes: str
    learnt: FeatureSet
    judged: FeatureSet
    """Labelled held-out rows."""
    snapshot: Snapshot
    checkpoint: Checkpoint
    answers: Answers | None
    """On `judged`; None where there is none."""
    metrics: Metrics | None
    before: Metrics | None
    decision: Decision | None
    losses: tuple[LossCurve, ...]
    notices: tuple[str, ...]
    started: float
    """On `time.perf_counter`."""

    @property
    def data(self) -> dict[str, float | str]:
        """As `ModelVersion.data` has it."""
        labelled = int(self.learnt.judged.sum())
        return {
            "labelled": labelled,
            "unlabelled": len(self.learnt) - labelled,
            "held_out_labelled": len(self.judged),
            "vote_count": len(self.said.votes),
            "snapshot": self.snapshot.hash,
            "last_vote": self.said.last_vote,
            "aggregation": self.aggregation,
            "votes": self.votes,
            "effective_labels": round(self.said.effective_labels, 1),
            "seed": self.snapshot.seed,
            "seconds": round(time.perf_counter() - self.started, 1),
            "peak_memory_mb": round(peak_memory_mb()),
        }

    @property
    def scores(self) -> dict[str, object]:
        """As `ModelVersion.metrics` has them."""
        return {
            **(self.metrics.to_dict() if self.metrics else {}),
            **({"parent": self.before.to_dict()} if self.before else {}),
            **({"gate": self.decision.to_dict()} if self.decision else {}),
        }


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training run."""

    version: ModelVersion
    metrics: Metrics | None
    """On the labelled held-out memes; None when there are none."""
    before: Metrics | None
    """The version that answered until now on the same memes; None where it cannot answer."""
    decision: Decision | None = None
    """What the gate says; None where no version answered until now."""
    notices: tuple[str, ...] = ()
    """Fall-backs in force while it trained."""


def peak_memory_mb() -> float:
    """The largest resident size of this process in MiB; today's size where Linux's is missing."""
    # getrusage would count the parent's size too: it survives fork and exec.
    status = Path("/proc/self/status")
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(peak[1]) / 1024
    return float(psutil.Process().memory_info().rss) / 2**20
