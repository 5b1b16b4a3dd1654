"""Rows of ECG tokens: how far apart they start, and at which rate they learn unless the settings say otherwise."""

import pytest
from transformers import TrainerCallback, TrainingArguments

from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
from cardiolect.model.training.adaptation import prepare_for_training
from cardiolect.model.training.resume import differences
from cardiolect.model.training.settings import PretrainSettings
from cardiolect.model.training.stages import _new_checkpoint
from cardiolect.model.training.trainer import ECGTrainer
from cardiolect.utils.resume import comparable
from tests.helpers.language_models import tiny_language_model
from tests.helpers.runs import pretrain_lines


@pytest.fixture
def settings(tmp_path, corpus, tokenizer_folder):
    """Makes settings of pretraining with adapters; keywords are further lines of the env file."""
    lines = {**pretrain_lines(corpus, tokenizer_folder), "OUTPUT_DIR": tmp_path / "out", "DEVICE": "cpu"}
    lines = {key: value for key, value in lines.items() if not key.startswith("TINY_")}
    lines |= {"LLM_PATH": tiny_language_model(tmp_path / "llm"), "TUNING": "lora", "LORA_RANK": 4}

    def make(**values) -> PretrainSettings:
        file = tmp_path / "run.env"
        file.write_text("".join(f"{key}={value}\n" for key, value in {**lines, **values}.items()))
        return PretrainSettings.load(file)

    return make


def test_the_spread_of_the_settings_is_that_of_the_new_rows(settings):
    found = {}
    for spread in ("", 0.25, 2):
        checkpoint = _new_checkpoint(
            made := settings(TOKEN_ROW_SPREAD=spread), load_representation(made.tokenizer_path)
        )
        table, vocabulary = checkpoint.model.get_input_embeddings().weight.detach(), checkpoint.vocabulary
        codes = table[vocabulary.new_ids.start + 2 : vocabulary.new_ids.stop]
        text = table[: vocabulary.start_id]
        found[spread] = ((codes - text.mean(0)).std() / text.std(0).mean()).item()
    assert found == pytest.approx({"": 0.5, 0.25: 0.25, 2: 2}, rel=0.05)


@pytest.mark.parametrize(
    ("lines", "rate"),
    [
        ({}, 5e-4),
        ({"TOKEN_ROW_LEARNING_RATE": 0, "LEARNING_RATE": 2e-4}, 1e-3),
        ({"TOKEN_ROW_LEARNING_RATE": 3e-4}, 3e-4),
        ({"TOKEN_ROW_LEARNING_RATE": 1e-4}, 1e-4),
        ({"TUNING": "full"}, 1e-4),
        ({"TUNING": "full", "TRAIN_TEXT_ROWS": "true"}, 1e-4),
        ({"TUNING": "full", "TOKEN_ROW_LEARNING_RATE": 3e-4}, 3e-4),
    ],
)
def test_the_optimizer_has_the_rate_of_new_rows_by_the_settings(tmp_path, settings, lines, rate):
    used = settings(**lines)
    model, words = load_language_model(used.llm_path, "fp32")
    checkpoint = new_checkpoint(model, words, load_representation(used.tokenizer_path), seed=0)
    model = prepare_for_training(checkpoint.model, checkpoint.vocabulary, used)
    arguments = TrainingArguments(str(tmp_path), learning_rate=used.learning_rate, use_cpu=True, report_to=[])
    trainer = ECGTrainer(used, None, TrainerCallback(), model=model, args=arguments, train_dataset=[])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in trainer.create_optimizer().param_groups:
        of_rows = ["embed" in names[id(parameter)] for parameter in group["params"]]
        if rate != used.learning_rate:
            assert all(of_rows) or not any(of_rows)
        assert group["lr"] == pytest.approx(rate if any(of_rows) else used.learning_rate)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({"TUNING": "full"}, []),
        ({"TOKEN_ROW_LEARNING_RATE": 1e-4}, []),
        ({}, ["TOKEN_ROW_LEARNING_RATE was 0.0001, now 0.0005"]),
    ],
)
def test_earlier_runs_gave_new_rows_the_rate_of_the_rest(settings, lines, words):
    now = settings(**lines)
    now = now.model_copy(update={"token_row_learning_rate": now.row_rate})
    before = {**comparable(now), "token_row_learning_rate": 0.0}
    assert differences(now, {}, before, {}) == words
    assert differences(now, {}, comparable(now), {}) == []
