"""What a checkpoint says about its training is written before it, and is passed on."""

import json
import shutil

import pytest
import torch

from cardiolect.data_provider.audit.seen import SEEN, read_seen
from cardiolect.ecg_tokenizer.bpe.settings import BPESettings
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.bpe.training import train_bpe_representation
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer, TokenizerConfig
from cardiolect.ecg_tokenizer.patches.representation import make_patches
from cardiolect.ecg_tokenizer.patches.settings import PatchSettings
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.ecg_tokenizer.training.train import train_tokenizer
from cardiolect.model.llm.checkpoint import load_checkpoint
from cardiolect.model.llm.checkpoint_folder import fingerprint_of_parts, load_ecg_tokenizer
from cardiolect.model.serving.publish import merge
from cardiolect.model.training import stages
from cardiolect.model.training.settings import FinetuneSettings, PretrainSettings
from cardiolect.utils.errors import UserError
from tests.helpers.runs import finetune_lines, pretrain_lines

FIGURES = {"steps": 1, "epochs": 1.0, "train_loss": 1.0, "valid_loss": 1.0, "best_step": 1, "loss_curve": [1.0]}
FIGURES |= {"speed": {}, "peak_memory": {}}


def settings_of(cls, folder, lines: dict):
    env_file = folder / "stage.env"
    lines = {"CACHE_DIR": folder / "cache", "WORKERS": 0, **lines}
    env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    return cls.load(env_file)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory, corpus):
    """An ECG tokenizer as stage 1 writes it, after two steps."""
    folder = tmp_path_factory.mktemp("stage1")
    lines = {"DATA_ROOT": corpus, "TRAIN_FOLDS": "1-8", "VALID_FOLDS": 9, "HELD_OUT": corpus / "questions/test.json"}
    sizes = {"FSQ_LEVELS": "5,5,5", "HIDDEN": 16, "ENCODER_DEPTH": 1, "DECODER_DEPTH": 1, "STRIDE_MS": 64}
    steps = {"STEPS": 2, "EVAL_STEPS": 1, "BATCH_SIZE": 2, "MAX_TRAIN": 6, "MAX_VALID": 2}
    train_tokenizer(
        settings_of(TokenizerSettings, folder, lines | sizes | steps | {"OUTPUT_DIR": folder / "tokenizer"})
    )
    return folder / "tokenizer"


@pytest.fixture
def untrained(monkeypatch):
    """Training that only looks at what is on disk when it begins: the folders of the runs."""
    begun = {}

    def train(model, train_rows, valid_rows, pad_id, settings, begun_with):
        begun[settings.output_dir] = sorted(path.name for path in settings.output_dir.iterdir())
        return dict(FIGURES)

    monkeypatch.setattr(stages, "train", train)
    return begun


def pretrained(folder, corpus, tokenizer, **values):
    folder.mkdir(exist_ok=True)
    lines = pretrain_lines(corpus, tokenizer) | {"OUTPUT_DIR": folder / "pre", "MAX_TRAIN": 4, "MAX_VALID": 2} | values
    stages.pretrain(settings_of(PretrainSettings, folder, lines))
    return folder / "pre"


def tuned(folder, corpus, checkpoint, **values):
    lines = finetune_lines(corpus, checkpoint) | {"TUNING": "full", "MAX_TRAIN": 4, "MAX_VALID": 2}
    stages.finetune(settings_of(FinetuneSettings, folder, lines | {"OUTPUT_DIR": folder / "llm"} | values))
    return folder / "llm"


def test_stage_1_records_its_list_with_the_tokenizer_and_what_was_held_out(tokenizer):
    found = read_seen(tokenizer)
    assert found.unknown == "" and found.record["count"] == len(found.marks) > 8
    assert ECGTokenizer.from_pretrained(tokenizer).fingerprint()
    left_out = json.loads((tokenizer / "metrics.json").read_text())["removed_patients"]
    assert left_out["train"]["held_out"] == {"records": 0, "patients": 0, "texts": 0}, "folds hold out whole patients"


