"""Trainings that start by themselves: the rules, and who of several apps starts one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from storing import add

from memeapp.errors import BadInput, Busy, TooFewLabels
from memeapp.jobs import Jobs
from memeapp.judging import Judgement, Plan, Seen
from memeapp.labels import MAMI
from memeapp.scheduler import Scheduler
from memeapp.service.triggers import due, learned_until, new_labels, paused_until
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.store.connections import moment, now
from memeapp.store.triggers import Retraining
from memeapp.types import Job, JobState, ModelVersion

BERLIN = ZoneInfo("Europe/Berlin")
OFF = Retraining(None, None, "", "majority", "blind", "2026-01-01", None, 0, "", None)
VOTE = {"misogynous": True}


def at(text: str, zone: object = UTC) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)  # type: ignore[arg-type]


def test_nothing_is_due_while_both_triggers_are_off() -> None:
    assert due(OFF, at("2026-03-01T03:30"), 10_000, UTC) is None


def test_a_training_is_due_at_exactly_so_many_labels_and_not_at_one_less() -> None:
    wanted = replace(OFF, after_labels=50)
    assert due(wanted, at("2026-03-01T12:00"), 49, UTC) is None
    found = due(wanted, at("2026-03-01T12:00"), 50, UTC)
    assert found is not None and (found.by, found.day) == ("after 50 new labels", None)


@pytest.mark.parametrize(
    ("time", "day"),
    [
        ("2026-03-01T03:29:59", None),
        ("2026-03-01T03:30:00", "2026-03-01"),
        ("2026-03-01T04:29:59", "2026-03-01"),  # missed, and made up for
        ("2026-03-01T04:30:00", None),  # missed for too long
    ],
)
def test_a_daily_training_is_due_from_its_time_on_for_an_hour(time: str, day: str | None) -> None:
    found = due(replace(OFF, daily_at="03:30"), at(time), 0, UTC)
    assert (found and found.day) == day


def test_a_daily_training_is_due_once_a_day_also_where_the_clock_is_put_back() -> None:
    wanted = replace(OFF, daily_at="03:30", last_day="2026-03-01")
    assert due(wanted, at("2026-03-01T03:40"), 0, UTC) is None
    assert due(wanted, at("2026-02-28T03:40"), 0, UTC) is None
    assert due(wanted, at("2026-03-02T03:30"), 0, UTC) is not None


def test_a_training_missed_before_midnight_is_made_up_for_after_it() -> None:
    found = due(replace(OFF, daily_at="23:45"), at("2026-03-02T00:10"), 0, UTC)
    assert found is not None and found.day == "2026-03-01"


def days_of(wanted: Retraining, start: datetime, hours: int) -> list[datetime]:
    """When trainings start if somebody looks every half minute."""
    starts = []
    for step in range(hours * 120):
        time = start + timedelta(seconds=30 * step)
        if found := due(wanted, time, 0, BERLIN):
            starts.append(time.astimezone(UTC))
            wanted = replace(wanted, last_day=found.day)
    return starts


def test_a_time_that_summer_time_leaves_out_still_comes_once_that_day() -> None:
    starts = days_of(replace(OFF, daily_at="02:30"), at("2026-03-28T12:00"), 48)
    assert starts == [at("2026-03-29T01:30"), at("2026-03-30T00:30")]


def test_a_time_that_winter_time_shows_twice_comes_once_that_day() -> None:
    starts = days_of(replace(OFF, daily_at="02:30"), at("2026-10-24T12:00"), 48)
    assert starts == [at("2026-10-25T00:30"), at("2026-10-26T01:30")]


def test_a_time_of_day_is_meant_in_the_zone_of_the_machine() -> None:
    wanted = replace(OFF, daily_at="03:30")
    assert due(wanted, at("2026-07-01T01:30"), 0, BERLIN) is not None
    assert due(wanted, at("2026-07-01T03:30"), 0, BERLIN) is None


def job(
    id: int, state: JobState, time: str, ended: str | None = None, by: str = "daily at 03:30"
) -> Job:
    return Job(id, state, "", 0.0, "", None, None, time, ended or time, options={"by": by})


@pytest.mark.parametrize(
    ("began", "ended", "then", "day"),
    [
        ("03:00", "05:00", "05:20", "2026-03-01"),  # it had to wait
        ("03:00", "05:00", "06:00", None),
        ("03:00", "03:29", "04:40", None),  # had ended before its time
        ("04:40", "05:00", "05:20", None),  # began when it was too late anyway
    ],
)
def test_a_daily_training_that_waited_for_another_is_made_up_for_after_its_end(
    began: str, ended: str, then: str, day: str | None
) -> None:
    times = (f"2026-03-01T{time}:00.000+00:00" for time in (began, ended))
    other = job(1, JobState.FINISHED, *times, by="admin")
    found = due(replace(OFF, daily_at="03:30"), at(f"2026-03-01T{then}"), 0, UTC, other)
    assert (found and found.day) == day


def test_what_somebody_asked_for_in_vain_does_not_hold_up_the_others() -> None:
    time = "2026-03-01T12:00:00.000+00:00"
    asked = [job(id, JobState.FAILED, time, by="token nightly") for id in range(20)]
    assert paused_until(asked, "2026-01-01") is None


def test_each_failure_in_a_row_doubles_the_pause_up_to_a_day() -> None:
    time = "2026-03-01T12:00:00.000+00:00"
    failures = [job(id, JobState.FAILED, time) for id in range(20)]
    ended = datetime.fromisoformat(time)
    since = "2026-01-01"
    pauses = [(paused_until(failures[:many], since) or ended) - ended for many in (0, 1, 2, 3, 12)]
    minutes = [pause.total_seconds() / 60 for pause in pauses]
    assert minutes == [0, 10, 20, 40, 24 * 60]


def test_a_training_that_ended_well_or_new_settings_end_the_pause() -> None:
    time = "2026-03-01T12:00:00.000+00:00"
    failed, well = job(3, JobState.FAILED, time), job(2, JobState.FINISHED, time)
    assert paused_until([well, failed], "2026-01-01") is None
    assert paused_until([failed], "2026-03-02") is None
    once = paused_until([failed, well, failed], "2026-01-01")
    assert once == datetime.fromisoformat(time) + timedelta(minutes=10)


def test_a_training_that_somebody_cancelled_does_not_come_back_within_a_day() -> None:
    time = "2026-03-01T12:00:00.000+00:00"
    until = paused_until([job(1, JobState.CANCELLED, time)], "2026-01-01")
    assert until == datetime.fromisoformat(time) + timedelta(days=1)


class Judging:
    """A session whose people judge memes by their names."""

    def __init__(self, store: Store) -> None:
        self.store = store
        memes = {name: add(store, name).id for name in "abcdefgh"}
        memes["held out"] = add(store, "held out", holdout_share=1.0).id
        self.memes = memes
        self.session = store.add_session(Plan("Room", votes_per_meme=9), list(memes.values()))
        self.keys = count()

    def person(self, name: str) -> str:
        return self.store.add_annotator(name, session_id=self.session.id).id

    def judge(self, who: str, meme: str, seen: Seen = Seen.NONE) -> int:
        said = Judgement(VOTE)
        values = {"key": f"key {next(self.keys)}"}
        if seen is not Seen.NONE:
            with self.store._writing():
                return self.store._append(
                    self.session,
                    self.store.annotator(who),
                    self.memes[meme],
                    said,
                    seen=seen,
                    **values,
                ).id
        return self.store.record(who, self.memes[meme], said, **values).id

    def trained(
        self, last_vote: int | None, name: str = "v0001", unknown: str = ""
    ) -> ModelVersion:
        """A version that a job here made of the votes until then, on all memes but one."""
        data: dict[str, float | str] = {} if last_vote is None else {"last_vote": last_vote}
        version = ModelVersion(name, now(), "fake-1", MAMI.names, None, "best", data)
        job = self.store.add_job()
        known = [meme.id for meme in self.store.memes(held_out=False)]
        self.store.mark_learned([id for id in known if id != self.memes.get(unknown)])
        self.store.add_version(version, job.id)
        self.store.update_job(job.id, state=JobState.FINISHED)
        return version


@pytest.fixture
def judging(store: Store) -> Judging:
    return Judging(store)


def test_new_labels_are_memes_judged_since_the_last_training_took_its_votes(
    judging: Judging,
) -> None:
    ada, ben = judging.person("Ada"), judging.person("Ben")
    last = judging.judge(ada, "a")
    assert new_labels(judging.store, "blind") == 1
    judging.trained(last)
    assert new_labels(judging.store, "blind") == 0
    judging.judge(ben, "a")  # judged anew
    judging.judge(ada, "b")
    judging.judge(ben, "b")  # one meme is one label
    judging.judge(ada, "held out")
    assert new_labels(judging.store, "blind") == 2
    judging.store.undo(ben, key="undo 1", tab="tab")
    judging.store.undo(ben, key="undo 2", tab="tab")
    assert new_labels(judging.store, "blind") == 1


def test_a_meme_that_came_while_a_training_was_encoding_is_new_to_the_next(
    judging: Judging,
) -> None:
    ada = judging.person("Ada")
    judging.judge(ada, "b")
    last = judging.judge(ada, "a")  # the training took this vote, and did not know the meme "b"
    judging.trained(last, unknown="b")
    assert new_labels(judging.store, "blind") == 1


def test_judgements_that_a_training_passes_over_are_no_new_labels(judging: Judging) -> None:
    ada, eve = judging.person("Ada"), judging.person("Eve")
    judging.judge(ada, "a", seen=Seen.BEFORE)
    judging.judge(eve, "b")
    judging.store.set_excluded(eve, True)
    assert new_labels(judging.store, "blind") == 0
    assert new_labels(judging.store, "all") == 1


def test_a_version_of_before_has_learned_what_was_said_before_it_was_made(
    judging: Judging,
) -> None:
    last = judging.judge(judging.person("Ada"), "a")
    version = judging.trained(None)
    assert learned_until(judging.store, version) == last
    assert learned_until(judging.store, replace(version, name="from elsewhere")) == 0
    assert learned_until(judging.store, None) == 0


class FakeJobs:
    """Queues jobs in the store, as the real ones do, and starts no process."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.error: Exception | None = None
        self.started: list[str] = []

    def latest(self) -> Job | None:
        return self.store.latest_job()

    def start(self, encoder: str, *, aggregation: str, votes: str, by: str) -> Job:
        if self.error:
            raise self.error
        self.started.append(by)
        return self.store.add_job(encoder, options={"by": by})


