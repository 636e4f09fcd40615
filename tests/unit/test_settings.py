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


@pytest.mark.parametrize("written", ["/memes", "memes", "/memes/"])
def test_a_path_prefix_begins_with_a_slash_and_ends_without(written):
    assert Settings.from_env({"MEMEAPP_ROOT_PATH": written}).root_path == "/memes"
    assert Settings.from_env({"MEMEAPP_ROOT_PATH": "/"}).root_path == ""


def test_no_proxy_is_believed_that_was_not_named():
    assert Settings.from_env({}).trusted_proxies == ""
    named = Settings.from_env({"MEMEAPP_TRUSTED_PROXIES": "127.0.0.1, 10.1.0.0/16"})
    assert named.trusted_proxies == "127.0.0.1/32,10.1.0.0/16"


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
        ("MEMEAPP_ROOT_PATH", "http://example.org/memes"),
        ("MEMEAPP_ROOT_PATH", "/memes; Domain=example.org"),
        ("MEMEAPP_TRUSTED_PROXIES", "*"),
        ("MEMEAPP_TRUSTED_PROXIES", "proxy"),
        ("MEMEAPP_TRUSTED_PROXIES", "10.0.0.1/8"),
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
            "MEMEAPP_ROOT_PATH": "memes/",
            "MEMEAPP_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        }
    )
    assert Settings.from_env(settings.to_env()) == settings
    assert Settings.from_env(Settings().to_env()) == Settings()
