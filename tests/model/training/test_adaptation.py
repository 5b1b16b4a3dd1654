"""Which parameters are trained: adapters that a checkpoint has keep their shape."""

import pytest

from cardiolect.model.llm.checkpoint import load_checkpoint
from cardiolect.model.training.adaptation import with_adapters_own
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.utils.errors import UserError

OWN = {"lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0.0}  # of the checkpoint `adapters`, on v_proj and up_proj


def settings(adapters, **values) -> FinetuneSettings:
    return FinetuneSettings.model_construct(_fields_set=set(values), checkpoint=adapters, **values)


def test_settings_at_their_defaults_become_those_of_the_adapters_with_a_line(adapters, capsys):
    found = with_adapters_own(settings(adapters), load_checkpoint(adapters, trainable=True).model)
    assert {key: getattr(found, key) for key in OWN} == OWN and set(found.lora_targets) == {"v_proj", "up_proj"}
    line = capsys.readouterr().out
    assert "trained as they are: LORA_RANK=4 LORA_ALPHA=8 LORA_DROPOUT=0.0 LORA_TARGETS=v_proj,up_proj" in line


def test_settings_that_were_set_and_differ_stop_with_every_key(adapters):
    wanted = settings(adapters, lora_rank=8, lora_alpha=8, lora_targets=["q_proj", "v_proj"])
    with pytest.raises(UserError) as stopped:
        with_adapters_own(wanted, load_checkpoint(adapters, trainable=True).model)
    words = str(stopped.value)
    assert "LORA_RANK is 8, theirs 4" in words and "LORA_TARGETS is q_proj,v_proj, theirs v_proj,up_proj" in words
    assert "LORA_ALPHA" not in words and "\n" not in words


def test_settings_that_say_the_same_are_kept(adapters, capsys):
    wanted = settings(adapters, lora_targets=["up_proj", "v_proj"], **OWN)
    assert with_adapters_own(wanted, load_checkpoint(adapters, trainable=True).model) == wanted
    assert capsys.readouterr().out == ""


def test_a_whole_model_gets_new_adapters_by_the_settings(stock):
    wanted = settings(stock, lora_rank=8)
    assert with_adapters_own(wanted, load_checkpoint(stock).model) is wanted


def test_training_adds_rows_up_to_a_multiple_of_64_and_no_spare_one_learns(pretrained):
    checkpoint = load_checkpoint(pretrained)
    table, first = checkpoint.model.get_input_embeddings().weight, checkpoint.vocabulary.new_ids.stop
    assert table.shape[0] % 64 == 0 and checkpoint.info["row_multiple"] == 64
    assert table.shape[0] == first or (table[first:] == table[first]).all()
