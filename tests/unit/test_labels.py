import json

import pytest

from memeapp.errors import BadSetting, BadVote
from memeapp.labels import MAMI, LabelSchema


def test_the_default_schema_is_mami_with_the_parent_first():
    assert MAMI.names == ("misogynous", "shaming", "stereotype", "objectification", "violence")


@pytest.mark.parametrize(
    "judged",
    [{"misogynous": False}, {"misogynous": True}, {"misogynous": True, "violence": True}],
)
def test_a_consistent_judgement_is_accepted(judged):
    MAMI.check(judged)


@pytest.mark.parametrize(
    ("judged", "named"),
    [
        ({"misogynous": False, "shaming": True}, "shaming"),
        ({"misogynous": True, "sarcasm": True}, "sarcasm"),
        ({"shaming": False}, "misogynous"),
        ({}, "misogynous"),
    ],
)
def test_a_judgement_that_contradicts_itself_is_refused_by_name(judged, named):
    with pytest.raises(BadVote, match=named):
        MAMI.check(judged)


def write(path, parent, *children):
    label = {"title": "T", "help": ""}
    path.write_text(
        json.dumps(
            {
                "parent": {"name": parent, **label},
                "children": [{"name": child, **label} for child in children],
            }
        )
    )
    return path


def test_another_schema_comes_from_a_file(tmp_path):
    schema = LabelSchema.from_file(write(tmp_path / "labels.json", "toxic", "insult", "threat"))
    assert schema.names == ("toxic", "insult", "threat")


@pytest.mark.parametrize(
    "names", [("toxic",), ("toxic", "toxic"), ("toxic", "two words"), ("", "insult"), ("ü", "b")]
)
def test_a_schema_with_unusable_names_is_refused(tmp_path, names):
    with pytest.raises(BadSetting):
        LabelSchema.from_file(write(tmp_path / "labels.json", *names))


@pytest.mark.parametrize("content", ["", "[]", '{"parent": {}}', '{"parent": {"name": "a"}}'])
def test_a_file_that_is_no_schema_is_refused_with_its_name(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(BadSetting, match=r"broken\.json"):
        LabelSchema.from_file(path)


def test_a_missing_schema_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(BadSetting, match=r"nowhere\.json"):
        LabelSchema.from_file(tmp_path / "nowhere.json")
