"""The commands around trainings: a dry run, those that start by themselves, tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from storing import add

from memeapp.cli import main
from memeapp.errors import NotAllowed
from memeapp.store import Store
from memeapp.tokens import METRICS, RETRAIN, BadToken, TokenDesk


def run(data: Path, *arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, ["--data", str(data), *arguments])
    assert result.exit_code == exit_code, result.output
    return result.stdout if not exit_code else result.output


def test_a_dry_run_prints_what_would_be_learned_from_and_starts_nothing(store: Store) -> None:
    teacher = store.named_annotator("corpus", "import")
    for name in ("a", "b", "c"):
        meme = add(store, name)
        if name != "c":
            store.import_vote(teacher.id, meme.id, {"misogynous": True}, key=name)
    found = json.loads(run(store.folder, "train", "--dry-run"))
    assert (found["labelled"], found["unlabelled"], found["vote_count"]) == (2, 1, 2)
    assert found["positives"]["misogynous"] == 2
    assert "2 labelled memes can be trained on" in found["why_not"]
    assert store.latest_job() is None


def test_triggers_are_told_set_and_switched_off(store: Store) -> None:
    data = store.folder
    assert run(data, "triggers") == "No training starts by itself.\n"
    told = run(data, "triggers", "--after", "50", "--at", "03:30", "--votes", "all")
    assert told == (
        "A training starts after 50 newly judged memes and every day at 03:30: "
        "the usual encoder, majority, all votes.\n"
    )
    assert run(data, "triggers") == told
    assert store.retraining().after_labels == 50
    assert run(data, "triggers", "--off") == "No training starts by itself.\n"
    assert [deed.who for deed in store.audit(5)] == ["command line"] * 2
    run(data, "triggers", "--off", "--after", "5", exit_code=2)
    assert "no time of day" in run(data, "triggers", "--at", "noon", exit_code=1)
    assert not store.retraining().on


def test_a_token_is_made_listed_and_revoked(store: Store) -> None:
    data, desk = store.folder, TokenDesk(store)
    secret = run(data, "token", "make", "nightly", "--days", "7").strip()
    token = desk.check(f"Bearer {secret}", RETRAIN)
    listed = run(data, "token", "list")
    assert listed.startswith(f"{token.id} nightly: good for retrain, last used 20")
    assert secret not in listed
    run(data, "token", "revoke", str(token.id))
    assert ": revoked for retrain" in run(data, "token", "list")
    with pytest.raises(BadToken):
        desk.check(f"Bearer {secret}", RETRAIN)
    assert "There is no token 99" in run(data, "token", "revoke", "99", exit_code=1)
    assert [deed.what for deed in store.audit(5)] == ["token.revoke", "token.make"]
    assert secret not in str(store.audit(5))


def test_a_token_for_the_metrics_starts_no_training(store: Store) -> None:
    desk = TokenDesk(store)
    secret = run(store.folder, "token", "make", "prometheus", "--for", "metrics").strip()
    assert desk.check(f"Bearer {secret}", METRICS).name == "prometheus"
    with pytest.raises(NotAllowed, match="good for metrics, not for retrain"):
        desk.check(f"Bearer {secret}", RETRAIN)
