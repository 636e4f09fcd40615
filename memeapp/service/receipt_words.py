"""A receipt in words: the gate's answer as a headline, what to label next, all of it as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memeapp.crowd.intervals import Estimate
from memeapp.labels import LabelSchema
from memeapp.learn.curve import FEW_POSITIVES, MOST, Curve, Help, Trend
from memeapp.service.bundle_json import LARGEST
from memeapp.service.receipt import OfLabel, Receipt
from memeapp.types import ModelVersion

Raw = Mapping[str, Any]
"""Part of a version's metrics, which may come from elsewhere."""


def part(raw: object, *names: str) -> Raw:
    """What stands in a mapping under one name after the other; an empty mapping if nothing does."""
    for name in names:
        raw = raw.get(name) if isinstance(raw, Mapping) else None
    return raw if isinstance(raw, Mapping) else {}


def number(raw: Raw, name: str) -> float | None:
    """A number in a mapping; None where there is none."""
    value = raw.get(name)
    return float(value) if isinstance(value, int | float) and abs(value) < LARGEST else None


def figure(raw: Raw, *, sign: bool = False) -> str:
    """A measured value with its interval, "0.812 (0.780 to 0.841)"; a dash where there is none."""
    value, low, high = (number(raw, name) for name in ("value", "low", "high"))
    if value is None:
        return "–"
    shape = "+.3f" if sign else ".3f"
    interval = "" if low is None or high is None else f" ({low:{shape}} to {high:{shape}})"
    return f"{value:{shape}}{interval}".replace("-", "−")


def estimate(found: Estimate | None) -> str:
    """As `figure`, with two digits."""
    if found is None:
        return "–"
    interval = "" if found.low is None else f" ({found.low:.2f} to {found.high:.2f})"
    return f"{found.value:.2f}{interval}".replace("-", "−")


def headline(gate: Raw, parent: str | None) -> str:
    """Whether it is better than its parent, as far as the gate can tell."""
    if not parent:
        return "The first version: there is nothing to compare it with"
    tasks = [part(gate, "task_a"), part(gate, "task_b")]
    lows = [number(task, "low") for task in tasks]
    highs = [number(task, "high") for task in tasks]
    if None in lows or None in highs:
        return f"Nobody can tell yet whether it is better than {parent}"
    better = [low > 0 for low in lows if low is not None]
    worse = [high < 0 for high in highs if high is not None]
    if any(worse):
        return (
            f"It is {'better in one task and worse in the other' if any(better) else 'worse'}"
            + (f" than {parent}" if not any(better) else f", against {parent}")
        )
    if any(better):
        return f"It is better than {parent}"
    if gate.get("verdict") == "promote":
        return f"It is about as good as {parent}"
    return f"It may be worse than {parent}"


def hungriest(helps: Sequence[Help]) -> list[Help]:
    """The labels that need more, the neediest first: those that have few, then by their gain."""

    def need(one: Help) -> tuple[bool, float]:
        return not one.few, -(one.gain.value if one.gain else 0.0)

    return sorted((one for one in helps if one.starves), key=need)


def next_labels(curve: Curve, schema: LabelSchema) -> str:
    """What to label next, in one sentence."""
    names = [title_of(schema, one.label) for one in hungriest(curve.helps)]
    if names:
        return f"Label more memes with: {', '.join(names)}"
    if any(one.trend is Trend.UNKNOWN for one in curve.helps):
        return "Every label has enough to learn from; whether more would help cannot be told yet"
    return "No label starves: more labels of the same kind would hardly show"


def advice(one: Help) -> str:
    """What is known of one label's hunger, and what would help."""
    told = []
    if one.few:
        told.append(
            f"{one.positives or 'No'} meme{'' if one.positives == 1 else 's'} to learn from; with "
            f"fewer than {FEW_POSITIVES} a label starves."
        )
        if one.until_enough is not None:
            told.append(
                f"About {one.until_enough:,} more labelled memes would bring {FEW_POSITIVES}, if "
                "as many have it as until now."
            )
        else:
            told.append(
                f"To bring {FEW_POSITIVES} by labelling at random takes more than {MOST} times "
                "the labels there are: look for such memes."
            )
    if one.gain is None:
        told.append("Whether more labels help cannot be told: too few held-out memes have it.")
    else:
        gain = figure(
            {"value": one.gain.value, "low": one.gain.low, "high": one.gain.high}, sign=True
        )
        if one.trend is Trend.RISING:
            told.append(
                f"About {one.rows:,} more labelled memes (about {one.positives:,} with it) would "
                f"give about {gain} F1."
            )
        elif one.trend is Trend.LEVEL:
            told.append(f"Twice the labels would give {gain} F1: hardly anything.")
        else:
            told.append(f"Twice the labels may give {gain} F1: that cannot be told yet.")
    return " ".join(told)


def title_of(schema: LabelSchema, name: str) -> str:
    """The title of a label; its name where the schema does not have it."""
    return next((label.title for label in schema.labels if label.name == name), name)


def as_text(version: ModelVersion, receipt: Receipt | None, why: str, schema: LabelSchema) -> str:
    """The main facts, a line each.

    Args:
        why: a sentence on why there is no receipt; empty where there is one.
    """
    gate = part(version.metrics, "gate")
    lines = [
        f"{version.name}, {version.created_at[:16].replace('T', ' ')} UTC",
        f"{headline(gate, version.parent)}. {gate.get('reason', '')}".strip(),
        "",
        f"Encoder   {version.encoder}",
        f"Recipe    {version.recipe}",
        *(f"{name:<9} {value}" for name, value in version.data.items()),
        "",
        *_scores(version, schema),
    ]
    if receipt is None:
        return "\n".join([*lines, "", why])
    return "\n".join([*lines, *_details(receipt, schema)])


def _scores(version: ModelVersion, schema: LabelSchema) -> Iterator[str]:
    gate = part(version.metrics, "gate")
    rows = [("A", "task_a"), ("B", "task_b")]
    for title, name in rows:
        change = figure(part(gate, name), sign=True)
        yield f"{title:<18}{figure(part(version.metrics, name))}   change {change}"
    for label in version.labels:
        f1 = figure(part(version.metrics, "labels", label, "f1"))
        change = figure(part(gate, "f1", label), sign=True)
        yield f"{title_of(schema, label):<18}{f1}   change {change}"


def _details(receipt: Receipt, schema: LabelSchema) -> Iterator[str]:
    yield ""
    yield f"{next_labels(receipt.curve, schema)}."
    if receipt.curve.missing:
        yield f"No learning curve: {receipt.curve.missing}"
    for one in receipt.curve.helps:
        yield f"{title_of(schema, one.label)}: {advice(one)}"
    yield ""
    yield from (_agreement(one, schema) for one in receipt.labels)
    if receipt.flips:
        flips = receipt.flips
        yield ""
        yield f"Of {flips.compared:,} memes {flips.memes:,} have a decision that flipped."
        for turned in flips.labels:
            yield (
                f"{title_of(schema, turned.label)}: {turned.to_yes} to yes, {turned.to_no} to no; "
                f"held out {turned.towards} towards the votes, {turned.away} away."
            )
    yield from receipt.warnings


def _agreement(one: OfLabel, schema: LabelSchema) -> str:
    return (
        f"{title_of(schema, one.label)}: votes and model agree "
        f"{estimate(one.with_votes.observed)}, kappa {estimate(one.with_votes.kappa)}; people "
        f"among each other {estimate(one.among_people.observed)}, alpha "
        f"{estimate(one.among_people.alpha)}."
    )
