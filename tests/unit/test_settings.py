from pathlib import Path

import pytest

from memeapp.errors import BadSetting
from memeapp.settings import Settings


def test_an_empty_environment_gives_the_defaults():
    assert Settings.from_env({}) == Settings()


def test_each_setting_is_read_from_its_variable():
    settings = Settings.from_env(
        {"MEMEAPP_PORT": "8000", "MEMEAPP_DATA": "/tmp/memes", "MEMEAPP_SECURE_COOKIES": "yes"}
    )
    assert (settings.port, settings.data, settings.secure_cookies) == (
        8000,
        Path("/tmp/memes"),
        True,
    )


def test_a_blank_variable_counts_as_absent():
    assert Settings.from_env({"MEMEAPP_PORT": "  "}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MEMEAPP_PORT", "many"),
        ("MEMEAPP_PORT", "0"),
        ("MEMEAPP_PORT", "70000"),
        ("MEMEAPP_HOLDOUT_SHARE", "1"),
        ("MEMEAPP_HOLDOUT_SHARE", "-0.1"),
        ("MEMEAPP_SECURE_COOKIES", "perhaps"),
        ("MEMEAPP_HOLDOUT_SHARE", "nan"),
    ],
)
def test_an_impossible_value_is_refused_with_the_variable_and_the_value(variable, value):
    with pytest.raises(BadSetting) as caught:
        Settings.from_env({variable: value})
    assert variable in str(caught.value)
    assert repr(value) in str(caught.value)


def test_a_child_process_reads_the_same_settings_back():
    settings = Settings.from_env(
        {
            "MEMEAPP_DATA": "here",
            "MEMEAPP_PORT": "9000",
            "MEMEAPP_LABELS": "labels.json",
            "MEMEAPP_SECURE_COOKIES": "true",
            "MEMEAPP_HOLDOUT_SHARE": "0.5",
        }
    )
    assert Settings.from_env(settings.to_env()) == settings
    assert Settings.from_env(Settings().to_env()) == Settings()
