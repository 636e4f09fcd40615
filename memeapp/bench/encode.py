"""How fast a corpus is read and encoded: in one process, by workers, and on a Ray cluster."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil
from numpy.typing import NDArray

from memeapp.bench.machine import heading
from memeapp.encoders import Encoder
from memeapp.errors import Failed
from memeapp.images import decode_file
from memeapp.ocr import OcrEngine
from memeapp.service import hands
from memeapp.service.crew import Crew
from memeapp.service.encoding import Engine, here
from memeapp.service.features import Report, Work, in_words
from memeapp.store import Store
from memeapp.types import Meme, TextSource

PARTS = ("OCR", "pictures", "texts")
SIZES = (1_000, 100_000, 1_000_000)
WARM_UP = 4
"""Memes for each worker that are done before the clock starts; nothing of them is kept."""
SAMPLE_SECONDS = 0.1

Way = Callable[[], AbstractContextManager[Engine]]


@dataclass(frozen=True, slots=True)
class Run:
    """One way of encoding, once."""

    start: float
    """Seconds until its workers are there and have opened what they need."""
    rates: tuple[float, float, float]
    """Memes a second of each of `PARTS`, the store's writing included."""
    peak_mib: float
    """Largest resident sizes of this process and its workers together, sampled."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Memes to encode, in a data folder of which every run has a copy."""

    folder: Path
    memes: tuple[Meme, ...]
    read: int
    """The first so many have no text."""

    @classmethod
    def make(cls, folder: Path, rows: Sequence[tuple[Path, str]], read: int) -> Corpus:
        store = Store(folder)
        for number, (file, text) in enumerate(rows):
            given = number >= read
            store.add_meme(
                decode_file(file),
                text=text if given else "",
                text_source=TextSource.GIVEN if given else TextSource.NONE,
                origin="bench",
                holdout_share=0.0,
            )
        memes = tuple(store.memes())
        store.close()
        without = sum(meme.text_source is TextSource.NONE for meme in memes)
        return cls(folder, memes, without)

    @contextmanager
    def copy(self) -> Iterator[Store]:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
            store = Store(Path(folder))
            yield store
            store.close()


def bench_encode(
    rows: Sequence[tuple[Path, str]],
    out: Path,
    *,
    encoder: Encoder,
    ocr: OcrEngine,
    read: int,
    workers: Sequence[int],
    rounds: int,
    address: str | None,
    report: Report,
) -> None:
    """Encode the memes in every way, round after round, and write `encode.md` to `out`.

    Args:
        rows: pictures and their texts.
        read: of the first so many the text is read too.
        workers: numbers of worker processes.
        address: of a Ray cluster; None leaves those rows out.

    Raises:
        Failed: if two ways do not give the same, bit for bit.
    """
    ways = _ways(encoder, ocr, workers, address)
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        report("Importing", 0.0)
        corpus = Corpus.make(Path(folder), rows, read)
        expected: bytes | None = None
        for done, (_, (name, way)) in enumerate(product(range(rounds), ways.items())):
            report(name, done / rounds / len(ways))
            with corpus.copy() as store:
                run, found = _run(corpus, store, encoder, ocr, way)
                store.close()  # what is in the log goes into the database
                disk = _bytes(store.folder)
            if found != (expected := expected or found):
                raise Failed(f"{name} gave other features than {next(iter(ways))}.")
            runs[name].append(run)
    out.mkdir(parents=True, exist_ok=True)
    page = to_markdown(runs, corpus, disk, encoder=encoder.id, ocr=ocr.name)
    (out / "encode.md").write_text(page, encoding="utf-8")


def _ways(
    encoder: Encoder, ocr: OcrEngine, workers: Sequence[int], address: str | None
) -> dict[str, Way]:
    ways: dict[str, Way] = {"in-process": partial(here, encoder, lambda: ocr)}
    for count in workers:
        hire = partial(hands.Process, hands.threads_each(count))
        ways[f"local, {_counted(count)}"] = partial(Crew, hire, count)
    if address:
        for count in workers:
            ways[f"ray, {_counted(count)}"] = partial(
                hands.on_ray, encoder, lambda: ocr, workers=count, address=address
            )
    return ways


