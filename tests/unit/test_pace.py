"""How long a training takes, and what its job tells while it runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from storing import add

from memeapp.learn.loops import Progress
from memeapp.service.course import LONGEST, Course, Curves
from memeapp.service.pace import PARTS, Backlog, Estimate, known_paces
from memeapp.store import Store
from memeapp.types import Job, JobState, TextSource

BACKLOG = Backlog(reading=10, pictures=100, texts=100, learning=400, measuring=50)
PACES = {"reading": 1.0, "pictures": 0.2, "texts": 0.1, "learning": 0.05, "measuring": 0.1}
SECONDS = {"reading": 10.0, "pictures": 20.0, "texts": 10.0, "learning": 20.0, "measuring": 5.0}


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def run(estimate: Estimate, clock: Clock, seconds: dict[str, float]) -> list[tuple[float, ...]]:
    """Go through all parts in even steps; each time: seconds left, share, estimate."""
    told, total = [], sum(seconds.values())
    start = 0.0
    for part in PARTS:
        for step in range(10):
            share, left = estimate.tell(start + (part.until - start) * step / 10)
            told.append((total - clock.time, share, -1.0 if left is None else left))
            clock.time += seconds[part.name] / 10
        start = part.until
    estimate.end()
    return told


def test_nothing_is_said_of_the_end_without_a_basis() -> None:
    clock = Clock()
    told = run(Estimate(BACKLOG, {}, clock), clock, SECONDS)
    before = [(share, left) for _, share, left in told if share < 0.95]
    assert all(left == -1.0 for _, left in before)
    assert before[10][0] == pytest.approx(0.3), "the share is what the training says"


def test_the_share_is_that_of_the_time_and_the_end_is_right_where_the_pace_is_as_before() -> None:
    clock = Clock()
    told = run(Estimate(BACKLOG, PACES, clock), clock, SECONDS)
    for truth, share, left in told:
        assert left == pytest.approx(truth, abs=1e-6)
        assert share == pytest.approx(1 - truth / 65, abs=1e-6)


def test_a_slower_machine_is_noticed_and_the_share_never_falls() -> None:
    clock = Clock()
    slow = {name: 3 * seconds for name, seconds in SECONDS.items()}
    told = run(Estimate(BACKLOG, PACES, clock), clock, slow)
    shares = [share for _, share, _ in told]
    assert shares == sorted(shares) and shares[-1] <= 1
    in_pictures = told[15]
    later = SECONDS["texts"] + SECONDS["learning"] + SECONDS["measuring"]
    assert in_pictures[2] == pytest.approx(30 + later)  # its own pace, and that of before


def test_what_was_encoded_before_counts_neither_as_time_nor_for_the_pace() -> None:
    clock = Clock()
    estimate = Estimate(Backlog(0, 10, 0, 400, 50), PACES, clock)
    estimate.tell(0.0)
    estimate.tell(0.3 + 0.24 * 0.9)  # nine of ten are there
    clock.time = 1.0
    _, left = estimate.tell(0.3 + 0.24 * 0.95)
    assert left == pytest.approx(1.0 + SECONDS["learning"] + SECONDS["measuring"])


def test_learning_that_may_stop_early_goes_by_what_it_took_before() -> None:
    clock = Clock()
    estimate = Estimate(Backlog(0, 0, 0, 400, 50), PACES, clock)
    estimate.tell(0.6)
    clock.time = 5.0
    _, left = estimate.tell(0.6 + 0.35 * 0.1)
    assert left == pytest.approx(15.0 + SECONDS["measuring"])


def test_the_pace_of_a_run_is_measured_for_later_ones() -> None:
    clock = Clock()
    estimate = Estimate(BACKLOG, {}, clock)
    run(estimate, clock, SECONDS)
    assert estimate.measured == pytest.approx(PACES)


def finished(id: int, encoder: str, paces: dict[str, float]) -> Job:
    return Job(
        id, JobState.FINISHED, "", 1.0, "", "v", None, "", "", encoder, result={"paces": paces}
    )


def test_the_pace_of_encoding_is_that_of_the_same_encoder_and_the_newest_counts() -> None:
    jobs = [
        Job(9, JobState.FAILED, "", 0, "", None, None, "", "", "mine"),
        finished(8, "another", {"pictures": 9.0, "learning": 2.0}),
        finished(7, "mine", {"pictures": 1.0, "learning": 3.0, "reading": 4.0}),
        finished(6, "mine", {"pictures": 7.0}),
    ]
    assert known_paces(jobs, "mine") == {"learning": 2.0, "pictures": 1.0, "reading": 4.0}


def test_the_backlog_is_what_is_not_read_and_not_encoded(store: Store) -> None:
    memes = [
        add(store, name, text=text, text_source=source, holdout_share=held_out)
        for name, text, source, held_out in (
            ("a", "one", TextSource.GIVEN, 0.0),
            ("b", "two", TextSource.GIVEN, 0.0),
            ("c", "", TextSource.NONE, 0.0),
            ("d", "two", TextSource.GIVEN, 1.0),
        )
    ]
    assert Backlog.of(store, memes, "fake-1", []) == Backlog(1, 4, 3, 3, 1)
    store.put_image_features("fake-1", {memes[0].id: [1.0], memes[3].id: [1.0]})  # type: ignore[dict-item]
    store.put_text_features("fake-1", {"two": [1.0]})  # type: ignore[dict-item]
    assert Backlog.of(store, memes, "fake-1", []) == Backlog(1, 2, 2, 3, 1)
    assert Backlog.of(store, memes, "another", []) == Backlog(1, 4, 3, 3, 1)


def epoch(number: int, loss: float | None, stage: str = "Learning") -> Progress:
    return Progress(stage, 0.5, loss, number, 1000)


def test_a_curve_is_kept_for_each_stage_and_thinned_to_so_many_points() -> None:
    curves = Curves()
    curves.add(epoch(1, 0.9, "Relating"))
    for number in range(1, 1001):
        curves.add(epoch(number, 1 / number))
    relating, learning = curves.drawn()
    assert (relating.stage, relating.points) == ("Relating", ((1, 0.9),))
    assert 100 <= len(learning.points) <= LONGEST
    assert learning.points[-1] == (1000, 0.001)
    numbers = [number for number, _ in learning.points]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("loss", [None, float("nan"), float("inf")])
def test_an_epoch_without_a_loss_leaves_no_point(loss: float | None) -> None:
    curves = Curves()
    curves.add(epoch(1, loss))
    curves.add(Progress("Combining the heads", 1.0, 0.3))
    assert curves.drawn() == ()


def test_the_curves_are_written_at_most_once_a_second(store: Store) -> None:
    clock = Clock()
    course = Course(clock)
    course.curves.add(epoch(1, 0.9))
    written = []
    for time in (0.0, 0.4, 0.99, 1.0, 1.5, 2.0):
        clock.time = time
        written.append("losses" in course.tell(0.5))
    assert written == [True, False, False, True, False, True]


def test_a_course_goes_into_the_job_and_comes_out_of_the_database_the_same(store: Store) -> None:
    course = Course()
    course.begin(BACKLOG, PACES)
    course.curves.add(epoch(1, 0.9))
    course.curves.add(epoch(2, 0.8))
    before = datetime.now(UTC)
    job = store.update_job(store.add_job().id, stage="Learning", **course.tell(0.6))
    assert job.losses == course.curves.drawn()
    assert job.ends_at is not None
    assert 20 < (datetime.fromisoformat(job.ends_at) - before).total_seconds() < 70
    unknown = store.update_job(job.id, **Course().tell(0.7))
    assert unknown.ends_at is None
    assert json.loads(json.dumps([curve.points for curve in job.losses]))
