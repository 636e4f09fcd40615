"""The label schema: one parent label (task A) and its kinds (task B). MAMI's by default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memeapp.errors import BadSetting, BadVote, Mismatch
from memeapp.types import ModelVersion


@dataclass(frozen=True, slots=True)
class Label:
    """`name` is the column and key; `title` and `help` are for people."""

    name: str
    title: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """A parent label and its kinds. A kind that holds implies that the parent holds."""

    parent: Label
    children: tuple[Label, ...]

    @property
    def labels(self) -> tuple[Label, ...]:
        """The parent first, then the kinds in order: the order of every target matrix."""
        return (self.parent, *self.children)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    def check(self, judged: Mapping[str, bool]) -> None:
        """Refuse a judgement that names unknown labels or has a kind without the parent.

        Raises:
            BadVote: with the label that is wrong.
        """
        if unknown := sorted(set(judged) - set(self.names)):
            raise BadVote(
                f"Unknown label {unknown[0]!r}; the labels here are {', '.join(self.names)}."
            )
        if self.parent.name not in judged:
            raise BadVote(f"The vote says nothing about {self.parent.name!r}; answer it too.")
        kinds = [child.name for child in self.children if judged.get(child.name)]
        if kinds and not judged[self.parent.name]:
            raise BadVote(
                f"{kinds[0]!r} is ticked but {self.parent.name!r} is not; tick both or neither."
            )

    def check_version(self, version: ModelVersion) -> None:
        """Refuse a model version that knows other labels.

        Raises:
            Mismatch: with both sides.
        """
        if version.labels != self.names:
            raise Mismatch(
                f"Version {version.name} knows the labels {', '.join(version.labels)}, but the "
                f"schema in force has {', '.join(self.names)}. Label memes with this schema and "
                "retrain, or set the schema back."
            )

    @classmethod
    def from_file(cls, path: Path) -> LabelSchema:
        """Read `{"parent": {"name", "title", "help"}, "children": [...]}` from a JSON file.

        Raises:
            BadSetting: if the file is missing, is not JSON or lacks a field.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            schema = cls(Label(**raw["parent"]), tuple(Label(**child) for child in raw["children"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadSetting(
                f"Cannot read the label schema {path}: {error}. It needs a JSON object with "
                '"parent" and "children", each label with "name" and "title".'
            ) from error
        for name in schema.names:
            if not (name.isascii() and name.isidentifier()):
                raise BadSetting(
                    f"Label name {name!r} in {path}: use ASCII letters, digits and underscores."
                )
        if len(set(schema.names)) != len(schema.names) or not schema.children:
            raise BadSetting(f"{path} needs at least one child label and no name twice.")
        return schema


MAMI = LabelSchema(
    Label("misogynous", "Misogynous", "Expresses hate, contempt or prejudice against women."),
    (
        Label("shaming", "Shaming", "Mocks how a woman looks or lives."),
        Label("stereotype", "Stereotype", "Fixed ideas of what women are or should do."),
        Label("objectification", "Objectification", "Treats women as things or bodies."),
        Label("violence", "Violence", "Shows, threatens or approves of violence against women."),
    ),
)
"""SemEval-2022 task 5: task A is the parent, task B the four kinds."""
