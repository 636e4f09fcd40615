"""Encoding by many workers: the same features, whoever dies meanwhile, and nobody left behind."""

import io
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from conftest import FakeEncoder, FakeOcr, draw_picture, write_tiny_clip
from PIL import Image

from memeapp import __version__
from memeapp.cli import main
from memeapp.encoders import open_encoder
from memeapp.errors import BadPicture, Failed, Mismatch, Unavailable
from memeapp.images import decode
from memeapp.ocr import open_ocr
from memeapp.service import features, hands
from memeapp.service.crew import FAILURES, Crew
from memeapp.service.encoding import Done, InProcess, Kind, Shard, Worker, here
from memeapp.service.features import prepare
from memeapp.store import Store
from memeapp.types import TextSource

COUNT = 41


def fill(folder, memes=COUNT):
    """Memes of which every fourth has no text."""
    store = Store(folder)
    for number in range(memes):
        read = number % 4 > 0
        store.add_meme(
            decode(draw_picture(number, size=64)),
            text=f"text of {number} in red" if read else "",
            text_source=TextSource.GIVEN if read else TextSource.NONE,
            origin="test",
            holdout_share=0.0,
        )
    return store


@pytest.fixture
def store(tmp_path):
    store = fill(tmp_path / "data")
    yield store
    store.close()


def encoded(store, encoder, open_engine=here, ocr=FakeOcr, report=lambda stage, done: None):
    """All that an encoding leaves in the store, in the order of the memes."""
    with open_engine(encoder, ocr) as engine:
        memes, _ = prepare(store, store.memes(), encoder, ocr, report, engine)
    return kept(store, encoder, memes)


def kept(store, encoder, memes):
    images = store.image_features(encoder.id, [meme.id for meme in memes])
    texts = store.text_features(encoder.id, [meme.text for meme in memes])
    return (
        [meme.text for meme in memes],
        np.stack([images[meme.id] for meme in memes]),
        np.stack([texts[meme.text] for meme in memes]),
    )


def same(one, other):
    return one[0] == other[0] and all(map(np.array_equal, one[1:], other[1:]))


def fake_worker():
    return Worker(FakeEncoder, lambda name: FakeOcr())


class Deadly(Worker):
    """Dies on a picture as long as a file is there; with `once`, the file goes with the first."""

    def __init__(self, file: Path, picture: bytes, once: bool) -> None:
        super().__init__(FakeEncoder, lambda name: FakeOcr())
        self.trap = file, picture, once

    def do(self, shard):
        file, picture, once = self.trap
        if shard.kind is Kind.PICTURES and picture in shard.pictures and file.exists():
            if once:
                file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().do(shard)


def processes(worker, workers=2):
    """Engines of processes that do what this worker does."""
    return lambda encoder, ocr: Crew(partial(hands.Process, 1, worker), workers)


def bytes_of(store, meme):
    return store.picture_path(meme.id).read_bytes()


def test_features_and_texts_are_the_same_bit_for_bit_whoever_makes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "BATCH", 3)
    encoder = open_encoder("embedded")
    ocr = partial(open_ocr, "rapidocr")
    results = []
    for engine in (here, partial(hands.local, workers=2)):
        store = fill(tmp_path / str(len(results)), memes=10)
        results.append(encoded(store, encoder, engine, ocr))
        store.close()
    assert same(*results)


def test_a_row_of_clip_does_not_depend_on_how_many_come_with_it(tmp_path):
    spec = f"local-dir:{write_tiny_clip(tmp_path, seed=1)}"
    worker = Worker()
    files = tuple(draw_picture(number) for number in range(11))
    keys = tuple(f"text {number}" for number in range(11))
    pictures = Shard(Kind.PICTURES, spec, keys, files)
    texts = Shard(Kind.TEXTS, spec, keys)
    for shard in (pictures, texts):
        together = worker.do(shard).found
        alone = [worker.do(part).found for part in shard.alone()]
        for key, found in zip(keys, alone, strict=True):
            assert np.array_equal(found[key], together[key])


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_missing(store, tmp_path):
    encoder = FakeEncoder()
    trap = tmp_path / "trap"
    trap.touch()
    deadly = partial(Deadly, trap, bytes_of(store, store.memes()[5]), True)
    found = encoded(store, encoder, processes(deadly))
    assert not trap.exists()
    assert same(found, encoded(fill(tmp_path / "other"), encoder))


def test_a_meme_that_kills_every_worker_is_named_and_all_others_are_done(store, tmp_path):
    encoder = FakeEncoder()
    trap = tmp_path / "trap"
    trap.touch()
    poison = store.memes()[5]
    deadly = processes(partial(Deadly, trap, bytes_of(store, poison), False))
    with pytest.raises(BadPicture, match=f"1 memes.*{poison.id}: 3 workers failed on it"):
        encoded(store, encoder, deadly)
    assert store.without_image_features(encoder.id, [meme.id for meme in store.memes()]) == [
        poison.id
    ]
    trap.unlink()
    found = encoded(store, encoder, deadly)
    assert same(found, encoded(fill(tmp_path / "other"), encoder))


