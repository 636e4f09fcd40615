import pytest
from conftest import draw_picture

from memeapp.errors import AlreadyVoted, BadVote, NotFound
from memeapp.images import decode
from memeapp.labels import MAMI
from memeapp.service.labelling import Labelling
from memeapp.types import TextSource


@pytest.fixture
def labelling(store):
    for number in range(3):
        store.add_meme(
            decode(draw_picture(number)),
            text=f"text {number}",
            text_source=TextSource.GIVEN,
            origin="test",
            holdout_share=0.2,
        )
    return Labelling(store, MAMI, votes_per_meme=2)


def vote(labelling, annotator, meme, labels=None, key="k"):
    return labelling.vote(
        annotator.id,
        meme.id,
        labels or {"misogynous": False},
        key=f"{key}-{meme.id}",
        seconds=1.5,
        revealed=True,
    )


def test_an_annotator_sees_every_meme_once_and_then_none(labelling):
    ada = labelling.join("Ada")
    seen = set()
    while meme := labelling.next_meme(ada.id):
        assert labelling.progress(ada.id) == (len(seen), 3 - len(seen))
        vote(labelling, ada, meme)
        seen.add(meme.id)
    assert len(seen) == 3
    assert labelling.progress(ada.id) == (3, 0)


def test_the_same_meme_is_shown_until_it_is_judged(labelling):
    ada = labelling.join("Ada")
    assert labelling.next_meme(ada.id) == labelling.next_meme(ada.id)


def test_a_contradicting_vote_is_refused_and_not_stored(labelling, store):
    ada = labelling.join("Ada")
    meme = labelling.next_meme(ada.id)
    with pytest.raises(BadVote):
        vote(labelling, ada, meme, {"misogynous": False, "violence": True})
    assert store.votes() == []


def test_a_meme_takes_no_more_votes_than_it_wants(labelling):
    people = [labelling.join(name) for name in ("Ada", "Ben", "Cleo")]
    meme = labelling.next_meme(people[0].id)
    vote(labelling, people[0], meme)
    vote(labelling, people[1], meme)
    with pytest.raises(AlreadyVoted):
        vote(labelling, people[2], meme)


def test_somebody_unknown_cannot_vote(labelling):
    meme = labelling.next_meme(labelling.join("Ada").id)
    with pytest.raises(NotFound):
        labelling.vote(
            "nobody", meme.id, {"misogynous": True}, key="k", seconds=1.0, revealed=False
        )


def test_the_picture_of_a_meme_is_a_file_and_that_of_another_is_not_found(labelling):
    meme = labelling.next_meme(labelling.join("Ada").id)
    assert labelling.picture(meme.id).is_file()
    with pytest.raises(NotFound):
        labelling.picture("../../secret.key")
