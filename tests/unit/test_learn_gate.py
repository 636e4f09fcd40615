"""The gate's arithmetic against cases made by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from memeapp.learn.gate import Decision, Rule, Verdict, judge
from memeapp.learn.metrics import resampled, task_a, task_b

LABELS = ("harmful", "one", "two")
Bools = NDArray[np.bool_]


def _truth(rows: int = 200) -> NDArray[np.float64]:
    """Every second row is positive; half of those have the first kind, half the second."""
    number = np.arange(rows)
    parent = number % 2 == 0
    return np.stack([parent, parent & (number % 4 == 0), parent & (number % 4 == 2)], axis=1) * 1.0


def _wrong(truth: NDArray[np.float64], rows: list[int]) -> Bools:
    said = truth > 0.5
    said[rows] = ~said[rows]
    return said


def _judge(candidate: Bools, current: Bools, **more: object) -> Decision:
    truth = _truth(len(candidate))
    return judge(
        truth,
        (candidate * 0.8 + 0.1, candidate),
        (current * 0.8 + 0.1, current),
        labels=LABELS,
        **more,  # type: ignore[arg-type]
    )


def test_a_clearly_better_candidate_passes() -> None:
    truth = _truth()
    found = _judge(truth > 0.5, _wrong(truth, list(range(0, 120, 2))))
    assert found.verdict is Verdict.PROMOTE
    assert found.task_a is not None and found.task_a.low > 0.1
    assert found.task_a.not_worse == found.task_a.better == 1.0


def test_the_same_answers_pass_with_a_difference_of_nothing() -> None:
    said = _wrong(_truth(), list(range(40)))
    found = _judge(said, said)
    assert found.verdict is Verdict.PROMOTE
    assert found.task_a is not None and found.task_b is not None
    assert (found.task_a.value, found.task_a.low, found.task_a.high) == (0.0, 0.0, 0.0)
    assert (found.task_b.not_worse, found.task_b.better) == (1.0, 0.0)


def test_a_clearly_worse_candidate_waits_and_is_told_how_much_worse() -> None:
    truth = _truth()
    wrong = _wrong(truth, list(range(0, 120, 3)))
    found = _judge(wrong, truth > 0.5)
    assert found.verdict is Verdict.WAIT
    assert found.task_a is not None and found.task_b is not None
    assert found.task_a.value == pytest.approx(task_a(truth[:, 0], wrong[:, 0]) - 1)
    assert found.task_b.value == pytest.approx(task_b(truth[:, 1:], wrong[:, 1:]) - 1)
    assert found.task_a.high < -0.02
    assert f"{found.task_a.value:+.3f}" in found.reason and "waits" in found.reason


def test_being_good_at_one_task_does_not_buy_the_other() -> None:
    truth = _truth()
    worse_kinds = truth > 0.5
    worse_kinds[:100, 1:] = ~worse_kinds[:100, 1:]
    found = _judge(worse_kinds, truth > 0.5)
    assert found.task_a is not None and found.task_a.not_worse == 1.0
    assert found.verdict is Verdict.WAIT


def test_the_margin_and_the_confidence_decide() -> None:
    truth = _truth(400)
    slightly = _wrong(truth, [0, 1, 2, 3, 5, 7])
    assert _judge(slightly, truth > 0.5, rule=Rule(margin=0.0)).verdict is Verdict.WAIT
    assert _judge(slightly, truth > 0.5, rule=Rule(margin=0.2)).verdict is Verdict.PROMOTE
    found = _judge(slightly, truth > 0.5, rule=Rule(margin=0.02))
    assert found.task_a is not None and found.task_b is not None
    sure = min(found.task_a.not_worse, found.task_b.not_worse)
    assert 0 < sure < 1
    for confidence, verdict in ((sure, Verdict.PROMOTE), (sure + 1e-6, Verdict.WAIT)):
        assert _judge(slightly, truth > 0.5, rule=Rule(0.02, confidence)).verdict is verdict


@pytest.mark.parametrize("rows", [0, 20, 49])
def test_with_too_few_memes_it_says_that_it_cannot_tell(rows: int) -> None:
    said = _truth(rows) > 0.5
    found = _judge(said, ~said)
    assert found.verdict is Verdict.UNKNOWN
    assert found.task_a is None
    assert found.reason.startswith(f"{rows} labelled held-out memes")


def test_many_memes_of_few_templates_say_too_little() -> None:
    said = _truth() > 0.5
    found = _judge(said, said, groups=np.arange(200) // 50)
    assert found.verdict is Verdict.UNKNOWN
    assert found.reason.startswith("4 templates")
    assert _judge(said, said, groups=np.arange(200) // 40).verdict is Verdict.PROMOTE


def test_one_sided_labels_cannot_be_compared() -> None:
    truth = np.zeros((100, 3))
    truth[:9, :2] = 1
    said = truth > 0.5
    found = judge(truth, (truth, said), (truth, said), labels=LABELS)
    assert found.verdict is Verdict.UNKNOWN and "9 are harmful and 91 are not" in found.reason
    truth[:20, 0], truth[:, 1] = 1, 0
    found = judge(truth, (truth, said), (truth, said), labels=LABELS)
    assert found.verdict is Verdict.UNKNOWN and "No kind" in found.reason


def test_labels_that_nobody_judged_are_left_out() -> None:
    truth = _truth()
    truth[::5, 2] = np.nan
    said = np.nan_to_num(truth) > 0.5
    found = judge(truth, (said * 1.0, said), (said * 1.0, said), labels=LABELS)
    assert found.verdict is Verdict.PROMOTE and found.rows == 200


def test_arrays_that_do_not_fit_are_refused() -> None:
    truth, said = _truth(), _truth() > 0.5
    with pytest.raises(ValueError, match="differ"):
        judge(truth, (truth[:9], said[:9]), (truth, said), labels=LABELS)


def test_groups_are_drawn_together() -> None:
    """Ten copies of each row: as groups they spread as far as the single rows, not less."""
    rng = np.random.default_rng(0)
    truth = (rng.random((80, 1)) < 0.5).astype(float)
    said = np.where(rng.random((80, 1)) < 0.3, 1 - truth, truth)
    copies, answers = np.repeat(truth, 10, axis=0), np.repeat(said, 10, axis=0)
    alone = resampled(truth, said, said)[1][:, 0].std()
    together = resampled(copies, answers, answers, groups=np.arange(800) // 10)[1][:, 0].std()
    apart = resampled(copies, answers, answers)[1][:, 0].std()
    assert together == pytest.approx(alone, rel=1e-9)
    assert apart < alone / 2
