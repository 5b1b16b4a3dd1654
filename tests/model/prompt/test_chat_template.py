"""The chat template writes the prompts that a model was trained on."""

import numpy as np
import pytest
from jinja2 import TemplateError
from transformers import AutoTokenizer

from cardiolect.ecg_tokenizer.base import Neighbour
from cardiolect.model.llm.tiny import train_bpe
from cardiolect.model.prompt.chat_template import chat_messages, set_chat_template
from cardiolect.model.prompt.rendering import render_ecgs, render_prompt
from cardiolect.model.prompt.vocabulary import Vocabulary
from tests.helpers.language_models import sentencepiece

QUESTION = "Does this ECG show atrial fibrillation?"
SPELLED = "It is <s>: 1</s><start_of_turn>, <0x0A>?"  # special tokens of other kinds than <|...|>
HISTORY = [("", "Sinus rhythm."), ("Is it regular?", "yes")]


def byte_level(bos: bool = True):
    tokenizer = train_bpe({QUESTION}, 300)
    if not bos:
        tokenizer.bos_token = None
    return tokenizer


TOKENIZERS = {
    "byte level": byte_level,
    "without beginning of sequence": lambda: byte_level(bos=False),
    "space before the first word": lambda: sentencepiece("first"),
    "space before every text": lambda: sentencepiece("always"),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("ecgs", [1, 2])
@pytest.mark.parametrize("background", ["", "age 56, sex female, height 161.5 cm"])
@pytest.mark.parametrize("question", ["", QUESTION, "Is <|ecg_3|> an <|eos|> or 'it'?\nSo?", SPELLED])
@pytest.mark.parametrize("history", [[], HISTORY, [("What?", "<|ecg_end|>Patient: age 5.\nno")], [("", SPELLED)]])
def test_the_template_writes_the_prompts_of_training(tmp_path, kind, ecgs, background, question, history):
    vocabulary = Vocabulary.extend(TOKENIZERS[kind](), 7)
    assert set_chat_template(vocabulary)
    vocabulary.tokenizer.save_pretrained(tmp_path)
    codes, backgrounds = [np.arange(5), np.array([6, 0])][:ecgs], [background] * ecgs
    rendered = render_ecgs(vocabulary, codes, backgrounds)[0]
    rendered += render_prompt(vocabulary, "qa" if question else "report", question, history)
    messages = [{"role": "system", "content": "Be brief."}, *chat_messages(codes, backgrounds, question, history)]
    served = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(messages, add_generation_prompt=True)
    assert served["input_ids"] == rendered
    assert rendered.count(vocabulary.tokenizer.bos_token_id) <= 1
    assert rendered.count(vocabulary.tokenizer.eos_token_id) == len(history)  # it ends every answer


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("background", ["", "age 56"])
def test_similar_recordings_follow_the_patient(tmp_path, kind, background):
    vocabulary = Vocabulary.extend(TOKENIZERS[kind](), 7)
    assert set_chat_template(vocabulary)
    vocabulary.tokenizer.save_pretrained(tmp_path)
    codes, similar = np.arange(5), [(Neighbour("no AF, QTc 1.5 < 2.", 0.4), Neighbour("<|ecg_3|>", 0.5))]
    rendered = render_ecgs(vocabulary, [codes], [background], similar)[0] + render_prompt(vocabulary, "qa", QUESTION)
    served = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(
        chat_messages([codes], [background], QUESTION, [], similar), add_generation_prompt=True
    )
    assert served["input_ids"] == rendered
    if kind == "byte level":
        patient = f"Patient: {background}.\n" if background else ""
        line = f"{patient}Similar ECGs: (1) no AF, QTc 1.5 < 2. (2) < |ecg_3|>\nQuestion:"
        assert line in vocabulary.tokenizer.decode(rendered)


def test_no_template_is_better_than_an_inexact_one():
    joining = Vocabulary.extend(sentencepiece("never"), 7)
    assert not set_chat_template(joining) and joining.tokenizer.chat_template is None


def test_what_people_type_is_understood_and_a_misplaced_ecg_refused():
    vocabulary = Vocabulary.extend(byte_level(), 7)
    set_chat_template(vocabulary)

    def written(content: str) -> str:
        return vocabulary.tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False)

    ecg = "<|ecg_start|><|ecg_1|><|ecg_end|>"
    assert written(f" {ecg}\n Is it <|eos|>? ") == f"<|bos|>{ecg}Question: Is it < |eos|>?\nAnswer:"
    assert written(ecg) == written(f"{ecg} Report") == f"<|bos|>{ecg}Report:"
    assert written(f"{ecg}Patient: <|eos|>.\n") == f"<|bos|>{ecg}Patient: < |eos|>.\nReport:"
    assert written(f"{ecg}Patient: age 56.\n") == f"<|bos|>{ecg}Patient: age 56.\nReport:"
    put_in = [
        {"role": "user", "content": ecg},
        {"role": "assistant", "content": " <|eos|><|ecg_2|> "},
        {"role": "user", "content": "<|ecg_3|>?"},
    ]
    assert vocabulary.tokenizer.apply_chat_template(put_in, tokenize=False) == (
        f"<|bos|>{ecg}Report: < |eos|>< |ecg_2|><|eos|>\nQuestion: < |ecg_3|>?\nAnswer:"
    )
    for content, complaint in {
        f"Look: {ecg}": "begin with an ECG",
        "<|ecg_1|><|ecg_end|>": "begin with an ECG",
        "<|ecg_start|><|ecg_1|>": "end in",
        f"{ecg} compare with {ecg}": "follow the last ECG",
    }.items():
        with pytest.raises(TemplateError, match=complaint):
            written(content)
    late = [*put_in[:2], {"role": "user", "content": ecg}]
    with pytest.raises(TemplateError, match="in the first message"):
        vocabulary.tokenizer.apply_chat_template(late, tokenize=False)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_conversation_without_an_ecg_is_written_as_training_writes_one_without(kind):
    """llama.cpp renders the first of these at its start, and would end there if that failed."""
    vocabulary = Vocabulary.extend(TOKENIZERS[kind](), 7)
    set_chat_template(vocabulary)
    hello = [
        {"role": "system", "content": "You are a helpful assistant"},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi there"},
        {"role": "user", "content": "How are you?"},
    ]
    for messages, background, question, history in (
        (hello, "", "How are you?", [("Hello", "Hi there")]),
        ([{"role": "user", "content": [{"type": "text", "text": QUESTION}]}], "", QUESTION, []),
        ([{"role": "user", "content": f"Patient: age 56.\n{QUESTION}"}], "age 56", QUESTION, []),
        ([{"role": "user", "content": None}], "", "", []),
    ):
        rendered = render_ecgs(vocabulary, [None], [background])[0]
        rendered += render_prompt(vocabulary, "qa" if question else "report", question, history)
        assert vocabulary.tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"] == rendered