def _counted(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"


def _run(
    corpus: Corpus, store: Store, encoder: Encoder, ocr: OcrEngine, way: Way
) -> tuple[Run, bytes]:
    """What it cost, and all that it left in the store."""
    with _peak() as peak, corpus.copy() as warm:
        began = perf_counter()
        with way() as engine:
            few = WARM_UP
            if isinstance(engine, Crew):
                engine.gather()
                few *= engine.workers
            _parts(Work(warm, engine, at_once=1), corpus.memes[:few], few, encoder, ocr)
            start = perf_counter() - began
            rates = _parts(Work(store, engine), corpus.memes, corpus.read, encoder, ocr)
    return Run(start, rates, peak()), _kept(store, encoder)


def _parts(
    work: Work, memes: Sequence[Meme], read: int, encoder: Encoder, ocr: OcrEngine
) -> tuple[float, float, float]:
    """Memes a second of each of `PARTS`."""

    def unheard(stage: str, done: float) -> None: ...

    began = perf_counter()
    complete = [*work.read_missing(memes[:read], lambda: ocr, unheard), *memes[read:]]
    after_reading = perf_counter()
    work.encode_pictures(complete, encoder, unheard)
    after_pictures = perf_counter()
    work.encode_texts(complete, encoder, unheard)
    after_texts = perf_counter()
    return (
        read / (after_reading - began),
        len(memes) / (after_pictures - after_reading),
        len({meme.text for meme in complete}) / (after_texts - after_pictures),
    )


def _kept(store: Store, encoder: Encoder) -> bytes:
    memes = store.memes()
    images = store.image_features(encoder.id, [meme.id for meme in memes])
    texts = store.text_features(encoder.id, [meme.text for meme in memes])
    parts = ((meme.text.encode(), images[meme.id], texts[meme.text]) for meme in memes)
    return b"".join(bytes(part) for meme in parts for part in meme)


@contextmanager
def _peak() -> Iterator[Callable[[], float]]:
    """MiB at most of this process, its children and Ray's workers on this machine."""
    most = 0.0
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(SAMPLE_SECONDS):
            most = max(most, _resident() / 2**20)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: most
    finally:
        over.set()
        thread.join()


def _resident() -> int:
    me = psutil.Process()
    ours = {me, *me.children(recursive=True)}
    ours |= {one for one in psutil.process_iter(["name"]) if one.info["name"].startswith("ray::")}
    total = 0
    for process in ours:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _bytes(folder: Path) -> tuple[int, int]:
    """Of the pictures and of the database."""
    pictures = sum(file.stat().st_size for file in (folder / "pictures").rglob("*.jpg"))
    return pictures, sum(file.stat().st_size for file in folder.glob("memeapp.db*"))


def to_markdown(
    runs: dict[str, list[Run]], corpus: Corpus, disk: tuple[int, int], *, encoder: str, ocr: str
) -> str:
    """The results in Markdown."""
    rounds = len(next(iter(runs.values())))
    rates = {name: np.median([run.rates for run in of_it], axis=0) for name, of_it in runs.items()}
    base = np.array([run.rates for run in runs["in-process"]])
    ratios = {
        name: np.median(np.array([run.rates for run in of_it]) / base, axis=0)
        for name, of_it in runs.items()
    }
    lines = [
        "# How fast a corpus is read and encoded",
        "",
        heading(),
        "",
        f"- {len(corpus.memes):,} memes, the text of {corpus.read:,} read by `{ocr}`; encoder "
        f"`{encoder}`. Medians of {rounds} round(s), each through all rows of the table; × is the "
        "median of the ratios to in-process within a round.",
        "- Memes a second in the long run: the workers are there and have opened their models "
        "(“start”), the store's writing is included. Memory: largest resident sizes of the process "
        "and all its workers together.",
        "- The features and texts of all rows are equal, bit for bit; the command fails otherwise.",
        "",
        "| | start s | " + " | ".join(f"{part}/s | ×" for part in PARTS) + " | peak MiB |",
        "| --- " * 9 + "|",
    ]
    for name, of_it in runs.items():
        cells = [
            f"{rate:.3g} | {ratio:.2f}"
            for rate, ratio in zip(rates[name], ratios[name], strict=True)
        ]
        lines.append(
            f"| {name} | {np.median([run.start for run in of_it]):.1f} | {' | '.join(cells)} "
            f"| {max(run.peak_mib for run in of_it):,.0f} |"
        )
    pictures, database = (size / len(corpus.memes) for size in disk)
    lines += ["", *_larger(rates, [size / len(corpus.memes) for size in disk])]
    return "\n".join([*lines, ""])


def _larger(rates: dict[str, NDArray[np.float64]], each: Sequence[float]) -> list[str]:
    """Time of the first way and of those with the most workers, and room on the disk."""
    kinds = {name.split(",")[0]: name for name in rates}  # the last of each
    pictures, database = each
    lines = [
        "## What that makes of larger corpora",
        "",
        f"Computed from the table. A picture takes {pictures / 1e3:,.0f} kB, a meme "
        f"{database / 1e3:,.1f} kB of the database, its features included; both measured.",
        "",
        "| memes | "
        + " | ".join(f"{name}: OCR | encoding" for name in kinds.values())
        + " | pictures | database |",
        "| --- " * (2 * len(kinds) + 3) + "|",
    ]
    for size in SIZES:
        times = []
        for name in kinds.values():
            by_ocr, of_pictures, of_texts = rates[name]
            times += [in_words(size / by_ocr), in_words(size / of_pictures + size / of_texts)]
        lines.append(
            f"| {size:,} | {' | '.join(times)} | {size * pictures / 1e9:,.1f} GB "
            f"| {size * database / 1e9:,.2f} GB |"
        )
    return lines
