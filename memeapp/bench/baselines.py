"""The classifiers to beat, made as strong as their labels allow: settings chosen, calibrated and
given thresholds on out-of-fold answers, inside the label budget, as ours are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import normalize
from sklearn.svm import SVC

from memeapp.bench.labelled import Labelled
from memeapp.learn.calibration import Platt, expected_thresholds
from memeapp.learn.checkpoint import decide
from memeapp.learn.loops import deal_folds
from memeapp.text import normalise

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

FOLDS = 5
PICTURE_WEIGHTS = (0.3, 1.0)
"""Length of a picture's features where a text's is 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a method says of T test memes."""

    probabilities: Array
    """(T, C)."""
    decisions: NDArray[np.bool_]
    """(T, C)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """One setting of a classifier; its rows are the labelled memes, then those of the test."""

    look: Callable[[Rows, Rows], Any]
    """What the model reads of some memes when it has learned from others."""
    model: Callable[[], Any]


def logistic(known: Labelled, unlabelled: Labelled, test: Labelled) -> Iterator[_Candidate]:
    """L2-regularised logistic regression on picture and text features of length 1."""
    for weight in PICTURE_WEIGHTS:
        design = np.concatenate([_views(known, weight), _views(test, weight)])
        for c in (1.0, 4.0, 16.0):
            yield _linear(design, c, "lbfgs")


def svm(known: Labelled, unlabelled: Labelled, test: Labelled) -> Iterator[_Candidate]:
    """SVM with an RBF kernel on picture and text features of length 1."""
    for weight in PICTURE_WEIGHTS:
        learned, asked = _views(known, weight), _views(test, weight)
        for gamma in (0.5, 1.0):
            gram = rbf_kernel(np.concatenate([learned, asked]), learned, gamma=gamma)
            for c in (1.0, 4.0):
                yield _kernel(gram, c)


def tfidf(known: Labelled, unlabelled: Labelled, test: Labelled) -> Iterator[_Candidate]:
    """Logistic regression on TF-IDF of all words and pairs of words of the normalised texts, their
    rarity counted over the unlabelled ones too."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    words.fit([normalise(text) for text in (*known.texts, *unlabelled.texts)])
    design = words.transform([normalise(text) for text in (*known.texts, *test.texts)])
    for c in (1.0, 4.0, 16.0, 64.0):
        yield _linear(design, c, "liblinear")


BASELINES = {"logistic": logistic, "svm": svm, "tfidf": tfidf}


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """A baseline with the settings that its labels favour."""

    out_of_fold: Array
    """(L, C) logits of the labelled rows."""
    asked: Array
    """(T, C) logits of the test rows."""
    truth: Array
    """(L, C) targets of the labelled rows."""


def fit_baseline(name: str, train: Labelled, test: Labelled, seed: int) -> Baseline:
    """Fit a baseline on the labelled rows of `train` and ask it about `test`.

    Its settings are those with the least out-of-fold cross-entropy after calibration.
    """
    judged = train.features.judged
    known, unlabelled = train.take(judged), train.take(~judged)
    truth = known.features.targets.astype(np.float64)
    fold = deal_folds(known.features.targets, known.features.groups, FOLDS, seed)
    rows, asked = np.arange(len(known)), len(known) + np.arange(len(test))
    best: tuple[float, _Candidate, Array] | None = None
    for candidate in BASELINES[name](known, unlabelled, test):
        logits = np.zeros_like(truth)
        for number in range(FOLDS):
            out = fold == number
            logits[out] = _fitted(candidate, truth[~out], rows[~out], rows[out])
        loss = Platt.fit(logits, truth).loss(logits, truth)
        if best is None or loss < best[0]:
            best = loss, candidate, logits
    assert best is not None
    _, candidate, logits = best
    return Baseline(logits, _fitted(candidate, truth, rows, asked), truth)


def answers(name: str, train: Labelled, test: Labelled, seed: int) -> Answers:
    """What a baseline says of `test`, calibrated and with thresholds from its labelled rows."""
    baseline = fit_baseline(name, train, test, seed)
    platt = Platt.fit(baseline.out_of_fold, baseline.truth)
    return decided(platt(baseline.out_of_fold), platt(baseline.asked), baseline.truth)


def decided(out_of_fold: Array, asked: Array, truth: Array) -> Answers:
    """The probabilities of the test rows, with thresholds from those of the labelled ones."""
    thresholds = expected_thresholds(out_of_fold, truth, parent_first=True)
    return Answers(asked, decide(asked, thresholds, parent_first=True))


def _fitted(candidate: _Candidate, truth: Array, known: Rows, asked: Rows) -> Array:
    """(asked, C) decision values, one model a label; shares of votes count as their majority."""
    values = np.zeros((len(asked), truth.shape[1]))
    for column, y in enumerate(truth.T):
        judged = ~np.isnan(y)
        yes = y[judged] > 0.5
        if yes.all() or not yes.any():  # nothing to tell apart: the same for every meme
            values[:, column] = np.log((yes.sum() + 1) / ((~yes).sum() + 1))
            continue
        rows = known[judged]
        model = candidate.model().fit(candidate.look(rows, rows), yes)
        values[:, column] = model.decision_function(candidate.look(asked, rows))
    return values


def _kernel(gram: NDArray[np.float32], c: float) -> _Candidate:
    return _Candidate(
        lambda rows, known: gram[np.ix_(rows, known)],
        lambda: SVC(C=c, kernel="precomputed", cache_size=500),
    )


def _linear(design: Any, c: float, solver: str) -> _Candidate:
    return _Candidate(
        lambda rows, known: design[rows],
        lambda: LogisticRegression(C=c, max_iter=2000, solver=solver),
    )


def _views(memes: Labelled, weight: float) -> NDArray[np.float32]:
    image, text = (normalize(view) for view in (memes.features.image, memes.features.text))
    return np.concatenate([weight * image, text], axis=1)
