import subprocess
import sys
import threading
import time

import pytest

from memeapp.ranker import Ranker
from memeapp.settings import Settings


class Counted(Ranker):
    """Starts children that wait to be told, instead of ranking."""

    def __init__(self, folder):
        super().__init__(Settings(data=folder))
        self.children = []
        self.started = threading.Semaphore(0)

    def _spawn(self):
        child = subprocess.Popen(
            [sys.executable, "-c", "raise SystemExit(int(input()))"], stdin=subprocess.PIPE
        )
        self.children.append(child)
        self.started.release()
        return child

    def end(self, number, status=0):
        assert self.started.acquire(timeout=30)
        self.children[number].communicate(f"{status}\n".encode())


@pytest.fixture
def ranker(tmp_path):
    return Counted(tmp_path)


def test_one_run_at_a_time_and_one_more_for_whatever_was_asked_meanwhile(ranker):
    for _ in range(3):
        ranker.start()
    assert len(ranker.children) == 1
    ranker.end(0)
    ranker.end(1)
    assert len(ranker.children) == 2


def test_after_a_run_has_ended_the_next_one_starts_at_once(ranker):
    ranker.start()
    ranker.end(0)
    ranker.start()
    ranker.end(1)
    assert not ranker.at_work


def test_a_run_that_fails_is_told_to_the_log(ranker, caplog):
    ranker.start()
    ranker.end(0, status=3)
    give_up = time.monotonic() + 30
    while not caplog.messages and time.monotonic() < give_up:
        time.sleep(0.01)
    assert caplog.messages == ["Ranking ended with status 3; logs/rank.log says why."]


def test_the_command_ranks_in_a_process_of_its_own_and_writes_a_log(tmp_path):
    ranker = Ranker(Settings(data=tmp_path))
    child = ranker._spawn()
    assert child.wait(120) == 0
    assert "0 memes ranked." in (tmp_path / "logs" / "rank.log").read_text()
