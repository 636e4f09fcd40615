#!/usr/bin/env python3
"""Train the version that ships with the app, measure it, write its card.

    build_shipped.py TRAIN VALIDATION [--models models] [--data build/shipped]

TRAIN and VALIDATION are folders in MAMI's layout. Everything in TRAIN is trained on; nothing of
VALIDATION is. The data folder keeps encoded features, so that a second run is quick.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.metrics import Metrics
from memeapp.settings import Settings
from memeapp.types import ModelVersion
from memeapp.wiring import build

NAME = "shipped-3"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

CARD = """\
# Model card: {name}

**What it is.** Recipe `{recipe}` on the embedded encoder (`{encoder}`): RAW-N-COOK on two
cross-modality autoencoders (SemiMemes, arXiv 2304.00020) and a kernel ridge regression, each
calibrated out of fold, averaged and calibrated again. Five outputs: misogynous (task A) and its
four kinds (task B). Made by `tools/build_shipped.py`; weights in safetensors, no code inside.

**Where it learned.** {labelled:,} transcriptions with labels from the training split of MAMI
(SemEval-2022 task 5, Fersini et al. 2022; given out by its organisers for academic use), each drawn
on one of 43 blank meme templates that have nothing to do with it. **Its judgement therefore rests
on the text.** From pictures it learned nothing but to ignore them: a harmful picture with harmless
words passes unseen. The texts are English, from around 2020. Of the encoder, the parts that weigh
words and pieces of words were fitted on the same transcriptions and hold hashes, not words; the
sentence part is all-MiniLM-L6-v2, which learned from general English text. The kernel keeps the
encoded vectors of {landmarks:,} training memes, no text and no picture.

**How good it is.** Official scores of the task on {rows:,} validation transcriptions that it never
saw, drawn the same way, with bootstrap 95 % intervals over memes:

| | text given | text read by OCR |
| --- | --- | --- |
{table}

Per label, text given (positives among {rows:,}; score is the mean of both classes' F1; "unsure" is
the share of training memes in the band where the app says so, "error" how often the decision was
wrong there out of fold, outside the band and without a band):

| label | positives | score | AUC | calibration error | unsure | error outside | error |
| --- | --- | --- | --- | --- | --- | --- | --- |
{labels}

MAMI's test split is harder than its validation split; expect clearly lower scores there, and lower
ones again on memes from another time, place or language. For comparison: the winner of the shared
task, with pictures and a large ensemble, has A .834 and B .731 on the test split.

**What it is for.** A first answer while people label their own memes; teaching; a baseline. Retrain
it on your labels before you rely on it.

**What it must not be used for.** Deciding alone about a person or their post; judging people;
texts in other languages; memes whose harm is in the picture. It knows words, not intent: quoting,
reclaiming or criticising a slur looks to it like using it. Annotators of the source data disagree
on many of these memes, and the model inherits their view.
"""


def figure(metrics: Metrics, name: str) -> str:
    value = getattr(metrics, name)
    if name == "mean_calibration_error":
        # Resampling adds noise that this error counts as miscalibration: its interval is too high.
        return f"{value.value:.3f}"
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def write_card(version: ModelVersion, checkpoint: Checkpoint, given: Metrics, read: Metrics) -> str:
    titles = {
        "task_a": "A",
        "task_b": "B",
        "mean_auc": "mean AUC",
        "mean_calibration_error": "mean calibration error",
    }
    return CARD.format(
        name=NAME,
        recipe=version.recipe,
        encoder=version.encoder,
        labelled=int(version.data["labelled"]),
        rows=given.rows,
        landmarks=len(checkpoint.kernel.landmarks[0]) if checkpoint.kernel else 0,
        table="\n".join(
            f"| {title} | {figure(given, name)} | {figure(read, name)} |"
            for name, title in titles.items()
        ),
        labels="\n".join(
            f"| {label} | {given.positives[label]} | {given.f1[label].value:.3f} | "
            f"{given.auc[label].value:.3f} | {given.calibration_error[label].value:.3f} | "
            f"{band.share:.0%} | {band.error:.1%} | {band.error_all:.1%} |"
            for label, band in zip(given.f1, checkpoint.bands, strict=True)
        ),
    )


@click.command()
@click.argument("train", type=FOLDER)
@click.argument("validation", type=FOLDER)
@click.option("--models", type=click.Path(path_type=Path), default=Path("models"))
@click.option("--data", type=click.Path(path_type=Path), default=Path("build/shipped"))
def main(train: Path, validation: Path, models: Path, data: Path) -> None:
    """Train on TRAIN, measure on VALIDATION, write models/shipped-3."""
    app = build(Settings(data=data, models=data / "none", holdout_share=0.0))

    def report(stage: str, done: float) -> None:
        click.echo(f"\r{stage:<40} {done:6.1%}", nl=False, err=True)

    app.transfer.import_folder(train, lambda done, rows: report("Importing", done / rows))
    version = app.training.train(report).version
    given = app.evaluation.on_folder(validation, report, version.name)
    read = app.evaluation.on_folder(validation, report, version.name, read_text=True)
    target = models / NAME
    shutil.rmtree(target, ignore_errors=True)
    assert version.path is not None
    shutil.copytree(version.path, target)
    manifest = target / "version.json"
    written = json.loads(manifest.read_text(encoding="utf-8"))
    written |= {
        "name": NAME,
        "parent": None,
        "metrics": {**given.to_dict(), "ocr": read.to_dict()},
    }
    manifest.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    (target / "MODEL_CARD.md").write_text(
        write_card(version, app.registry.load(version.name), given, read), encoding="utf-8"
    )
    click.echo(f"\n{target}: A {figure(given, 'task_a')}, B {figure(given, 'task_b')}")


if __name__ == "__main__":
    main()
