"""The data card of an exported data set: what it holds, and how its labels came about."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

from memeapp.service.exports import Gathered


def data_card(what: Gathered, pretty_name: str) -> str:
    """The README of a Hugging Face folder: a YAML header, and how the labels came about."""
    labels = what.schema.names
    title = "".join(character for character in pretty_name if character.isprintable())
    held_out = {meme.held_out for meme in what.memes}
    splits = [split for split, held in (("train", False), ("test", True)) if held in held_out]
    voices = {vote.annotator_id for vote in what.standing}
    people = sum(what.kinds[voice] == "person" for voice in voices)
    kinds = Counter(what.kinds[vote.annotator_id] for vote in what.standing)
    judged = {vote.meme_id for vote in what.standing}
    shares = what.shares()
    visitors = sum(meme.origin == "visitor" for meme in what.memes)
    lines = [
        "---",
        f"pretty_name: {json.dumps(title, ensure_ascii=False)}",
        "# license: choose one before you publish; this program states none",
        "task_categories:",
        "- image-classification",
        "size_categories:",
        f"- {_size_category(len(what.memes))}",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(
            line
            for split in splits
            for line in (f"  - split: {split}", f"    path: data/{split}/**")
        ),
        "dataset_info:",
        "  features:",
        *(
            line
            for name, kind in _features(labels)
            for line in (f"  - name: {json.dumps(name)}", f"    dtype: {kind}")
        ),
        "---",
        "",
        "# Memes with labels",
        "",
        "**Content warning.** The pictures and texts may be hateful, sexual or violent. They are "
        "here so that such memes can be studied and recognised, not to spread them.",
        "",
        "**Licence.** None is stated: whoever publishes this folder chooses one, and answers for "
        "the rights in the pictures.",
    ]
    if visitors:
        lines += [
            "",
            f"**Visitors' pictures.** {visitors} of the pictures were left by visitors to learn "
            "from; make sure that they may be published.",
        ]
    lines += [
        "",
        "## How the labels came about",
        "",
        f"{len(what.memes)} memes, of which {len(judged)} have a label. {len(what.standing)} votes "
        f"count: people in sessions {kinds['person']} ({people} people), labels that came with "
        f"data sets {kinds['import']}, adjudications {kinds['decision']}. Names are pseudonyms "
        "unless the owner chose otherwise.",
        "",
        "A label is 1 where more than half of the votes say yes, 0 otherwise, and null where "
        "nobody judged; an adjudicated meme has the decision alone. `<label>_share` is the share "
        "of yes. `votes.jsonl` has every single vote; `standing` is 1 for those that count. The "
        "split `test` are the held-out memes: near-duplicates are in one split.",
        "",
        "| Label | Meaning | Judged | Yes |",
        "| --- | --- | ---: | ---: |",
    ]
    for index, label in enumerate(what.schema.labels):
        found = [row[index] for row in shares.values()]
        given = [share for share in found if share is not None]
        yes = sum(share > 0.5 for share in given)
        meaning = _plain(f"{label.title}. {label.help}" if label.help else label.title)
        lines.append(f"| `{label.name}` | {meaning} | {len(given)} | {yes} |")
    for session in what.sessions:
        if session.plan.guidelines.strip():
            fence = "`" * max(3, _longest_run(session.plan.guidelines) + 1)
            lines += [
                "",
                f"## Guidelines of the session {_plain(session.plan.name)}",
                "",
                f"{fence}markdown",
                session.plan.guidelines.strip(),
                fence,
            ]
    return "\n".join(lines) + "\n"


def _features(labels: Iterable[str]) -> list[tuple[str, str]]:
    """The columns of `metadata.jsonl` in their order, the picture first."""
    names = tuple(labels)
    return [
        ("image", "image"),
        ("number", "int64"),
        ("id", "string"),
        ("held_out", "int64"),
        ("text", "string"),
        ("text_source", "string"),
        ("votes", "int64"),
        *((label, "int64") for label in names),
        *((f"{label}_share", "float64") for label in names),
        ("sha256", "string"),
        ("phash", "string"),
        ("origin", "string"),
    ]


def _size_category(count: int) -> str:
    """Hugging Face's name for so many rows."""
    steps = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
    return next((name for limit, name in steps if count < limit), "100K<n<1M")


def _plain(text: str) -> str:
    """A text that neither breaks out of a table's cell nor is markup."""
    marks = {mark: f"&#{ord(mark)};" for mark in "\\`*_[]<>|#&~"}
    return "".join(marks.get(character, character) for character in " ".join(text.split()))


def _longest_run(text: str) -> int:
    """Of backquotes."""
    return max((len(run) for run in re.findall("`+", text)), default=0)
