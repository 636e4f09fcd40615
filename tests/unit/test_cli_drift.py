from click.testing import CliRunner
from test_store_inputs import ONE

from memeapp.cli import main
from memeapp.store import Store


def test_the_comparison_is_printed_as_a_table(tmp_path):
    with_inputs = Store(tmp_path)
    with_inputs.add_inputs([ONE] * 3, keep_days=90)
    with_inputs.close()
    result = CliRunner().invoke(main, ["--data", str(tmp_path), "drift"])
    assert result.exit_code == 0, result.output
    counted, about, head, *rows = result.stdout.splitlines()
    assert counted == "Classified in the last 7 days: 3 memes."
    assert about.startswith("shipped-3 learned from memes that are not here")
    assert head.split() == ["Training", "Last", "week", "Index", "Verdict"]
    assert rows[0].startswith("Length of texts ")
    assert "median 31 characters" in rows[0]
    assert rows[0].endswith("nothing to compare with")
    assert rows[-1].startswith("Scores: Violence  ")
