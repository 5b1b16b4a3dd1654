"""Similar training recordings from the index to the answer: training, checkpoint, evaluation and use are alike."""

import json
from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import requests
from transformers import AutoTokenizer

from cardiolect.data_provider.splits import load_splits
from cardiolect.ecg_tokenizer.cached import prepare_corpus
from cardiolect.model.cli import commands as cli
from cardiolect.model.cli.remarks import similar_lines
from cardiolect.model.evaluation.condition_inputs import inputs_under
from cardiolect.model.evaluation.evaluate import evaluate
from cardiolect.model.evaluation.result import check_result
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.llm.checkpoint import load_checkpoint
from cardiolect.model.llm.checkpoint_folder import add_info, fingerprint
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.prompt.rendering import make_prompt
from cardiolect.model.serving.endpoint import EndpointChat
from cardiolect.model.training.neighbours import add_neighbours
from cardiolect.model.training.rows import FinetuneDataset
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.utils.errors import UserError

QUESTION = "Does this ECG show atrial fibrillation?"


@pytest.fixture(scope="module")
def texts(tmp_path_factory, corpus) -> SimpleNamespace:
    """Reports that say which recording they are on, one of them long and one missing."""
    reports = {}
    for split in ("train", "valid", "test"):
        for item in json.loads((corpus / f"reports/{split}.json").read_text()):
            reports[str(item["ecg_id"])] = item | {"report": f"recording {item['ecg_id']}"}
    train = [str(item["ecg_id"]) for item in json.loads((corpus / "reports/train.json").read_text())]
    reports[train[0]]["report"] += " word" * 30
    del reports[train[1]]
    path = tmp_path_factory.mktemp("reports") / "reports.json"
    path.write_text(json.dumps([*reports.values()]))
    return SimpleNamespace(path=path, long=train[0], without=train[1])


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def settings(tmp_path_factory, corpus, texts, cache):
    """A function from settings of retrieval to those of a run."""
    folder = tmp_path_factory.mktemp("run")

    def of(**values) -> FinetuneSettings:
        lines = {
            "TASKTYPE": "qa",
            "DATA_ROOT": corpus,
            "CHECKPOINT": folder,
            "TRAIN_DATA": corpus / "questions/train.json",
            "VALID_DATA": corpus / "questions/valid.json",
            "OUTPUT_DIR": folder / "out",
            "CACHE_DIR": cache,
            "WORKERS": 0,
            "MAX_VALID": 8,
            "RETRIEVE": "measured",
            "NEIGHBOURS": 2,
            "NEIGHBOUR_CONTENT": "report",
            "NEIGHBOUR_WORDS": 20,
            "NEIGHBOUR_REPORTS": texts.path,
        } | values
        env_file = folder / "run.env"
        env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        return FinetuneSettings.load(env_file)

    return of


def prepared(checkpoint_folder, settings: FinetuneSettings) -> SimpleNamespace:
    """What fine-tuning has before its first step."""
    checkpoint = load_checkpoint(checkpoint_folder)
    checkpoint.use_prompt(settings.prompt, settings.neighbours_in_system)
    splits = load_splits(settings, ("train", "valid"), task=settings.tasktype)
    refs = [ref for split in splits.values() for ref in split.examples.used_refs()]
    ecgs = prepare_corpus(checkpoint.representation, refs, settings)
    add_neighbours(checkpoint, splits, ecgs, settings)
    return SimpleNamespace(checkpoint=checkpoint, splits=splits, ecgs=ecgs)


@pytest.fixture(scope="module")
def run(checkpoint_folder, settings):
    return prepared(checkpoint_folder, settings())


@pytest.fixture(scope="module")
def folder(tmp_path_factory, run):
    """The checkpoint of the run, on its own."""
    folder = tmp_path_factory.mktemp("retrieving") / "checkpoint"
    save_checkpoint(run.checkpoint, folder, merge=False)
    (folder / "seen_recordings.json").write_text("[]")
    return folder


def recording_in(text: str) -> str:
    return text.split()[1]


def test_neighbours_are_training_recordings_of_other_patients(run, texts):
    train, valid = run.splits["train"].records, run.splits["valid"].records
    patient = {ref.record_id: ref.patient_id for ref in train}
    for ref in [*train, *valid]:
        similar = [recording_in(each.text) for each in run.ecgs.neighbours[ref.record_id]]
        assert len(similar) == 2 and set(similar) <= patient.keys() - {texts.without}
        assert ref.patient_id not in {patient[record] for record in similar}
    said = {recording_in(text): text for text in run.checkpoint.index.texts}
    assert said[texts.long] == f"recording {texts.long}{' word' * 18} ..."
    figures = run.checkpoint.info["retrieval"]
    assert (figures["without_text"], figures["cut_texts"], figures["recordings"]) == (1, 1, len(train) - 1)


