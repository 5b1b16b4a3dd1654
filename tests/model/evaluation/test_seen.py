"""An evaluation stops when much of its test was seen in training, or when nobody knows what was."""

import json
import shutil

import pytest

from cardiolect.data_provider.audit.seen import save_seen
from cardiolect.data_provider.splits import load_splits
from cardiolect.model.evaluation.seen import SeenRecordings
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.evaluation.tables import seen_line
from cardiolect.model.evaluation.verdict import seen_alarm, warnings
from cardiolect.utils.errors import UserError


def settings_of(checkpoint, corpus, **values) -> EvalSettings:
    test = [corpus / "questions/test.json"]
    shared = dict(tasktype="qa", data_root=[corpus], test_data=test, output_dir=checkpoint)
    return EvalSettings(checkpoint=checkpoint, **shared, **values)


@pytest.fixture(scope="module")
def examples(corpus, tmp_path_factory):
    return load_splits(settings_of(tmp_path_factory.mktemp("x"), corpus), ("test",), "qa")["test"].examples


@pytest.fixture
def checkpoint(tmp_path, examples):
    """A checkpoint that has seen the recording of the first example."""
    record = save_seen(tmp_path, examples[0].records)
    (tmp_path / "cardiolect.json").write_text(json.dumps({"stage": "finetune", "seen": record}))
    return tmp_path


def test_more_than_max_left_out_stops_with_the_share_and_what_to_do(checkpoint, corpus, examples):
    seen = SeenRecordings(settings_of(checkpoint, corpus))
    with pytest.raises(UserError) as caught:
        seen.left_out(examples)
    gone = len(seen.of(examples))
    share = gone / len(examples)
    assert 0.05 < share < 0.9
    for words in (f"{gone} of {len(examples)} samples ({share:.1%})", "MAX_LEFT_OUT=0.05", "KEEP_SEEN_PATIENTS=true"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)

    accepted = SeenRecordings(settings_of(checkpoint, corpus, max_left_out=share))
    left_out = accepted.left_out(examples)
    kept = [e for e in examples if e not in left_out]
    counts = accepted.count(kept, left_out, len(examples))
    assert len(left_out) == counts["left_out_samples"] == gone and counts["samples"] == 0
    assert counts["left_out_share"] == share and f"({share:.1%} of the samples)" in seen_line(counts)

    all_scored = SeenRecordings(settings_of(checkpoint, corpus, keep_seen_patients=True))
    assert all_scored.left_out(examples) == []
    assert all_scored.count(examples, [], len(examples))["samples"] == gone


def test_a_few_seen_samples_are_left_out_without_stopping(checkpoint, corpus, examples):
    others = [e for e in examples if not set(e.patients) & set(examples[0].patients)]
    few = [e for e in examples if e.records == examples[0].records][:1] + others[:30]
    assert SeenRecordings(settings_of(checkpoint, corpus)).left_out(few) == few[:1]


def test_no_share_is_the_whole_test(checkpoint, corpus, examples):
    own = [e for e in examples if e.records == examples[0].records]
    with pytest.raises(UserError, match=rf"{len(own)} of {len(own)} samples \(100\.0%\)"):
        SeenRecordings(settings_of(checkpoint, corpus)).left_out(own)


@pytest.mark.parametrize("change", ["lost", "cut", "another's", "told so by an earlier stage"])
def test_a_checkpoint_whose_list_is_not_its_own_is_refused_unless_accepted_and_then_marked(
    checkpoint, corpus, examples, change, tmp_path
):
    path = checkpoint / "seen_recordings.json"
    marks = json.loads(path.read_text())
    if change == "lost":
        path.unlink()
    elif change == "cut":
        path.write_text(json.dumps(marks[:-1]))
    elif change == "another's":
        another = next(e for e in examples if not set(e.patients) & set(examples[0].patients))
        (tmp_path / "another").mkdir()
        save_seen(tmp_path / "another", another.records)
        shutil.copy(tmp_path / "another/seen_recordings.json", path)
    else:
        info = json.loads((checkpoint / "cardiolect.json").read_text())
        info["seen"]["unknown"] = "ECG tokenizer that training started from: its seen_recordings.json is missing"
        (checkpoint / "cardiolect.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match="ACCEPT_UNKNOWN_LEAKAGE=true") as caught:
        SeenRecordings(settings_of(checkpoint, corpus))
    assert str(checkpoint) in str(caught.value) and "seen_recordings.json" in str(caught.value)
    accepted = SeenRecordings(settings_of(checkpoint, corpus, accept_unknown_leakage=True, max_left_out=1))
    left_out = accepted.left_out(examples)
    counts = accepted.count(examples, left_out, len(examples))
    assert not counts["known"] and "seen_recordings.json" in counts["unknown"]
    assert "leakage unknown" in seen_alarm({"seen": counts}) and counts["unknown"] in seen_alarm({"seen": counts})


def test_a_checkpoint_of_an_earlier_release_is_evaluated_and_said_to_be_unchecked(checkpoint, corpus, examples):
    (checkpoint / "cardiolect.json").write_text('{"stage": "finetune"}')
    seen = SeenRecordings(settings_of(checkpoint, corpus, max_left_out=1))
    counts = seen.count([], seen.left_out(examples), len(examples))
    assert counts["known"] and counts["left_out_samples"] > 0
    result = {"seen": counts, "samples": 5, "patients": 5, "conditions": {}}
    assert "an earlier release wrote the checkpoint" in warnings(result)[0] and not seen_alarm(result)
    shutil.move(checkpoint / "seen_recordings.json", checkpoint / "elsewhere.json")
    with pytest.raises(UserError, match=r"its seen_recordings\.json is missing"):
        SeenRecordings(settings_of(checkpoint, corpus))


def test_a_folder_that_is_no_checkpoint_is_called_that(tmp_path, corpus):
    with pytest.raises(UserError, match="not a checkpoint"):
        SeenRecordings(settings_of(tmp_path, corpus))
