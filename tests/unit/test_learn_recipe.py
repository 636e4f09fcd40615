"""The named recipes and how they are written down."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from memeapp.learn import train
from memeapp.learn.recipe import (
    BEST,
    KERNEL,
    PAPER,
    RAW_N_COOK,
    RECIPES,
    REFERENCE,
    Recipe,
    Schedule,
)

NAMED = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def test_three_recipes_have_names() -> None:
    assert sorted(RECIPES) == ["best", "paper", "reference"]
    assert all(recipe.name == name for name, recipe in RECIPES.items())
    assert train.fit.__defaults__ == train.pretrain.__defaults__ == (BEST,)


def test_the_reference_is_what_the_public_code_runs() -> None:
    published = Recipe(
        name="reference",
        loss=REFERENCE.loss,
        normalise=False,
        cook=True,
        cook_after_activation=False,
        cook_on_all=False,
        hidden=768,
        branch=256,
        interaction=False,
        dropout=0.2,
        autoencoder=Schedule(epochs=100, rate=2e-4, decay=0.95, batch=40, weight_decay=1e-4),
        classifier=Schedule(epochs=50, rate=1e-4, decay=0.93, batch=40, weight_decay=0.0),
        heads=(RAW_N_COOK,),
        folds=0,
        parent_first=False,
        patience=1,
    )
    assert published == REFERENCE
    loss = REFERENCE.loss
    assert loss is not None
    assert (loss.alpha, loss.beta, loss.mu, loss.lam, loss.kappa) == (10, 0.2, 0.1, 5, 0.1)
    assert loss.gamma == 0  # no focal term


def test_the_paper_differs_from_the_reference_by_the_losses_own_constants() -> None:
    assert replace(PAPER, name="reference", loss=REFERENCE.loss) == REFERENCE
    loss = PAPER.loss
    assert loss is not None
    assert (loss.alpha, loss.beta, loss.mu, loss.lam, loss.kappa) == (0.1, 10, 0.2, 5, 0.05)
    assert loss.gamma == 2


def test_the_best_recipe_calibrates_out_of_fold() -> None:
    assert BEST.folds >= 3 and BEST.parent_first and BEST.cook_on_all
    assert set(BEST.heads) <= {RAW_N_COOK, KERNEL}


@NAMED
@pytest.mark.parametrize(
    "changes", [{}, {"loss": None}, {"heads": (KERNEL,)}, {"name": "mine", "dropout": 0.1 + 0.2}]
)
def test_a_recipe_survives_json(recipe: Recipe, changes: dict[str, object]) -> None:
    recipe = replace(recipe, **changes)  # type: ignore[arg-type]
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    again = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again == recipe and hash(again) == hash(recipe)


def test_what_is_no_recipe_is_refused() -> None:
    raw = BEST.to_dict()
    with pytest.raises(TypeError, match="surprise"):
        Recipe.from_dict({**raw, "surprise": 1})
    with pytest.raises(TypeError, match="momentum"):
        Recipe.from_dict({**raw, "classifier": {**raw["classifier"], "momentum": 1}})
    for name in raw:
        with pytest.raises((KeyError, TypeError), match=name):
            Recipe.from_dict({key: value for key, value in raw.items() if key != name})


def test_a_recipe_is_not_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        BEST.folds = 3  # type: ignore[misc]


def test_lambda_is_one_for_cross_entropy() -> None:
    assert replace(BEST, loss=None).lam == 1
    assert (REFERENCE.lam, PAPER.lam) == (5, 5)