def test_what_is_left_out_or_cut_gets_a_line(checkpoint_folder, settings, capsys):
    prepared(checkpoint_folder, settings())
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("similar recordings"))
    assert line.endswith("; 1 others have no report; 1 texts are cut after NEIGHBOUR_WORDS=20")


def test_the_prompt_of_training_is_that_of_use(run, folder):
    rows = FinetuneDataset(run.checkpoint.vocabulary, run.splits["valid"].examples, run.ecgs, questions_per_ecg=1)
    chat, vocabulary = ECGChat.from_pretrained(folder, "cpu"), run.checkpoint.vocabulary
    singles = {refs[0]: i for i in range(len(rows)) if len(refs := rows.records_of(i)) == 1}
    assert len(singles) == 8
    for ref, i in [*singles.items()][:3]:
        group, chosen, *_ = rows.place_of(i)
        example = rows.examples.text_example(int(rows._turns[rows._starts[group] + chosen[0]]))
        ecg = chat.prepare(ECGChat.read(ref.path))
        assert [each.text for each in ecg.neighbours] == [each.text for each in run.ecgs.neighbours[ref.record_id]]
        prompt = make_prompt(vocabulary, [ecg], [ref.background], example.task, example.question)
        ids = list(rows[i].ids)
        assert ids[: len(prompt.prefix) + len(prompt.question)] == [*prompt.prefix, *prompt.question]
        line = f"Similar ECGs: (1) {ecg.neighbours[0].text} (2) {ecg.neighbours[1].text}\n"
        assert line in vocabulary.tokenizer.decode(prompt.prefix)


def test_rows_are_as_long_as_announced_and_some_lack_their_neighbours(run):
    def make(share: float, without_ecg: float = 0.0) -> FinetuneDataset:
        dropped = {"neighbour_dropout": share, "ecg_dropout": without_ecg}
        return FinetuneDataset(run.checkpoint.vocabulary, run.splits["train"].examples, run.ecgs, 4, **dropped)

    whole, half = make(0.0), make(0.5)
    assert [len(whole[i]) for i in range(len(whole))] == whole.lengths().tolist() == half.lengths().tolist()
    lacking = np.array([len(half[i]) < length for i, length in enumerate(half.lengths().tolist())])
    assert 0.3 < lacking.mean() < 0.7


def test_texts_without_the_ecg_are_trained_on_in_addition_to_rows_without_both(run):
    def parts(ecgs) -> np.ndarray:
        """For each row, whether it has its ECG, and whether it has the texts of similar ones."""
        examples, vocabulary = run.splits["train"].examples, run.checkpoint.vocabulary
        rows = FinetuneDataset(vocabulary, examples, ecgs, 1, ecg_dropout=0.4)
        found = [vocabulary.tokenizer.decode(rows[i].ids) for i in range(len(rows))]
        assert all(len(rows[i].ids) <= length for i, length in enumerate(rows.lengths().tolist()))
        return np.array([("<|ecg_start|><|ecg_end|>" not in text, "Similar" in text) for text in found])

    without_index = copy(run.ecgs)
    without_index.neighbours = {}
    plain, retrieving = parts(without_index), parts(run.ecgs)
    ecg, texts = retrieving.T
    assert np.array_equal(~ecg & ~texts, ~plain[:, 0])
    assert 0.05 < (~ecg & texts).mean() < 0.2 and (ecg & texts).mean() > 0.4


def test_questions_about_one_ecg_with_other_neighbours_share_no_prefix(run):
    ref = run.splits["valid"].records[0]
    ecg = run.ecgs.ecg(ref)
    keys = {
        make_prompt(run.checkpoint.vocabulary, [each], [""], "qa", QUESTION).key
        for each in (ecg, ecg._replace(neighbours=()), ecg._replace(neighbours=ecg.neighbours[:1]))
    }
    assert len(keys) == 3


