"""A dry run says what a training then learns from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import FakeEngines, draw_picture

from memeapp.errors import BadInput
from memeapp.images import decode
from memeapp.jobs import Jobs
from memeapp.judging import Judgement, Plan, Rank, Seen, Suggestions
from memeapp.labels import MAMI
from memeapp.learn.train import BEST
from memeapp.registry import Registry
from memeapp.service.dryrun import DryRuns
from memeapp.service.evaluation import Evaluation
from memeapp.service.training import Training
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.types import JobState, TextSource
from tests.unit.learning import shortened

QUICK = shortened(BEST, epochs=4)
MEMES = 90


class Scene:
    """Memes with imported votes, and a session in which people went on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        settings = Settings(data=store.folder, models=store.folder / "none")
        self.registry = Registry(settings.models, store.folder / "models")
        engines = FakeEngines("embedded")
        evaluation = Evaluation(store, self.registry, engines, MAMI, max_upload_mb=20)
        self.training = Training(store, self.registry, engines, MAMI, evaluation)
        self.jobs = Jobs(store, self.training, settings)
        self.dry_runs = DryRuns(store, self.training, MAMI)
        self.memes: list[str] = []
        self.teacher = store.named_annotator("corpus", "import").id
        self.keys: Iterator[str] = map("key {}".format, range(10_000))

    def fill(self, memes: int, labelled: int) -> None:
        for number in range(len(self.memes), len(self.memes) + memes):
            yes = number % 2 == 0
            meme = self.store.add_meme(
                decode(draw_picture(number)),
                text=f"{'kitchen' if yes else 'engine'} {number}",
                text_source=TextSource.GIVEN,
                origin="test",
                holdout_share=0.25,
            )
            self.memes.append(meme.id)
            if number < labelled:
                said = {"misogynous": yes, "stereotype": number % 4 == 0, "shaming": False}
                self.store.import_vote(self.teacher, meme.id, said, key=next(self.keys))

    def session(self) -> None:
        """Ada sees the model's answer first, Ben takes back, Eve is left out, Cleo is not sure."""
        plan = Plan("Room", votes_per_meme=3, suggestions=Suggestions.AFTER)
        session = self.store.add_session(plan, self.memes)
        suggestion = {"model": "m", "chances": {}, "says": {}}
        self.store.set_ranks(session.id, {id: Rank(suggestion=suggestion) for id in self.memes})
        learned = [meme.id for meme in self.store.memes(held_out=False)][-6:]
        yes = Judgement(dict.fromkeys(MAMI.names, True))
        people = {
            name: self.store.add_annotator(name, session_id=session.id).id
            for name in ("Ada", "Ben", "Eve", "Cleo")
        }
        with self.store._writing():
            self.store._append(
                session,
                self.store.annotator(people["Ada"]),
                learned[0],
                yes,
                key=next(self.keys),
                seen=Seen.BEFORE,
            )
        for meme in learned[1:3]:
            self.store.record(people["Ben"], meme, yes, key=next(self.keys))
        self.store.undo(people["Ben"], key=next(self.keys), tab="tab-00001")
        for meme in learned[3:5]:
            self.store.record(people["Eve"], meme, yes, key=next(self.keys))
        self.store.set_excluded(people["Eve"], True)
        unsure = Judgement({}, kind=type(yes.kind)("unsure"))
        self.store.record(people["Cleo"], learned[5], unsure, key=next(self.keys))


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


@pytest.mark.parametrize("votes", ["blind", "all"])
@pytest.mark.parametrize("aggregation", ["majority", "dawid-skene"])
def test_what_a_dry_run_counts_is_what_is_then_trained_on(
    scene: Scene, votes: str, aggregation: str
) -> None:
    scene.fill(MEMES, labelled=70)
    scene.session()
    found = scene.dry_runs.look(aggregation=aggregation, votes=votes)
    assert found.why_not == ""
    job = scene.jobs.queue(aggregation=aggregation, votes=votes)
    done = scene.jobs.run(job.id, recipe=QUICK)
    assert done.state is JobState.FINISHED, done.message
    data = scene.registry.find(done.version or "").data
    for name in ("labelled", "unlabelled", "held_out_labelled", "vote_count"):
        assert getattr(found, name) == data[name], name
    assert found.encoder == done.encoder
    assert (found.aggregation, found.votes) == (data["aggregation"], data["votes"])
    assert found.to_encode == MEMES