def test_the_list_is_written_before_training_and_goes_from_stage_to_stage(tmp_path, corpus, tokenizer, untrained):
    first = pretrained(tmp_path, corpus, tokenizer, MAX_TRAIN=12)
    last = tuned(tmp_path, corpus, first, HELD_OUT=corpus / "questions/test.json")
    assert all(SEEN in names for names in untrained.values()) and len(untrained) == 2
    stage1, stage2, stage3 = map(read_seen, (tokenizer, first, last))
    assert stage1.marks < stage2.marks and stage2.marks <= stage3.marks and not stage2.unknown and not stage3.unknown
    info = json.loads((last / "cardiolect.json").read_text())
    assert info["seen"] == {"count": len(stage3.marks), "sha256": info["seen"]["sha256"]}
    assert set(info["removed_patients"]) == {"train", "valid"} and "held_out" in info["removed_patients"]["train"]
    assert read_seen(last / "ecg_tokenizer").marks == stage3.marks, "a tokenizer taken from a checkpoint"


def test_a_stage_is_told_that_an_earlier_one_followed_another_split(tmp_path, corpus, tokenizer, untrained, capsys):
    first = pretrained(tmp_path, corpus, tokenizer, HELD_OUT=corpus / "questions/test.json")
    assert "an earlier stage has seen" not in capsys.readouterr().out
    tuned(tmp_path, corpus, first, HELD_OUT=corpus / "questions/valid.json", VALID_DATA=corpus / "questions/test.json")
    assert "HELD_OUT: an earlier stage has seen the patients of" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["lost", "cut", "no JSON"])
@pytest.mark.parametrize("where", ["tokenizer", "checkpoint"])
def test_a_stage_that_starts_from_a_lost_list_is_refused_or_says_so_for_good(
    tmp_path, corpus, tokenizer, untrained, capsys, monkeypatch, where, damage
):
    def spoil(folder):
        path = folder / SEEN
        path.unlink() if damage == "lost" else path.write_text("[]" if damage == "cut" else "[")

    copied, accepted = shutil.copytree(tokenizer, tmp_path / "copied"), {"ACCEPT_UNKNOWN_LEAKAGE": "true"}
    if where == "tokenizer":
        spoil(copied)
        spoiled, lines = copied, {}
    else:
        spoiled, lines = pretrained(tmp_path, corpus, copied), {"TUNING": "full"}
        spoil(spoiled)
    begin = tuned if where == "checkpoint" else pretrained
    with monkeypatch.context() as patch, pytest.raises(UserError, match="ACCEPT_UNKNOWN_LEAKAGE=true") as caught:
        patch.setattr(stages, "prepare_corpus", lambda *_, **__: pytest.fail("encoded before it was refused"))
        begin(tmp_path, corpus, spoiled, **lines)
    assert f"{spoiled}: its seen_recordings.json is" in str(caught.value) and "\n" not in str(caught.value)
    first = begin(tmp_path, corpus, spoiled, **lines, **accepted)
    last = first if where == "checkpoint" else tuned(tmp_path, corpus, first, **accepted)
    assert "an evaluation cannot know all patients" in capsys.readouterr().out
    assert "that training started from: its seen_recordings.json is" in read_seen(last).unknown


def test_a_stage_that_an_earlier_one_told_of_a_lost_list_is_refused(tmp_path, corpus, tokenizer, untrained):
    (shutil.copytree(tokenizer, tmp_path / "copied") / SEEN).unlink()
    first = pretrained(tmp_path, corpus, tmp_path / "copied", ACCEPT_UNKNOWN_LEAKAGE="true")
    for start in (first, first / "ecg_tokenizer"):
        with pytest.raises(UserError, match="which patients an earlier stage has seen is not known"):
            tuned(tmp_path, corpus, first) if start == first else pretrained(tmp_path / "again", corpus, start)


def test_a_tokenizer_of_an_earlier_release_trains_with_a_line(tmp_path, corpus, tokenizer_folder, untrained, capsys):
    first = pretrained(tmp_path, corpus, tokenizer_folder)
    assert f"{tokenizer_folder}: its seen_recordings.json is missing" in capsys.readouterr().out
    assert read_seen(first).unknown == "" and read_seen(first).record["unrecorded"] == "ECG tokenizer"


def test_merging_keeps_the_list_and_its_record(tmp_path, corpus, tokenizer, untrained):
    last = tuned(tmp_path, corpus, pretrained(tmp_path, corpus, tokenizer), TUNING="lora", CHECKPOINT_FORMAT="adapter")
    assert read_seen(last).unknown == ""
    merge(last, tmp_path / "merged")
    assert read_seen(tmp_path / "merged") == read_seen(last)