def test_a_checkpoint_alone_is_evaluated_with_its_floors(folder, corpus, cache, tmp_path):
    settings = EvalSettings(
        tasktype="qa",
        checkpoint=folder,
        data_root=[corpus],
        test_data=[corpus / "questions/test.json"],
        output_dir=tmp_path / "qa",
        cache_dir=cache,
        workers=0,
        max_samples=6,
        max_new_tokens=3,
        bootstrap_resamples=20,
        page_examples=1,
    )
    settings.output_dir.mkdir()
    result = evaluate(settings)
    assert {"no_neighbours", "random_neighbours", "neighbours_only"} <= result["conditions"].keys()
    assert [added["over"] for added in result["neighbours_add"]] == ["no_neighbours", "random_neighbours"]
    assert [added["over"] for added in result["ecg_adds"]] == ["neighbours_only"]
    assert {(each["samples"], each["with_neighbours"]) for each in result["neighbours_add"]} == {(6, 6)}
    shown = (settings.output_dir / "scores.txt").read_text()
    assert "the ECG beyond these texts: " in shown and shown.count("similar recordings: ") == 2
    assert "the signal-use gap includes what these texts say" in shown
    found = result["data"]["retrieval"]
    assert (found["by"], found["neighbours"], found["without"], found["fewer"]) == ("measured", 2, 0, 0)
    assert result["gap"]["best_floor"] not in ("no_neighbours", "random_neighbours", "neighbours_only")
    sample = json.loads((settings.output_dir / "predictions.jsonl").read_text().splitlines()[0])
    ((nearest, second),) = sample["neighbours"]
    assert nearest[0].startswith("recording ") and 0 < nearest[1] <= second[1]
    page = (settings.output_dir / "result.html").read_text()
    assert f"{nearest[1]:.2f}: recording" in page or "similar training recordings" in page
    assert "Prompts have the report of 2 similar training recordings" in page
    assert check_result(settings.output_dir) == []


def test_patients_of_the_index_get_no_neighbours_in_an_evaluation(folder, corpus, cache, tmp_path, capsys):
    settings = EvalSettings(
        tasktype="qa",
        checkpoint=folder,
        data_root=[corpus],
        test_data=[corpus / "questions/train.json"],
        output_dir=tmp_path / "qa",
        cache_dir=cache,
        workers=0,
        max_samples=4,
        max_new_tokens=2,
        keep_seen_patients=True,
        floors=["no_ecg", "no_neighbours"],
        bootstrap_resamples=10,
        page_examples=0,
    )
    settings.output_dir.mkdir()
    result = evaluate(settings)
    (added,) = result["neighbours_add"]
    assert added["value"] == 0 and (added["samples"], added["with_neighbours"]) == (4, 0)
    assert "over 4 samples, 4 of them without similar recordings" in (settings.output_dir / "scores.txt").read_text()
    assert result["data"]["retrieval"]["without"] == result["data"]["retrieval"]["recordings"]
    assert "recordings get no similar ones: their patients are in the index" in capsys.readouterr().out


def test_a_floor_has_no_texts_that_the_true_ecg_has_found(run, settings):
    asked = [(ref,) for ref in run.splits["valid"].records[:2]]
    for condition, there in (("noise", False), ("silenced_leads", False), ("reversed_leads", True), ("no_ecg", False)):
        inputs = inputs_under(condition, asked, asked, run.ecgs, settings())
        assert [bool(ecg and ecg.neighbours) for (ecg,) in map(inputs, asked)] == [there, there]


def test_ask_shows_neighbours_with_their_distance_and_knows_a_training_recording(said, folder, run, capsys):
    train, valid = (run.splits[name].records[0] for name in ("train", "valid"))
    cli.main(["ask", str(valid.path), QUESTION, "--checkpoint", str(folder), "--max-new-tokens", "2"])
    nearest = run.ecgs.neighbours[valid.record_id][0]
    shown = capsys.readouterr().err
    assert f"similar training recording, distance {nearest.distance:.2f}: {nearest.text}" in shown
    assert "this recording is one of the index" not in shown
    cli.main(["ask", str(train.path), QUESTION, "--checkpoint", str(folder), "--max-new-tokens", "2"])
    shown = capsys.readouterr().err
    assert "this recording is one of the index of similar ones; its own text is not used" in shown
    assert f": recording {train.record_id}\n" not in shown


def test_a_copy_or_part_of_a_training_recording_gets_none(folder, run):
    chat = ECGChat.from_pretrained(folder, "cpu")
    whole = ECGChat.read(run.splits["train"].records[0].path)
    noise = 0.01 * np.random.default_rng(0).normal(size=whole.signal.shape).astype(np.float32)
    rounded = (np.round(whole.signal / 0.005) * 0.005).astype(np.float32)
    for signal in (whole.signal.astype(np.float16), rounded, whole.signal[:, 700:], 1.02 * whole.signal + noise):
        again = replace(whole, signal=signal.astype(np.float32), good=whole.good[:, : signal.shape[1]])
        prepared = chat.prepare(again)
        assert chat.knows(again) and not prepared.neighbours
        assert similar_lines(prepared, True) == [
            "this recording is one of the index of similar ones; its own text is not used, nor its patient's, so it "
            "gets none"
        ]
    unseen = ECGChat.read(run.splits["valid"].records[0].path)
    assert chat.prepare(unseen).neighbours and not chat.knows(unseen)


def test_a_longer_recording_is_compared_by_the_seconds_that_the_index_has(folder, run):
    chat, whole = ECGChat.from_pretrained(folder, "cpu"), ECGChat.read(run.splits["valid"].records[0].path)
    assert chat.index.retrieval.seconds == 10
    chat.index = replace(chat.index, retrieval=replace(chat.index.retrieval, seconds=4.0))
    first = ECGChat.read(run.splits["valid"].records[0].path, seconds=4.0)
    assert chat.prepare(whole).neighbours == chat.prepare(first).neighbours
    last = ECGChat.read(run.splits["valid"].records[0].path, start=4.0)
    assert chat.prepare(whole).neighbours != chat.prepare(last).neighbours