def test_each_judgement_counts_or_is_left_out_for_a_reason(scene: Scene) -> None:
    scene.fill(MEMES, labelled=70)
    scene.session()
    held_out = sum(meme.held_out for meme in scene.store.memes(labelled=True))
    found = scene.dry_runs.look()
    assert found.left_out == {
        "held out": held_out, "seen": 1, "replaced": 1, "excluded": 2, "unsure": 1,
    }  # fmt: skip
    assert found.vote_count == 70 - held_out + 1
    assert "seen" not in scene.dry_runs.look(votes="all").left_out


def test_a_dry_run_counts_the_memes_that_are_a_yes_and_changes_nothing(scene: Scene) -> None:
    scene.fill(MEMES, labelled=70)
    before = scene.store.memes(), scene.store.last_vote(), scene.registry.versions()
    found = scene.dry_runs.look()
    learned = [scene.memes.index(meme.id) for meme in scene.store.memes(held_out=False)]
    learned = [number for number in learned if number < 70]
    assert found.positives == {
        **dict.fromkeys(MAMI.names, 0),
        "misogynous": sum(number % 2 == 0 for number in learned),
        "stereotype": sum(number % 4 == 0 for number in learned),
    }
    assert (found.labelled, found.parent) == (len(learned), None)
    assert (scene.store.memes(), scene.store.last_vote(), scene.registry.versions()) == before
    assert scene.store.latest_job() is None


def test_after_a_training_only_what_is_new_is_new_and_the_time_is_known(scene: Scene) -> None:
    scene.fill(MEMES, labelled=70)
    first = scene.dry_runs.look()
    assert (first.new_labels, first.seconds) == (first.labelled, None)
    done = scene.jobs.run(scene.jobs.queue().id, recipe=QUICK)
    second = scene.dry_runs.look()
    assert (second.parent, second.new_labels, second.to_encode) == (done.version, 0, 0)
    assert second.seconds is not None and second.seconds > 0
    there = len(scene.memes)
    scene.fill(8, labelled=there + 8)
    new = [id for id in scene.memes[there:] if not scene.store.meme(id).held_out]
    third = scene.dry_runs.look()
    assert (third.new_labels, third.to_encode) == (len(new), 8)


def test_a_training_tells_its_end_once_another_one_has_ended(scene: Scene) -> None:
    scene.fill(MEMES, labelled=70)
    ends: list[str | None] = []
    for _ in range(2):
        job = scene.jobs.queue()

        def also(stage: str, done: float, id: int = job.id) -> None:
            if "epoch 1 of" in stage:
                ends.append(scene.store.job(id).ends_at)

        done = scene.jobs.run(job.id, recipe=QUICK, also=also)
        assert done.state is JobState.FINISHED, done.message
        assert {"learning", "measuring"} <= set(done.result["paces"])
    half = len(ends) // 2
    assert ends[:half] == [None] * half and half
    assert None not in ends[half:]


def test_a_dry_run_says_why_a_training_cannot_start(scene: Scene) -> None:
    scene.fill(10, labelled=10)
    assert "a retrain needs at least" in scene.dry_runs.look().why_not
    scene.fill(MEMES, labelled=MEMES)
    assert "nowhere" in scene.dry_runs.look("local-dir:/nowhere").why_not
    scene.store.add_job()
    assert "one at a time" in scene.dry_runs.look().why_not


def test_a_dry_run_refuses_a_choice_that_does_not_exist(scene: Scene) -> None:
    for choice in ({"aggregation": "mean"}, {"votes": "mine"}):
        with pytest.raises(BadInput):
            scene.dry_runs.look(**choice)


def test_a_dry_run_of_an_empty_store_counts_nothing(scene: Scene) -> None:
    found = scene.dry_runs.look("embedded")
    assert (found.labelled, found.unlabelled, found.vote_count, found.left_out) == (0, 0, 0, {})
