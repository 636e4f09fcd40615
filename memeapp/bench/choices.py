"""What each choice in the recipe `best` is worth: one taken back, or one more made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from memeapp.bench.baselines import Answers, decided, fit_baseline
from memeapp.bench.cells import Method
from memeapp.bench.labelled import Labelled
from memeapp.learn.losses import PAPER, REFERENCE
from memeapp.learn.pool import Pool
from memeapp.learn.recipe import BEST, KERNEL, RAW_N_COOK, Recipe
from memeapp.learn.train import Learned, assemble, fit

Array = NDArray[np.float64]

TRUSTED = 0.5
"""Share of the unlabelled memes, the surest ones, that become pseudo-labels."""
PSEUDO_WEIGHT = 0.25


def even_thresholds(
    learned: Learned, train: Labelled, test: Labelled, recipe: Recipe, seed: int
) -> Answers:
    """Every decision at a probability of 0.5."""
    checkpoint = assemble(learned, train.features, recipe, encoder=train.encoder, seed=seed)
    p = checkpoint.predict(test.features.image, test.features.text)
    return Answers(p, p >= 0.5)


def uncalibrated(
    learned: Learned, train: Labelled, test: Labelled, recipe: Recipe, seed: int
) -> Answers:
    """The heads' plain average, decided at 0.5."""
    checkpoint = assemble(learned, train.features, recipe, encoder=train.encoder, seed=seed)
    pool = Pool.identity(len(recipe.heads), len(checkpoint.labels))
    p = replace(checkpoint, pool=pool).predict(test.features.image, test.features.text)
    return Answers(p, p >= 0.5)


def consistent(
    learned: Learned, train: Labelled, test: Labelled, recipe: Recipe, seed: int
) -> Answers:
    """Soft consistency: a kind's log-odds are refitted with ln p(A), A's with any kind's."""
    checkpoint = assemble(learned, train.features, recipe, encoder=train.encoder, seed=seed)
    heads, truth, _ = learned.out_of_fold()
    known = checkpoint.pool(heads)
    asked = checkpoint.predict(test.features.image, test.features.text)
    before, after = np.zeros_like(known), np.zeros_like(asked)
    for column, y in enumerate(truth.T):
        judged = ~np.isnan(y)
        yes = y[judged] > 0.5
        before[:, column], after[:, column] = known[:, column], asked[:, column]
        if yes.any() and not yes.all():
            model = LogisticRegression(C=10.0).fit(_relations(known, column)[judged], yes)
            before[:, column] = model.predict_proba(_relations(known, column))[:, 1]
            after[:, column] = model.predict_proba(_relations(asked, column))[:, 1]
    return decided(before, after, truth)


def with_logistic(
    learned: Learned, train: Labelled, test: Labelled, recipe: Recipe, seed: int
) -> Answers:
    """A third head: logistic regression on the features."""
    return _with_baseline("logistic", learned, train, test, recipe, seed)


def with_svm(
    learned: Learned, train: Labelled, test: Labelled, recipe: Recipe, seed: int
) -> Answers:
    """One more head: an SVM with an RBF kernel on the features."""
    return _with_baseline("svm", learned, train, test, recipe, seed)


def with_pseudo_labels(
    learned: Learned, train: Labelled, test: Labelled, recipe: Recipe, seed: int
) -> Answers:
    """One round: the surest unlabelled memes get the answers as soft targets of low weight."""
    first = assemble(learned, train.features, recipe, encoder=train.encoder, seed=seed)
    features = train.features
    unlabelled = np.flatnonzero(~features.judged)
    p = first.predict(features.image[unlabelled], features.text[unlabelled])
    surest = np.argsort(-np.abs(p[:, 0] - 0.5), kind="stable")[: int(TRUSTED * len(p))]
    targets, weights = features.targets.copy(), features.weights.copy()
    targets[unlabelled[surest]] = p[surest]
    weights[unlabelled[surest]] *= PSEUDO_WEIGHT
    second = fit(
        replace(features, targets=targets, weights=weights),
        recipe,
        encoder=train.encoder,
        seed=seed,
    )
    # Thresholds stay those of real labels: pseudo-labels would only confirm themselves.
    asked = second.predict(test.features.image, test.features.text)
    return Answers(asked, replace(second, thresholds=first.thresholds).decide(asked))


def _with_baseline(
    name: str, learned: Learned, train: Labelled, test: Labelled, recipe: Recipe, seed: int
) -> Answers:
    checkpoint = assemble(learned, train.features, recipe, encoder=train.encoder, seed=seed)
    baseline = fit_baseline(name, train, test, seed)
    heads, truth, weights = learned.out_of_fold(baseline.out_of_fold)
    pool = Pool.fit(heads, truth, weights)
    asked = checkpoint.heads(test.features.image, test.features.text)
    return decided(pool(heads), pool([*asked, baseline.asked]), truth)


def _relations(p: Array, column: int) -> Array:
    p = p.clip(1e-6, 1 - 1e-6)
    if column:
        return np.column_stack([logit(p[:, column]), np.log(p[:, 0])])
    any_kind = 1 - np.prod(1 - p[:, 1:], axis=1)
    return np.column_stack([logit(p[:, 0]), np.log(any_kind)])


CHOICES = (
    Method("best", "`best`", BEST),
    Method("uncalibrated", "without calibration and thresholds", BEST, uncalibrated),
    Method("even", "thresholds at 0.5", BEST, even_thresholds),
    Method("no-kernel", "without the kernel head", replace(BEST, heads=(RAW_N_COOK,))),
    Method("no-raw-n-cook", "without RAW-N-COOK", replace(BEST, heads=(KERNEL,))),
    Method("no-cook", "without CROM-AE", replace(BEST, cook=False)),
    Method("before", "cooked before the PReLU", replace(BEST, cook_after_activation=False)),
    Method("unlabelled", "CROM-AE on unlabelled rows only", replace(BEST, cook_on_all=False)),
    Method("raw-length", "features not normalised", replace(BEST, normalise=False)),
    Method("with-product", "with picture ⊙ text", replace(BEST, interaction=True)),
    Method("bce", "cross-entropy instead of DB loss", replace(BEST, loss=None)),
    Method("db-reference", "DB loss, constants of the public code", replace(BEST, loss=REFERENCE)),
    Method("db-paper", "DB-focal loss, published constants", replace(BEST, loss=PAPER)),
    Method("with-consistency", "with soft consistency of A and B", BEST, consistent),
    Method("with-logistic", "with a logistic head", BEST, with_logistic),
    Method("with-svm", "with an SVM-RBF head", BEST, with_svm),
    Method("with-pseudo", "with pseudo-labels", BEST, with_pseudo_labels),
)