@pytest.mark.parametrize("open_engine", [here, processes(fake_worker)], ids=["here", "processes"])
def test_a_damaged_or_missing_picture_is_named_and_all_others_are_done(store, open_engine):
    encoder = FakeEncoder()
    memes = store.memes()
    store.picture_path(memes[4].id).write_bytes(b"no picture")  # one without a text
    store.picture_path(memes[7].id).unlink()
    with pytest.raises(BadPicture) as caught:
        encoded(store, encoder, open_engine)
    assert "2 memes cannot be read or encoded" in str(caught.value)
    bad = [memes[4].id, memes[7].id]
    assert f"{bad[0]}: its picture is damaged" in str(caught.value)
    assert f"{bad[1]}: its picture is missing" in str(caught.value)
    assert store.without_image_features(encoder.id, [meme.id for meme in memes]) == bad
    assert store.without_text_features(encoder.id, [meme.text for meme in memes if meme.text]) == []
    assert [meme.id for meme in store.memes() if meme.text_source is TextSource.NONE] == bad[:1]


class Stumbling(FakeOcr):
    def read(self, image):
        raise RuntimeError("no such kernel")


def test_an_ocr_engine_that_fails_is_blamed_and_not_the_pictures(store):
    with pytest.raises(BadPicture) as caught:
        encoded(store, FakeEncoder(), ocr=Stumbling)
    told = str(caught.value)
    unread = [meme.id for meme in store.memes() if meme.text_source is TextSource.NONE]
    assert f"{len(unread)} memes" in told
    assert f"{unread[0]}: {FakeOcr.name} failed on it (RuntimeError: no such kernel)" in told
    assert "its picture" not in told


class FakeHand:
    """A hand in this process, which fails on some shards and notes when it must leave."""

    def __init__(self, fails=lambda shard: False, release=__version__):
        self.fails = fails
        self.release = release
        self.left = False

    def ready(self):
        future = Future()
        future.set_result(self.release)
        return future

    def do(self, shard):
        future = Future()
        if self.fails(shard):
            future.set_exception(RuntimeError("out of memory"))
        else:
            future.set_result(Done({key: key.upper() for key in shard.keys}))
        return future

    def leave(self):
        self.left = True


def texts(*keys):
    return Shard(Kind.TEXTS, "fake-1", keys)


def test_no_more_shards_are_taken_than_are_under_way():
    taken = []

    def shards():
        for number in range(10):
            taken.append(number)
            yield texts(str(number))

    with Crew(FakeHand, 2) as crew:
        for done, _ in enumerate(crew.run(shards()), start=1):
            assert len(taken) <= done + 2
    assert len(taken) == 10


def test_nobody_is_taken_on_where_there_is_nothing_to_do():
    hired = []
    with Crew(lambda: hired.append(FakeHand()) or hired[-1], 2) as crew:
        assert list(crew.run(iter(()))) == []
        assert hired == []
        assert len(list(crew.run([texts("a")]))) == 1
        assert len(list(crew.run([texts("b")]))) == 1
    assert len(hired) == 2
    assert all(hand.left for hand in hired)


def test_workers_that_fail_one_after_the_other_end_the_work_with_the_memes_named():
    hired = []
    with (
        Crew(lambda: hired.append(FakeHand(lambda shard: True)) or hired[-1], 2) as crew,
        pytest.raises(Failed, match=f"{FAILURES} workers failed.*(a|b|c).*out of memory"),
    ):
        list(crew.run([texts(key) for key in "abcdefgh"]))
    assert all(hand.left for hand in hired)


def test_a_worker_of_another_release_is_refused_with_both_named():
    with (
        Crew(lambda: FakeHand(release="0.0.1"), 1) as crew,
        pytest.raises(Mismatch, match=f"0.0.1.*{__version__}"),
    ):
        list(crew.run([texts("a")]))


def test_an_encoder_that_workers_cannot_open_ends_the_work_with_its_reason(store):
    def cannot(spec):
        raise Unavailable(f"{spec} is not here")

    class Same(FakeHand):
        def do(self, shard):
            future = Future()
            try:
                future.set_result(Worker(cannot, FakeOcr).do(shard))
            except Unavailable as error:
                future.set_exception(error)
            return future

    with Crew(Same, 2) as crew, pytest.raises(Unavailable, match="fake-1 is not here"):
        list(crew.run([texts("a")]))