def test_symbols_record_their_list_too(tmp_path, corpus):
    lines = {"DATA_ROOT": corpus, "TRAIN_FOLDS": "1-8", "VALID_FOLDS": 9, "MAX_TRAIN": 4, "MAX_VALID": 2}
    lines |= {"REPRESENTATION": "bpe", "BPE_MERGES": 5, "OUTPUT_DIR": tmp_path / "bpe"}
    train_bpe_representation(settings_of(BPESettings, tmp_path, lines))
    found = read_seen(tmp_path / "bpe")
    assert found.unknown == "" and found.record["count"] == len(found.marks) > 6
    assert BPETokenizer.from_pretrained(tmp_path / "bpe").vocabulary_size


def test_patches_learn_from_no_recording_and_say_so(tmp_path, corpus):
    make_patches(settings_of(PatchSettings, tmp_path, {"DATA_ROOT": corpus, "OUTPUT_DIR": tmp_path / "patches"}))
    found = read_seen(tmp_path / "patches")
    assert (found.marks, found.unknown, found.record["count"]) == (set(), "", 0)


def other_tokenizer(folder, tokenizer) -> None:
    """Another tokenizer with as many codes."""
    torch.manual_seed(7)
    ECGTokenizer(TokenizerConfig.load(tokenizer / "config.json")).save_pretrained(folder)


def test_another_tokenizer_with_as_many_codes_is_refused(tmp_path, corpus, tokenizer, untrained):
    first = pretrained(tmp_path, corpus, tokenizer)
    load_checkpoint(first)
    other_tokenizer(tmp_path / "other", tokenizer)
    with pytest.raises(UserError, match=r"other: is not the ECG tokenizer that .*pre was trained with") as caught:
        pretrained(tmp_path, corpus, tmp_path / "other", LLM_PATH=first, OUTPUT_DIR=tmp_path / "again")
    assert "\n" not in str(caught.value)
    again = pretrained(tmp_path, corpus, first / "ecg_tokenizer", LLM_PATH=first, OUTPUT_DIR=tmp_path / "again")
    assert again and read_seen(tmp_path / "again").marks == read_seen(first).marks
    tuned(tmp_path, corpus, first, TOKENIZER_PATH=tokenizer)
    with pytest.raises(UserError, match=r"other: is not the ECG tokenizer that .*pre was trained with"):
        tuned(tmp_path, corpus, first, TOKENIZER_PATH=tmp_path / "other")
    other_tokenizer(first / "ecg_tokenizer", tokenizer)
    for load in (load_checkpoint, load_ecg_tokenizer):
        with pytest.raises(UserError, match=r"pre/ecg_tokenizer: is not the ECG tokenizer that .* take the original"):
            load(first)


def test_a_language_model_with_ecg_tokens_of_unknown_origin_is_refused(tmp_path, corpus, tokenizer, untrained):
    first = pretrained(tmp_path, corpus, tokenizer)
    (first / "cardiolect.json").unlink()
    with pytest.raises(UserError, match=r"has ECG tokens, but no cardiolect\.json says of which ECG tokenizer"):
        pretrained(tmp_path, corpus, tokenizer, LLM_PATH=first, OUTPUT_DIR=tmp_path / "again")


@pytest.mark.parametrize("on_hub", [False, True])
def test_pretraining_that_goes_on_from_a_checkpoint_keeps_its_corpora_base_and_list(
    tmp_path, corpus, tokenizer, untrained, monkeypatch, on_hub
):
    first = pretrained(tmp_path, corpus, tokenizer, MAX_TRAIN=12)
    info = json.loads((first / "cardiolect.json").read_text())
    (first / "cardiolect.json").write_text(json.dumps(info | {"base_model": "Llama"}))
    llm = first
    if on_hub:  # the folder is the hub's cache, and LLM_PATH a name
        llm = "owner/name"
        monkeypatch.setattr("cardiolect.model.training.settings.check_source", lambda source: None)
        monkeypatch.setattr("cardiolect.model.llm.checkpoint.language_model_folder", lambda path: first)
    again = pretrained(tmp_path / "again", corpus, tokenizer, LLM_PATH=llm, TINY_CORPUS="", MAX_TRAIN=2)
    later = json.loads((again / "cardiolect.json").read_text())
    assert later["base_model"] == "Llama" and later["corpora"] == [*info["corpora"], info["corpora"][-1]]
    assert read_seen(again).marks >= read_seen(first).marks
    assert later["begun_with"]["language model"] == fingerprint_of_parts(first)
