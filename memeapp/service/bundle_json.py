"""What the JSON files of a bundle may say; they come from outside."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from memeapp.errors import BadInput
from memeapp.learn.gate import Verdict

T = TypeVar("T", bound=BaseModel)
Word = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
LARGEST = 1e12
"""No number in a file of a version is larger; what would be overflows where it is drawn."""
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Loose(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class Contents(_Strict):
    """`bundle.json`."""

    format: int
    name: Name
    files: dict[Word, Hash]


class _Measured(_Loose):
    value: float | None
    low: float | None
    high: float | None


class _Gate(_Loose):
    verdict: Verdict
    reason: Annotated[str, Field(max_length=5000)]


class _Metrics(_Loose):
    """What the pages show of them; the rest is kept as it is."""

    task_a: _Measured | None = None
    task_b: _Measured | None = None
    gate: _Gate | None = None


class Told(_Strict):
    """`version.json`."""

    name: Name
    created_at: Annotated[AwareDatetime, Field(gt=datetime(2000, 1, 1, tzinfo=UTC))]
    encoder: Word
    labels: Annotated[list[Word], Field(min_length=1, max_length=1000)]
    parent: Name | None
    recipe: Word
    data: dict[Word, float | Annotated[str, Field(max_length=2000)]]
    metrics: _Metrics


def read_json(content: bytes, name: str, model: type[T]) -> T:
    """The JSON of a file, checked against a model. Raises: BadInput, naming the first fault."""
    check_json(content, name)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:80]
        raise BadInput(f"{name} cannot be used: {where or 'it'}: {first['msg']}.") from error


def check_json(content: bytes, name: str) -> None:
    """Refuse what is no JSON, or holds a number that is none or beyond any. Raises: BadInput."""

    def number(text: str) -> float:
        if not abs(value := float(text)) <= LARGEST:
            raise ValueError(f"{text[:20]} is no number that is taken")
        return value

    try:
        json.loads(content, parse_float=number, parse_int=number, parse_constant=number)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{name} cannot be used: {error}.") from error
