"""The commands as a user types them, on a small corpus that the test draws."""

import csv
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from conftest import draw_picture

from memeapp.cli import main
from memeapp.labels import MAMI


def run(*arguments, data=None, exit_code=0):
    prefix = ["--data", str(data)] if data else []
    result = CliRunner().invoke(main, [*prefix, *map(str, arguments)])
    assert result.exit_code == exit_code, result.output
    return result


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """64 memes in MAMI's layout, 56 of them labelled; the words decide the labels."""
    folder = tmp_path_factory.mktemp("corpus") / "small corpus"
    folder.mkdir()
    with (folder / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["file_name", *MAMI.names, "Text Transcription"])
        for number in range(64):
            (folder / f"{number}.png").write_bytes(draw_picture(number))
            yes = number % 2
            cells = [yes, 0, yes, 0, 0] if number < 56 else [""] * 5
            text = f"women belong in the kitchen {number}" if yes else f"my coffee is cold {number}"
            writer.writerow([f"{number}.png", *cells, text])
    return folder


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A data folder after import, encode and train, with what the commands printed."""
    data = tmp_path_factory.mktemp("data")
    printed = [run("import", corpus, data=data), run("encode", data=data), run("train", data=data)]
    printed.append(run("promote", printed[-1].stdout.split()[0], data=data))
    return data, [result.stdout for result in printed]


def test_a_corpus_becomes_a_version_by_three_commands(trained):
    data, (imported, encoded, learnt, promoted) = trained
    assert "64 memes added, 0 were there, 56 came with labels, 0 refused." in imported
    assert encoded == "64 pictures encoded with embedded-2.\n"
    version = learnt.split()[0]
    assert version.startswith("v0001-")
    assert "does not answer yet; shipped-3 goes on" in learnt and "at least 50" in learnt
    assert promoted == f"{version} answers from now on.\n"
    first, second = run("versions", data=data).stdout.splitlines()
    assert first.startswith(f"* {version} ") and first.endswith(" after shipped-3")
    assert second.startswith("  shipped-3 ")
    assert (
        run("rebuild", version, data=data).stdout == f"{version} came out the same, bit for bit.\n"
    )
    metrics = json.loads(learnt[learnt.index("{") :])
    assert metrics["task_a"]["value"] > 0.9


def test_what_commands_changed_is_in_the_audit(trained):
    data, (*_, promoted) = trained
    version = promoted.split()[0]
    newest, *_, oldest = run("audit", data=data).stdout.splitlines()
    assert "command line: version.promote" in newest
    assert newest.endswith(f"{version} (before: shipped-3)")
    assert "command line: import.start small corpus" in oldest
    header, *rows = csv.reader(run("audit", "--csv", data=data).stdout.splitlines())
    assert [row[3] for row in rows] == ["import.start", "train.start", "version.promote"]
    assert len(run("audit", "--limit", "1", data=data).stdout.splitlines()) == 1


def test_a_version_is_packed_taken_in_elsewhere_and_deleted(tmp_path):
    here, file, elsewhere = tmp_path / "here", tmp_path / "version.zip", tmp_path / "elsewhere"
    packed = run("versions", "pack", "shipped-3", file, data=here)
    assert packed.stdout == f"shipped-3 is in {file}.\n"
    again = run("versions", "pack", "shipped-3", file, data=here, exit_code=1)
    assert "choose another name" in again.output
    came = run("versions", "unpack", file, data=elsewhere).stdout.split()[0]
    assert came.startswith("v0001-")
    listed = run("versions", data=elsewhere).stdout
    assert f"  {came} " in listed and "* shipped-3" in listed
    refused = run("versions", "delete", "shipped-3", data=elsewhere, exit_code=1)
    assert "came with the program" in refused.output
    assert run("versions", "delete", came, data=elsewhere).stdout == f"{came} is deleted.\n"
    assert came not in run("versions", data=elsewhere).stdout
    file.write_bytes(file.read_bytes()[:1000])
    refused = run("versions", "unpack", file, data=elsewhere, exit_code=1)
    assert "no bundle of a version" in refused.output
    words = [line.split()[3] for line in run("audit", data=elsewhere).stdout.splitlines()]
    assert words == ["version.delete", "version.upload"]


def test_evaluate_measures_the_held_out_memes_or_a_folder(trained, corpus):
    data, _ = trained
    held_out = json.loads(run("evaluate", data=data).stdout)
    folder = json.loads(run("evaluate", corpus, data=data).stdout)
    assert 0 < held_out["rows"] < folder["rows"] == 56
    assert 0.9 < folder["task_a"]["value"] <= 1


def test_classify_prints_one_json_object_a_line(trained, corpus, tmp_path):
    data, _ = trained
    broken = tmp_path / "broken.png"
    broken.write_text("words")
    result = run("classify", corpus / "0.png", broken, "--text", "a word", data=data, exit_code=1)
    good, bad = map(json.loads, result.stdout.splitlines())
    assert good["model"].startswith("v0001-")
    assert [score["label"] for score in good["scores"]] == list(MAMI.names)
    assert all(0 <= score["probability"] <= 1 for score in good["scores"])
    assert all({"unsure", "band"} <= set(score) for score in good["scores"])
    assert "broken.png" in bad["error"]


def test_classify_gives_its_reasons_as_json(trained, corpus, monkeypatch):
    monkeypatch.setattr("memeapp.service.reasons.WORD_SECONDS", 60)  # however busy the machine is
    data, _ = trained
    text = "women belong in the kitchen 1"
    result = run("classify", corpus / "1.png", "--text", text, data=data)
    reasons = json.loads(result.stdout)["reasons"]
    effects = {effect["label"]: effect for effect in reasons["modality"]}
    assert list(effects) == list(MAMI.names)
    assert effects["misogynous"]["text"] > 0.1
    assert reasons["about"][0] == "misogynous"
    words = {word["word"] for word in reasons["words"] if word["effect"] > 0}
    assert words & {"women", "belong", "in", "the", "kitchen"}
    nearest = reasons["neighbours"][0]
    assert len(reasons["neighbours"]) == 3
    assert "kitchen" in nearest["text"]
    assert nearest["labels"]["misogynous"] == 1
    assert reasons["seconds"] > 0


def test_export_writes_a_corpus_that_can_be_imported(trained, tmp_path):
    data, _ = trained
    assert "64 memes" in run("export", tmp_path / "out", data=data).stdout
    again = run("import", tmp_path / "out", data=tmp_path / "other")
    assert "64 memes added" in again.stdout
    assert "56 came with labels" in again.stdout


def test_training_without_labels_is_one_line_and_not_a_traceback(tmp_path):
    result = run("train", data=tmp_path / "data", exit_code=1)
    assert result.stderr.startswith("Error: 0 labelled memes")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["encode", "train"])
def test_an_encoder_that_does_not_exist_is_one_line(trained, command):
    data, _ = trained
    result = run(command, "--encoder", "ViT-L-14/opnai", data=data, exit_code=1)
    assert "Error: There is no encoder 'ViT-L-14/opnai': did you mean" in result.stderr


def test_the_encoder_can_be_named(trained):
    data, _ = trained
    result = run("encode", "--encoder", "embedded", data=data)
    assert result.stdout.startswith("0 pictures encoded with embedded-")


def test_a_setting_that_makes_no_sense_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMEAPP_PORT", "many")
    result = run("train", data=tmp_path / "data", exit_code=1)
    assert result.stderr.startswith("Error: MEMEAPP_PORT='many'")


def test_score_prints_both_official_scores_to_twelve_digits(tmp_path):
    truth, answer = tmp_path / "truth.txt", tmp_path / "answer.txt"
    truth.write_text("a.jpg\t1\t1\t0\t0\t0\nb.jpg\t0\t0\t0\t0\t0\nc.jpg\t1\t0\t1\t0\t0\n")
    answer.write_text("c.jpg\t1\t1\t1\t0\t0\na.jpg\t1\t1\t0\t0\t0\nb.jpg\t1\t0\t0\t0\t0\n")
    # A: F1 of yes 4/5, of no 0. B: shaming (2/3 + 2/3) / 2, stereotype (1 + 1) / 2, one positive
    # each, so 5/6.
    assert run("score", truth, answer).stdout == "A 0.400000000000\nB 0.833333333333\n"


def test_score_says_which_line_is_wrong(tmp_path):
    truth, answer = tmp_path / "truth.txt", tmp_path / "answer.txt"
    truth.write_text("a.jpg\t1\nb.jpg\t0\n")
    answer.write_text("a.jpg\t1\nb.jpg\t2\n")
    result = run("score", truth, answer, exit_code=1)
    assert "answer.txt" in result.stderr
    assert "line 2" in result.stderr


def test_help_needs_none_of_the_heavy_packages():
    code = (
        "import sys; from memeapp.cli import main; main(['--help'], standalone_mode=False);"
        "print([name for name in ('torch', 'gradio', 'pandas', 'sklearn') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert result.stdout.splitlines()[-1] == "[]"