def test_a_server_is_sent_the_neighbours_of_the_ecg(folder, run, monkeypatch):
    valid = run.splits["valid"].records[0]
    chat, sent = EndpointChat.from_pretrained("http://127.0.0.1:9", folder), []

    def post(session, url, body, **_):
        sent.append(body)
        raise requests.ConnectionError("asked")

    monkeypatch.setattr("cardiolect.model.serving.endpoint.post_chat", post)
    with pytest.raises(UserError):
        chat.ask(ECGChat.read(valid.path), QUESTION)
    words = AutoTokenizer.from_pretrained(folder)
    served = words.apply_chat_template(sent[0]["messages"], add_generation_prompt=True)["input_ids"]
    prompt = make_prompt(run.checkpoint.vocabulary, [run.ecgs.ecg(valid)], [""], "qa", QUESTION)
    assert served == [*prompt.prefix, *prompt.question]


def test_features_of_the_signal_need_the_recording_itself(folder, run):
    chat = ECGChat.from_pretrained(folder, "cpu")
    with pytest.raises(UserError, match="found by measured, which needs the signal: give the recording itself"):
        chat.ask(run.ecgs.item(run.splits["valid"].records[0]), QUESTION)


def test_an_index_is_part_of_what_a_checkpoint_is(folder, tmp_path):
    loaded = load_checkpoint(folder)
    save_checkpoint(loaded, tmp_path / "again", merge=True)
    assert fingerprint(tmp_path / "again") == fingerprint(folder)
    index = tmp_path / "again/retrieval/index.json"
    index.write_text(index.read_text().replace("recording 5", "Recording 5"))
    assert fingerprint(tmp_path / "again") != fingerprint(folder)
    index.unlink()
    with pytest.raises(UserError, match="the index of similar recordings is missing or damaged"):
        load_checkpoint(tmp_path / "again")
    loaded.index = None
    loaded.info.pop("retrieval")
    save_checkpoint(loaded, tmp_path / "again", merge=True)
    assert not (tmp_path / "again/retrieval").exists() and load_checkpoint(tmp_path / "again").index is None


def test_other_settings_than_the_checkpoints_are_noticed(folder, settings, capsys):
    add_info(folder, stage="finetune")
    prepared(folder, settings(NEIGHBOURS=1))
    assert (
        "RETRIEVE: CHECKPOINT was fine-tuned with 2 similar recordings by measured (report, user), this run with "
        "1 similar recording by measured (report, user)"
    ) in capsys.readouterr().out
    run = prepared(folder, settings(RETRIEVE="none"))
    assert "this run with no similar recordings" in capsys.readouterr().out
    assert run.checkpoint.index is None and "retrieval" not in run.checkpoint.info and not run.ecgs.neighbours
    prepared(folder, settings())
    assert "fine-tuned with" not in capsys.readouterr().out


def test_what_cannot_be_is_one_line(checkpoint_folder, settings, tmp_path, capsys):
    (tmp_path / "none.json").write_text("[]")
    for lines, message in (
        ({"NEIGHBOUR_REPORTS": tmp_path / "none.json"}, "no file of it has a report on a training recording"),
        ({"NEIGHBOUR_REPORTS": ""}, "there is no report in TRAIN_DATA on a training recording"),
        ({"NEIGHBOUR_PLACE": "system"}, "NEIGHBOUR_PLACE=system needs PROMPT=chat"),
    ):
        with pytest.raises(UserError, match=message):
            prepared(checkpoint_folder, settings(**lines))
    with pytest.raises(UserError, match=r"NEIGHBOUR_REPORTS: .*gone\.json does not exist"):
        settings(NEIGHBOUR_REPORTS=tmp_path / "gone.json")
    settings(RETRIEVE="none").say_unused()
    assert "NEIGHBOURS, NEIGHBOUR_CONTENT" in capsys.readouterr().out


def test_an_index_is_published_only_if_this_is_asked_for(folder, tmp_path, capsys):
    with pytest.raises(UserError, match=r"holds texts of reports on \d+ training recordings .* give --with-index"):
        cli.main(["export", str(folder), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
    cli.main(["export", str(folder), "--out", str(tmp_path / "out"), "--with-index"])
    assert f"{tmp_path}/out/retrieval: holds texts on" in capsys.readouterr().err
    assert "`retrieval/` holds what was written about" in (tmp_path / "out/README.md").read_text()
    assert load_checkpoint(tmp_path / "out").index.texts == load_checkpoint(folder).index.texts