class Clock:
    """Stands still until it is moved; begins now, so that it fits the times of the store."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC) + timedelta(seconds=1)

    def __call__(self) -> datetime:
        return self.time

    def move(self, **by: float) -> None:
        self.time += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(store: Store) -> FakeJobs:
    return FakeJobs(store)


@pytest.fixture
def scheduler(store: Store, jobs: FakeJobs, clock: Clock) -> Scheduler:
    return Scheduler(store, jobs, clock=clock, zone=UTC)  # type: ignore[arg-type]


def end(store: Store, state: JobState) -> None:
    latest = store.latest_job()
    assert latest is not None
    store.update_job(latest.id, state=state)


def test_a_look_starts_a_training_after_so_many_labels_and_says_so(
    scheduler: Scheduler, jobs: FakeJobs, judging: Judging
) -> None:
    scheduler.change(after_labels=2, daily_at=None)
    ada = judging.person("Ada")
    judging.judge(ada, "a")
    scheduler.look()
    assert jobs.started == []
    judging.judge(ada, "b")
    scheduler.look()
    assert jobs.started == ["after 2 new labels"]
    told = judging.store.retraining()
    assert told.told == "Job 1 was started, after 2 new labels."
    assert judging.store.audit(1)[0].who == "after 2 new labels"


def test_a_look_while_a_training_is_at_work_starts_none(
    scheduler: Scheduler, jobs: FakeJobs, judging: Judging
) -> None:
    scheduler.change(after_labels=1, daily_at=None)
    judging.judge(judging.person("Ada"), "a")
    scheduler.look()
    scheduler.look()
    assert len(jobs.started) == 1
    assert "at work" in judging.store.retraining().told


def test_a_daily_training_waits_for_one_at_work_and_is_not_lost(
    scheduler: Scheduler, jobs: FakeJobs, judging: Judging, clock: Clock
) -> None:
    scheduler.change(after_labels=None, daily_at=f"{clock.time:%H:%M}")
    judging.judge(judging.person("Ada"), "a")
    judging.store.add_job()
    scheduler.look()
    assert jobs.started == []
    end(judging.store, JobState.FINISHED)
    scheduler.look()
    assert len(jobs.started) == 1


def test_a_daily_training_with_nothing_new_is_passed_over_with_a_reason(
    scheduler: Scheduler, jobs: FakeJobs, judging: Judging, clock: Clock
) -> None:
    scheduler.change(after_labels=None, daily_at=f"{clock.time:%H:%M}")
    scheduler.look()
    assert jobs.started == []
    assert "Nothing was judged anew" in judging.store.retraining().told
    judging.judge(judging.person("Ada"), "a")
    scheduler.look()
    assert jobs.started == [], "that day's training was passed over"
    clock.move(days=1)
    scheduler.look()
    assert len(jobs.started) == 1


def test_a_training_that_fails_is_not_tried_again_at_every_look(
    scheduler: Scheduler, jobs: FakeJobs, judging: Judging, clock: Clock
) -> None:
    scheduler.change(after_labels=1, daily_at=None)
    judging.judge(judging.person("Ada"), "a")
    scheduler.look()
    end(judging.store, JobState.FAILED)
    for minutes, starts in ((1, 1), (8, 1), (2, 2)):
        clock.move(minutes=minutes)
        scheduler.look()
        assert len(jobs.started) == starts
    end(judging.store, JobState.FAILED)
    clock.move(minutes=1)
    scheduler.look()
    assert "came to no end" in judging.store.retraining().told
    scheduler.change(after_labels=1, daily_at=None)
    scheduler.look()
    assert len(jobs.started) == 3, "new settings are tried at once"


def test_why_none_can_start_is_told_once(
    scheduler: Scheduler, jobs: FakeJobs, judging: Judging, clock: Clock
) -> None:
    jobs.error = TooFewLabels("3 labelled memes; 30 are needed.")
    scheduler.change(after_labels=1, daily_at=None)
    judging.judge(judging.person("Ada"), "a")
    scheduler.look()
    first = judging.store.retraining()
    assert first.told == "No training could start. 3 labelled memes; 30 are needed."
    clock.move(minutes=1)
    scheduler.look()
    assert judging.store.retraining().told_at == first.told_at
    jobs.error = Busy("A training job is at work.")
    scheduler.look()
    assert judging.store.retraining().told == "A training job is at work."


@pytest.fixture
def other(store: Store, clock: Clock) -> Iterator[tuple[Scheduler, FakeJobs]]:
    """A second app on the same data folder."""
    again = Store(store.folder)
    jobs = FakeJobs(again)
    yield Scheduler(again, jobs, clock=clock, zone=UTC), jobs  # type: ignore[arg-type]
    again.close()


def test_two_apps_that_look_at_once_start_one_training(
    scheduler: Scheduler,
    jobs: FakeJobs,
    other: tuple[Scheduler, FakeJobs],
    judging: Judging,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler.change(after_labels=1, daily_at=None)
    judging.judge(judging.person("Ada"), "a")
    claim = Store.claim_retraining
    looked: list[bool] = []

    def after_the_other(self: Store, *args: object) -> bool:
        if not looked:
            looked.append(True)
            other[0].look()  # sees, decides and starts while this one is about to
            end(judging.store, JobState.FINISHED)
        return claim(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "claim_retraining", after_the_other)
    scheduler.look()
    assert (len(jobs.started), len(other[1].started)) == (0, 1)


def test_a_version_that_comes_between_the_look_and_the_start_is_noticed(judging: Judging) -> None:
    store = judging.store
    store.set_retraining(after_labels=1, daily_at=None)
    seen, version = store.retraining(), store.newest_version()
    judging.trained(0)
    assert not store.claim_retraining(seen, None, version)
    assert store.claim_retraining(seen, None, store.newest_version())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"after_labels": 0}, "cannot start after 0 new labels"),
        ({"after_labels": -3}, "cannot start after -3"),
        ({"daily_at": "25:00"}, "'25:00' is no time of day"),
        ({"daily_at": "3:30"}, "no time of day"),
        ({"daily_at": ""}, "no time of day"),
        ({"aggregation": "mean"}, "mean"),
        ({"votes": "mine"}, "mine"),
        ({"encoder": "two\nlines"}, "cannot be the name of an encoder"),
    ],
)
def test_settings_that_cannot_be_are_refused_and_change_nothing(
    scheduler: Scheduler, store: Store, changes: dict[str, object], words: str
) -> None:
    before = scheduler.change(after_labels=5, daily_at="03:30")
    with pytest.raises(BadInput, match=words):
        scheduler.change(**{"after_labels": 7, "daily_at": None, **changes})  # type: ignore[arg-type]
    assert store.retraining() == before


def test_the_first_look_of_an_app_marks_a_training_that_was_killed(store: Store) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    store.update_job(store.add_job().id, state=JobState.RUNNING, pid=gone.pid)
    real = Jobs(store, None, Settings(data=store.folder))  # type: ignore[arg-type]
    Scheduler(store, real).look()
    latest = store.latest_job()
    assert latest is not None and latest.state is JobState.FAILED


def test_it_looks_at_once_when_the_app_starts_and_survives_what_fails(
    scheduler: Scheduler, jobs: FakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = asyncio.Event()
    times = count()

    def look(self: Scheduler) -> None:
        if next(times) == 0:
            raise RuntimeError("the disk is gone")
        loop.call_soon_threadsafe(looks.set)

    async def until_the_second_look() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        looking = asyncio.create_task(scheduler.keep_looking())
        await asyncio.wait_for(looks.wait(), 30)
        looking.cancel()

    loop: asyncio.AbstractEventLoop
    monkeypatch.setattr(Scheduler, "look", look)
    monkeypatch.setattr("memeapp.scheduler.SECONDS_BETWEEN_LOOKS", 0.0)
    asyncio.run(until_the_second_look())


def test_times_of_the_store_can_be_compared_with_the_clock(clock: Clock) -> None:
    assert moment(clock()) > now()
