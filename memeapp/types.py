"""The frozen records that travel between the modules. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class TextSource(StrEnum):
    """Where the text of a meme came from."""

    GIVEN = "given"
    """Typed, corrected or imported: a person vouches for it."""
    OCR = "ocr"
    NONE = "none"
    """Nobody gave one and nobody has read the picture yet."""


class JobKind(StrEnum):
    """What a job does."""

    TRAIN = "train"
    IMPORT = "import"
    EXPORT = "export"


class JobState(StrEnum):
    """Where a job stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def active(self) -> bool:
        return self in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels of the picture, origin top left, right and bottom excluded."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def width(self) -> float:
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line of text that an OCR engine found; `confidence` in [0, 1]."""

    text: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Reading:
    """What an OCR engine read from one picture, in reading order."""

    lines: tuple[TextLine, ...]
    engine: str
    seconds: float

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)

    @property
    def confidence(self) -> float | None:
        """Mean over the lines, in [0, 1]; None where nothing was found."""
        return _confidence(self.lines)


def _confidence(lines: tuple[TextLine, ...]) -> float | None:
    return sum(line.confidence for line in lines) / len(lines) if lines else None


@dataclass(frozen=True, slots=True)
class Meme:
    """A picture with its text. `id` is the SHA-256 (hex) of the bytes that came in."""

    id: str
    width: int
    height: int
    phash: str
    """64-bit perceptual hash, 16 hex digits."""
    family: str
    """Id of the first meme of its near-duplicates by perceptual hash."""
    template: str
    """Id of the oldest meme of the families that were found to be of one picture; a template is
    held out whole or not at all."""
    held_out: bool
    text: str
    text_source: TextSource
    origin: str
    """Where it came from, for people: "visitor" or "import:<folder name>/<file name>"."""
    created_at: str
    """UTC, ISO 8601."""


@dataclass(frozen=True, slots=True)
class AbstainBand:
    """Where the model is unsure of a label: probabilities from `low` up to below `high`.

    Shares in [0, 1], measured on memes that the model did not learn from.
    """

    low: float
    high: float
    share: float
    """Memes that fall inside."""
    error: float
    """Wrong decisions among those outside."""
    error_all: float
    """Wrong decisions among all, if the model never were unsure."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label's answer: a calibrated probability and the model's decision.

    The decision is yes from `threshold` on; of a kind only if the parent label is yes too.
    """

    label: str
    probability: float
    threshold: float
    positive: bool
    unsure: bool = False
    """The answer is neither yes nor no: the probability lies in the band, where decisions are often
    wrong. Of a kind that would be a yes: also where the parent label is unsure."""
    band: AbstainBand | None = None
    """None where it was not measured."""


@dataclass(frozen=True, slots=True)
class Effect:
    """How far the picture and the text each moved a label, in log-odds.

    Against the same meme with the average picture (or text) of the training memes in its place.
    """

    label: str
    image: float
    text: float


@dataclass(frozen=True, slots=True)
class WordEffect:
    """How far a word moved a label, in log-odds, against the same text without it.

    In a long text, or for a slow encoder, `word` is a few neighbouring words.
    """

    word: str
    label: str
    effect: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A labelled meme of this store that is like the one asked about."""

    meme_id: str
    similarity: float
    """Mean cosine of the pictures' and the texts' features: at most 1, the same meme."""
    labels: Mapping[str, float]
    """Per judged label: the share of its votes that say yes."""
    text: str


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why the model says what it says of one meme."""

    modality: tuple[Effect, ...]
    """One for each label, in the order of the scores."""
    about: tuple[str, str]
    """The labels whose words are told: the parent, and the kind that is most of all a yes."""
    words: tuple[WordEffect, ...]
    """Those of the first label, then those of the second; the largest effects first."""
    neighbours: tuple[Neighbour, ...]
    """The nearest first; never a held-out meme or a visitor's."""
    unlike: tuple[str, ...]
    """"picture", "text", both or neither: what is unlike anything the model learned from.
    An empty text never is."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one meme, and who spoke."""

    scores: tuple[LabelScore, ...]
    """Task A's label first, then task B's in the order of the schema."""
    text: str
    text_source: TextSource
    lines: tuple[TextLine, ...]
    """OCR lines, empty when the text was given."""
    model: str
    encoder: str
    ocr: str | None
    """The engine that read the text; None when the text was given."""
    seconds: float
    notices: tuple[str, ...] = ()
    """Visible fall-backs, in sentences for the page."""
    reasons: Reasons | None = None
    """None where nobody asked for them."""
    zero_shot: tuple[LabelScore, ...] | None = None
    """What CLIP says without having seen a label, uncalibrated, beside `scores`; see `zeroshot`."""

    @property
    def ocr_confidence(self) -> float | None:
        """As `Reading.confidence`; None when the text was given."""
        return _confidence(self.lines)

    def score(self, label: str) -> LabelScore:
        return next(score for score in self.scores if score.label == label)


@dataclass(frozen=True, slots=True)
class Input:
    """What is kept of one meme that was classified: no text, no picture, nobody's name."""

    at: str
    """UTC, ISO 8601, the hour alone."""
    version: str
    """The version that answered."""
    text_length: int
    """Characters."""
    language: str
    """As `service.language.language_of` has it."""
    ocr_confidence: float | None
    """Mean over the lines, in [0, 1]; None when the text was given, or nothing was found."""
    unlike_image: bool | None
    """Whether the picture is unlike anything the version learned from; None: nobody looked."""
    unlike_text: bool | None
    scores: Mapping[str, float]
    """Label → probability."""
    kept: bool
    """Whether the meme went into the pool."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A trained model on disk and what it came from."""

    name: str
    created_at: str
    encoder: str
    labels: tuple[str, ...]
    parent: str | None
    """The version that answered when this one was trained; None for the shipped one."""
    recipe: str
    data: Mapping[str, float | str]
    """What it learned from: counts of labelled, unlabelled, held-out memes, seed, seconds."""
    metrics: Mapping[str, object] = field(default_factory=dict)
    """`Metrics.to_dict()` on held-out memes; empty when there were none."""
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class LossCurve:
    """How the loss went down in one stage of a training."""

    stage: str
    epochs: int
    """At most so many; an early stop may leave some out."""
    points: tuple[tuple[int, float], ...]
    """(epoch from 1, mean loss); of many epochs not every one."""


@dataclass(frozen=True, slots=True)
class Job:
    """One training, import or export in a process of its own, as the database tells it."""

    id: int
    state: JobState
    stage: str
    """What it does now, in words for the page."""
    progress: float
    """Share done, in [0, 1]."""
    message: str
    """The reason of a failure, or the name of the finished version in a sentence."""
    version: str | None
    pid: int | None
    created_at: str
    updated_at: str
    encoder: str = ""
    """The encoder it was asked to train on; empty for jobs from before this was written down."""
    kind: JobKind = JobKind.TRAIN
    options: Mapping[str, Any] = field(default_factory=dict)
    """What it was asked for besides."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """What an import reported, or what an export wrote."""
    losses: tuple[LossCurve, ...] = ()
    """Of a training: the stages that it has learned in so far."""
    started_at: str | None = None
    """When its process began to work; None before."""
    ends_at: str | None = None
    """When it will have ended, as far as can be told; None without a basis for that."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of each there are; for the admin tab."""

    memes: int
    labelled: int
    """Memes with at least one vote."""
    unlabelled: int
    held_out: int
    held_out_labelled: int
    votes: int
    annotators: int
    positives: Mapping[str, int]
    """Per label: memes with more yes than no."""