class Endless(Worker):
    """Tells its process by a file, and then never ends."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def do(self, shard):
        self.file.write_text(str(os.getpid()))
        signal.pause()


def test_a_crew_that_is_left_takes_the_processes_with_it(tmp_path):
    crew = Crew(partial(hands.Process, 1, partial(Endless, tmp_path / "pid")), 1)
    with pytest.raises(KeyboardInterrupt), crew:
        hand = hands.Process(1, partial(Endless, tmp_path / "pid"))
        crew._hands.add(hand)
        hand.ready().result(60)
        process = hand._process
        assert process.is_running()
        hand.do(texts("a"))
        raise KeyboardInterrupt
    assert not process.is_running()


def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path):
    script = tmp_path / "start.py"
    script.write_text(
        textwrap.dedent("""
            import os, signal
            from memeapp.service.hands import Process

            if __name__ == "__main__":
                hand = Process(1)
                hand.ready().result(60)
                print(hand._process.pid, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
        """)
    )
    root = Path(__file__).parents[2]
    started = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert started.returncode == -signal.SIGKILL, started.stderr
    gone, alive = psutil.wait_procs(
        [psutil.Process(pid) for pid in [int(started.stdout)] if psutil.pid_exists(pid)], timeout=60
    )
    assert not alive


def test_workers_share_the_cores(tmp_path):
    hired = []

    class Counting(Crew):
        def __init__(self, hire, workers):
            hired.append((hire.args[0], workers))
            super().__init__(hire, workers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hands, "Crew", Counting)
        patch.setattr(hands, "cores", lambda: 8)
        patch.setattr(hands, "_fitting", lambda: 5)
        for workers in (2, 8, 16, None):
            with hands.local(FakeEncoder(), FakeOcr, workers=workers):
                pass
    assert hired == [(4, 2), (1, 8), (1, 16), (1, 5)]


def test_one_worker_is_this_process_and_so_is_an_encoder_with_a_gpu():
    on_gpu = FakeEncoder()
    on_gpu.on_gpu = True
    for encoder, workers in ((FakeEncoder(), 1), (on_gpu, None)):
        with hands.local(encoder, FakeOcr, workers=workers) as engine:
            assert isinstance(engine, InProcess)


def test_without_ray_the_command_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = CliRunner().invoke(main, ["--data", str(tmp_path), "encode", "--engine", "ray"])
    assert result.exit_code == 1
    assert 'pip install "memeapp[ray]"' in result.output


def test_an_address_is_for_ray_alone(tmp_path):
    result = CliRunner().invoke(main, ["--data", str(tmp_path), "encode", "--address", "there"])
    assert result.exit_code == 2
    assert "--engine ray" in result.output


@pytest.fixture(scope="module")
def cluster():
    """Two machines of one core each, as far as Ray can tell; gives their address."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        one_core = {"num_cpus": 1, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=one_core)
        try:
            made.add_node(num_cpus=1)
            yield made.address
        finally:
            made.shutdown()


@pytest.mark.ray
def test_a_cluster_makes_the_same_features_also_when_a_worker_is_killed(cluster, store, tmp_path):
    encoder = FakeEncoder()
    trap = tmp_path / "trap"
    trap.touch()
    deadly = partial(Deadly, trap, bytes_of(store, store.memes()[5]), True)
    on_ray = partial(hands.on_ray, workers=2, address=cluster, worker=deadly)
    found = encoded(store, encoder, on_ray)
    assert not trap.exists()
    assert same(found, encoded(fill(tmp_path / "other"), encoder))


@pytest.mark.ray
def test_a_cluster_goes_on_where_an_interruption_left_it(cluster, store, tmp_path):
    encoder = FakeEncoder()
    on_ray = partial(hands.on_ray, workers=2, address=cluster, worker=fake_worker)

    def stop(stage, done):
        if stage.startswith("Encoding pictures") and ": 0 of" not in stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoded(store, encoder, on_ray, report=stop)
    ids = [meme.id for meme in store.memes()]
    assert len(store.without_image_features(encoder.id, ids)) in (9, COUNT - 9)
    found = encoded(store, encoder, on_ray)
    assert same(found, encoded(fill(tmp_path / "other"), encoder))


@pytest.mark.ray
def test_a_cluster_that_is_not_there_is_told_with_what_to_do(cluster):
    with (
        pytest.raises(Unavailable, match="ray start --head --disable-usage-stats"),
        hands.on_ray(FakeEncoder(), FakeOcr, address="127.0.0.1:1"),
    ):
        pass


def test_a_picture_is_opened_as_rgb_whatever_its_file_holds():
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 100).save(buffer, "PNG")
    done = fake_worker().do(Shard(Kind.PICTURES, "fake-1", ("grey",), (buffer.getvalue(),)))
    assert done.found["grey"].shape == (3,)
