"""A process that is killed, a lock that is held and a full disk lose nothing that was saved."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from storing import YES, Room

from memeapp.errors import NotSaved
from memeapp.judging import Judgement
from memeapp.store import Store, connections

MEMES = "".join(chr(ord("A") + number) for number in range(50))

LABELLERS = """
import itertools, os, signal, sys, time
from pathlib import Path
from memeapp.judging import Judgement
from memeapp.store import Store

def label():
    store = Store(Path(sys.argv[1]))
    for number in itertools.count():
        me = store.add_annotator(f"{os.getpid()} {number}", session_id=1).id
        while cards := store.next_cards(me, "tab"):
            key = cards[0].meme.id
            vote = store.record(me, key, Judgement({"misogynous": True}), key=key)
            if vote.id % 5 == 0:
                store.undo(me, key=f"undo {key}", tab="tab")
                vote = store.record(me, key, Judgement({"misogynous": True}), key=f"again {key}")
            os.write(1, f"{os.getpid()} {me} {vote.key}\\n".encode())
            time.sleep(0.003)  # let the others in

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    for _ in range(int(line)):
        if os.fork() == 0:
            label()
"""

FILLER = """
import resource, sys
from pathlib import Path
from memeapp.errors import MemeAppError
from memeapp.judging import Judgement
from memeapp.store import Store

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
store = Store(Path(sys.argv[1]))
me = store.annotators(1)[0].id
for meme_id in store.session_meme_ids(1):
    try:
        said = Judgement({"misogynous": True}, note="x" * 20_000)
        vote = store.record(me, meme_id, said, key=meme_id)
    except MemeAppError as error:
        sys.stdout.write(f"refused {type(error).__name__}: {error}\\n")
        break
    sys.stdout.write(f"{vote.key}\\n")
"""


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    store = Store(tmp_path / "data")
    yield Room(store, MEMES, "X", votes_per_meme=100_000)
    store.close()


def check(folder: Path) -> None:
    """The file is sound and the counters are what the rows say."""
    with sqlite3.connect(folder / "memeapp.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        wrong = db.execute(
            "SELECT m.votes, memes.vote_count, count(v.id) FROM session_memes AS m"
            " JOIN memes ON memes.id = m.meme_id LEFT JOIN standing_votes AS v"
            " ON v.meme_id = m.meme_id GROUP BY m.meme_id"
            " HAVING m.votes != count(v.id) OR memes.vote_count != count(v.id)"
        ).fetchall()
        assert wrong == []
    db.close()


def test_thirty_processes_killed_while_they_label_lose_nothing_they_acknowledged(
    room: Room,
) -> None:
    folder, chance = room.store.folder, random.Random(7)
    room.store.close()
    lines: list[str] = []
    killed: set[str] = set()
    with subprocess.Popen(
        [sys.executable, "-c", LABELLERS, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as labellers:
        assert labellers.stdin is not None and labellers.stdout is not None
        for _ in range(5):
            labellers.stdin.write("6\n")
            labellers.stdin.flush()
            at_work: Counter[str] = Counter()
            while len(at_work) < 6:
                lines.append(labellers.stdout.readline())
                at_work.update({lines[-1].split()[0]} - killed)
            for process in at_work:
                time.sleep(chance.uniform(0, 0.03))
                os.kill(int(process), signal.SIGKILL)
            killed |= at_work.keys()
            check(folder)
        labellers.stdin.close()
        lines += labellers.stdout
    assert len(killed) == 30
    accepted = {tuple(line.rstrip("\n").split(" ", 2)[1:]) for line in lines}
    after = Store(folder)
    there = {(vote.annotator_id, vote.key) for vote in after.all_votes()}
    after.close()
    assert len(accepted) == len(lines) >= 30
    assert accepted <= there


def test_a_vote_waits_ten_seconds_for_another_writer_and_is_saved(room: Room) -> None:
    room.next("X")
    other = sqlite3.connect(room.store.folder / "memeapp.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(room.judge, "X", "A")
        time.sleep(10)
        assert not waiting.done()
        started = time.monotonic()
        assert room.store.standing_votes() == []  # readers do not wait
        assert time.monotonic() - started < 1
        other.execute("COMMIT")
        assert room.store.standing_votes() in ([], [waiting.result(10)])
    other.close()
    assert room.store.standing_votes() == [waiting.result()]


def test_a_lock_that_is_held_for_too_long_is_told_and_the_vote_can_be_sent_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.2)
    hasty = Store(room.store.folder)
    other = sqlite3.connect(hasty.folder / "memeapp.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    said = Judgement(YES)
    for use in (
        lambda: hasty.record(room.people["X"], room.memes["A"], said, key="k"),
        lambda: hasty.next_cards(room.people["X"], "tab"),
        lambda: hasty.give_back(room.people["X"], "tab"),
        lambda: hasty.set_revoked(room.people["X"], True),
    ):
        with pytest.raises(NotSaved, match=r"busy for 0\.2 seconds.*Send it again"):
            use()
    other.execute("ROLLBACK")
    other.close()
    vote = hasty.record(room.people["X"], room.memes["A"], said, key="k")
    assert hasty.all_votes() == [vote]
    hasty.close()


def test_a_database_that_may_grow_no_further_refuses_the_vote_and_keeps_those_before(
    room: Room,
) -> None:
    accepted = [room.judge("X", "A")]
    db = room.store._db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(NotSaved, match=r"disk is full.*Free space in"):
        for meme in MEMES[1:]:
            accepted.append(room.judge("X", meme, Judgement(YES, note="x" * 3000)))
    assert room.store.all_votes() == accepted
    check(room.store.folder)
    db.execute("PRAGMA max_page_count = 1000000")
    accepted.append(room.judge("X", MEMES[len(accepted)]))
    assert room.store.all_votes() == accepted


def fill(folder: Path, limit: int | None = None) -> tuple[list[str], str]:
    """Let a process vote until it is refused; gives the keys that it saved, and the message.

    Args:
        limit: bytes that a file of that process may have.
    """
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(folder), str(limit or resource.RLIM_INFINITY)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    *accepted, last = done.stdout.splitlines()
    assert accepted, "some votes were to be saved before"
    return accepted, last


def check_and_send_again(folder: Path, accepted: list[str]) -> None:
    """Nothing is lost, and what was refused is saved now."""
    check(folder)
    store = Store(folder)
    assert [vote.key for vote in store.all_votes()] == accepted
    who, refused = store.annotators(1)[0].id, store.session_meme_ids(1)[len(accepted)]
    vote = store.record(who, refused, Judgement(YES), key=refused)
    assert store.all_votes()[-1] == vote
    store.close()


def test_a_process_whose_files_may_not_grow_says_so_and_loses_nothing(room: Room) -> None:
    room.store.close()
    accepted, last = fill(room.store.folder, limit=1_000_000)
    assert last.startswith("refused NotSaved: The database in ") and "cannot be written" in last
    check_and_send_again(room.store.folder, accepted)


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        store = Store(disk / "data")
        Room(store, MEMES, "X")
        store.close()
        ballast, room_left = disk / "ballast", os.statvfs(disk)
        ballast.write_bytes(bytes(room_left.f_bavail * room_left.f_frsize - 500_000))
        accepted, last = fill(store.folder)
        assert last.startswith("refused NotSaved: The disk is full")
        ballast.unlink()
        check_and_send_again(store.folder, accepted)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
