"""PROMPT=chat: prompts follow the language model's own chat template, token by token."""

from datetime import datetime
from itertools import product

import numpy as np
import pytest
from jinja2 import TemplateError
from tokenizers import AddedToken
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.ecg_tokenizer.base import Neighbour
from cardiolect.model.prompt.chat_template import chat_messages, set_chat_template, with_prompt
from cardiolect.model.prompt.rendering import answer_text, make_prompt, render_answer, render_ecgs, render_prompt
from cardiolect.model.prompt.vocabulary import ECG_START, PLACEHOLDER, Vocabulary, ecg_text
from cardiolect.model.training.rows import FinetuneDataset
from cardiolect.utils.errors import UserError
from tests.helpers.chat_templates import CHATML, FAMILIES, LLAMA_3, ZEPHYR, family, tokenizer_with
from tests.helpers.ecgs import CodesInMemory

CODES = [np.arange(5), np.array([6, 0])]
QUESTIONS = ["", "Is it atrial fibrillation?", "(a) 'it', or\n\n(b) 1 < 2?", "  été? ", "Is </s> a <think>\n</think>?"]
ANSWERS = ["yes", "Sinus rhythm.\nNormal ECG", "1.5 mV", "<think>no</think>a<|im_end|>"]
HISTORIES = [[], [("", "Sinus rhythm.")], [("Why?", "1."), (" <|ecg_3|>? ", "</think>no<end_of_turn>")]]


def chatting(name: str) -> Vocabulary:
    return with_prompt(Vocabulary.extend(family(name), 7), "chat")


def rendered(vocabulary: Vocabulary, ecgs, backgrounds, question, history) -> list[int]:
    ids = render_ecgs(vocabulary, ecgs, backgrounds)[0]
    return ids + render_prompt(vocabulary, "qa" if question else "report", question, history)


@pytest.fixture(params=FAMILIES)
def name(request) -> str:
    return request.param


def test_the_saved_template_writes_the_prompts_of_training(tmp_path, name):
    vocabulary = chatting(name)
    assert set_chat_template(vocabulary)
    vocabulary.tokenizer.save_pretrained(tmp_path)
    saved = AutoTokenizer.from_pretrained(tmp_path)
    shapes = product((1, 2), ("", "age 56, height 161.5 cm", "a<s>b</s>"), QUESTIONS, HISTORIES)
    for count, background, question, history in shapes:
        ecgs, backgrounds = CODES[:count], [background] * count
        system = [{"role": "system", "content": "Be brief."}]  # no model is trained on one
        messages = [*system, *chat_messages(ecgs, backgrounds, question, history)]
        served = saved.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert served == rendered(vocabulary, ecgs, backgrounds, question, history)


@pytest.mark.parametrize("count", [1, 2])
def test_similar_recordings_stand_with_the_patient_or_in_a_system_message(tmp_path, name, count):
    similar = [(Neighbour("sinus rhythm, LVH", 0.4), Neighbour("1 < 2 <|ecg_3|>", 0.5)), (Neighbour("AF", 0.1),)][
        :count
    ]
    ecgs, backgrounds = CODES[:count], ["age 56"] * count
    for in_system in (False, True):
        vocabulary = Vocabulary.extend(family(name), 7)
        if in_system and with_prompt(vocabulary, "chat").chat.system is None:
            with pytest.raises(UserError, match="NEIGHBOUR_PLACE=system: the chat template writes no system message"):
                with_prompt(vocabulary, "chat", in_system)
            continue
        vocabulary = with_prompt(vocabulary, "chat", in_system)
        set_chat_template(vocabulary)
        vocabulary.tokenizer.save_pretrained(tmp_path)
        ids = render_ecgs(vocabulary, ecgs, backgrounds, similar)[0] + render_prompt(vocabulary, "qa", "Is it so?")
        messages = chat_messages(ecgs, backgrounds, "Is it so?", [], similar, in_system)
        assert (messages[0]["role"] == "system") == in_system
        served = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(messages, add_generation_prompt=True)
        assert served["input_ids"] == ids
        text = vocabulary.tokenizer.decode(ids)
        before = text.partition(ECG_START)[0]
        assert "Similar ECGs: (1) sinus rhythm, LVH (2) 1 < 2 < |ecg_3|>" in before
        assert (before.index("Similar") < before.index("Patient: age 56")) == in_system
        assert [f"ECG {number}: Similar ECGs: (1)" in before for number in (1, 2)] == [in_system and count == 2] * 2
        if in_system and count == 2:  # also if only the second has similar ones
            (second, *_) = chat_messages(ecgs, backgrounds, "Is it so?", [], [(), similar[1]], in_system)
            assert second["content"] == "ECG 2: Similar ECGs: (1) AF"


def test_prompts_and_answers_are_those_of_the_models_own_template(name, monkeypatch):
    vocabulary, words = chatting(name), family(name)
    new = vocabulary.tokenizer.convert_ids_to_tokens(list(vocabulary.new_ids))
    words.add_tokens([AddedToken(token, special=True, normalized=False) for token in new])
    at(monkeypatch, datetime(2024, 7, 26))

    def own(*contents: str) -> list[int]:
        turns = [{"role": ("user", "assistant")[k % 2], "content": text} for k, text in enumerate(contents)]
        return words.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]

    ecg = f"Patient: age 56.\n{ecg_text(CODES[0])}Patient: age 57.\n{ecg_text(CODES[1])}"
    ids = rendered(vocabulary, CODES, ["age 56", "age 57"], "Is it so?", [("", "Sinus rhythm."), ("Why?", "1.5 mV")])
    assert ids == own(ecg + "Report", "Sinus rhythm.", "Why?", "1.5 mV", "Is it so?")
    if name == "Llama 3, split as GPT-2":  # the two line ends of a prompt are one token, those before an answer two
        return
    ids = rendered(vocabulary, CODES[:1], [""], "Is it so?", []) + render_answer(vocabulary, ["no"])
    assert ids == own(ecg_text(CODES[0]) + "Is it so?", "no", "Why?")[: len(ids)]


def test_a_chat_without_an_ecg_has_the_ids_that_it_had_before(name, tmp_path):
    base, vocabulary = family(name), chatting(name)
    set_chat_template(vocabulary)
    vocabulary.tokenizer.save_pretrained(tmp_path)
    saved = AutoTokenizer.from_pretrained(tmp_path)
    chat = [{"role": "user", "content": " What is an ECG?\n"}, {"role": "assistant", "content": "<think>a</think>So"}]
    again = [*chat, {"role": "user", "content": "Why </s>?"}]
    for messages, options in product(([*chat[:1]], chat, again), ({}, {"enable_thinking": False})):
        for prompt in (True, False):
            ids = [
                words.apply_chat_template(messages, add_generation_prompt=prompt, **options)["input_ids"]
                for words in (base, saved)
            ]
            assert ids[0] == ids[1]
    if name not in ("Gemma", "Mistral", "Mistral, control tokens"):  # they refuse system messages, as before
        system = [{"role": "system", "content": "Be brief."}, *chat[:1]]
        assert saved.apply_chat_template(system)["input_ids"] == base.apply_chat_template(system)["input_ids"]


def test_an_answer_ends_with_the_message_and_nothing_else_can_end_one(name):
    vocabulary = chatting(name)
    for answer in ANSWERS:
        ids = render_answer(vocabulary, [answer])
        assert ids[-1] == vocabulary.stop_ids[0] and not set(ids[:-1]) & set(vocabulary.stop_ids)
        assert not set(ids) & set(vocabulary.new_ids)
        text = vocabulary.tokenizer.decode(ids, skip_special_tokens=True).strip()
        assert text == vocabulary.escaped(answer)
    assert vocabulary.tokenizer.eos_token_id in vocabulary.stop_ids


def test_questions_packed_after_one_ecg_have_the_prompts_of_evaluation(name):
    vocabulary, ref = chatting(name), RecordRef("1", "1", "7")
    ecgs = CodesInMemory({ref: CODES[0]})
    examples = [
        Example("a", (ref,), "qa", "Is it so?", ("yes",), background="age 56"),
        Example("b", (ref,), "report", "", ("Sinus rhythm.", "Normal"), background="age 56"),
        Example("c", (ref,), "instruct", "Why?", ("1.5 mV",), background="age 56", history=(("", "Fast."),)),
    ]
    row = FinetuneDataset(vocabulary, examples, ecgs, questions_per_ecg=3, ecg_loss_weight=0.5)[0]
    segments = np.array(row.segments)
    turns = [np.array(row.ids)[segments == k].tolist() for k in (1, 2, 3)]
    weighted = [np.array(row.weights)[segments == k] > 0 for k in (1, 2, 3)]
    expected = {}
    for e in examples:
        prompt = make_prompt(vocabulary, [ecgs.ecg(ref)], e.backgrounds, e.task, e.question, e.history)
        assert row.ids[: segments.tolist().count(0)] == list(prompt.prefix)
        expected[*prompt.question, *render_answer(vocabulary, e.answers)] = "".join(
            [*(answered for _, answered in e.history), answer_text(e.answers)]
        )
    supervised = {}
    for turn, mask in zip(turns, weighted, strict=True):
        ids = np.array(turn)[mask]
        assert (ids == vocabulary.stop_ids[0]).sum() == 1 + ("Why?" in vocabulary.tokenizer.decode(turn))
        supervised[tuple(turn)] = vocabulary.tokenizer.decode(ids, skip_special_tokens=True)
    without_spaces = {ids: "".join(text.split()) for ids, text in supervised.items()}
    assert without_spaces == {ids: "".join(text.split()) for ids, text in expected.items()}
    ecg = [w for token, w in zip(row.ids, row.weights, strict=True) if token in vocabulary.new_ids]
    assert ecg == [0, *[0.5] * 6]  # codes and end; neither the start nor the template around it


def at(monkeypatch, moment: datetime) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)


@pytest.mark.parametrize("dated", ["Llama 3", "Llama 3, split as GPT-2", "SmolLM3"])
def test_a_prompt_about_an_ecg_does_not_change_with_the_date_and_a_chat_does(monkeypatch, dated):
    prompts, chats = set(), set()
    for day in (1, 2):
        at(monkeypatch, datetime(2031, 5, day))
        vocabulary = chatting(dated)
        set_chat_template(vocabulary)
        words = vocabulary.tokenizer
        prompts.add(words.apply_chat_template(chat_messages(CODES[:1], [""], "Is it so?"), tokenize=False))
        chats.add(words.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False))
    assert len(prompts) == 1 and len(chats) == 2 and "2031" not in prompts.pop()


def test_embedded_ecgs_are_written_the_same_way():
    vocabulary = with_prompt(Vocabulary.extend(family("ChatML"), 1, placeholder=True), "chat")
    text = vocabulary.tokenizer.decode(rendered(vocabulary, [[0, 0]], ["age 56"], "Is it so?", []))
    assert f"user\nPatient: age 56.\n{ECG_START}{PLACEHOLDER * 2}<|ecg_end|>Is it so?<|im_end|>" in text


def test_a_message_with_a_misplaced_ecg_is_not_taken_for_one_without():
    vocabulary = chatting("ChatML")
    set_chat_template(vocabulary)
    words, ecg = vocabulary.tokenizer, ecg_text(CODES[0])
    for content in (f"Look: {ecg}", "<|ecg_1|><|ecg_2|><|ecg_end|>", f"{ecg} and {ecg}"):
        with pytest.raises(TemplateError, match="ECG"):
            words.apply_chat_template([{"role": "user", "content": content}])
    later = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": ecg},
    ]
    with pytest.raises(TemplateError, match="first message"):
        words.apply_chat_template(later)
    parts = [{"role": "user", "content": [{"type": "text", "text": ecg}, {"type": "text", "text": "Is it so?"}]}]
    assert words.apply_chat_template(parts)["input_ids"] == rendered(vocabulary, CODES[:1], [""], "Is it so?", [])


def test_plain_prompts_do_not_depend_on_a_chat_template():
    words = {template: Vocabulary.extend(tokenizer_with(template), 7) for template in (CHATML, None)}
    ids = [rendered(with_prompt(v, "plain"), CODES, ["age 56", ""], "Is it so?", []) for v in words.values()]
    assert ids[0] == ids[1] and words[CHATML].own_template == CHATML and words[None].own_template == ""


SPECIAL = ("<|im_start|>", "<|im_end|>")
REFUSED = {
    "none": (None, "no chat template of its own"),
    "fails": ("{{ raise_exception('use the other\n one') }}", "it fails: use the other one"),
    "unreadable": ("{% for %}", "it fails"),
    "no end": (
        "{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}### assistant:\n{% endif %}",
        "without a special token",
    ),
    "end missing in whole conversations": (
        CHATML.replace("+ '<|im_end|>\n'", "+ ('' if loop.last and message.role == 'assistant' else '<|im_end|>\n')"),
        "without a special token",
    ),
    "only the last message": ("{{ messages[-1].content }}<|im_end|>", "every message once"),
    "messages twice": (CHATML + CHATML, "every message once"),
    "numbered turns": (CHATML.replace("+ '\n' + message", "+ loop.index | string + '\n' + message"), "another way"),
    "a thought begun for the model": (CHATML.replace("assistant\n'", "assistant\n<think>\n'"), "thought out"),
    "channels": (
        CHATML.replace("['role'] + '\n'", "['role'] + '|final|'").replace("assistant\n'", "assistant'"),
        "thought out",
    ),
    "the current minute": (CHATML.replace("Be a", "' + strftime_now(format or '%M') + '"), "the current time"),
    "shouted": (CHATML.replace("message['content']", "message['content'] | replace('?', '!')"), "some texts"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_template_that_cannot_be_followed_is_refused_in_one_line(reason):
    template, message = REFUSED[reason]
    with pytest.raises(UserError, match=f"PROMPT=chat.*{message}.*use PROMPT=plain") as error:
        with_prompt(Vocabulary.extend(tokenizer_with(template, special=SPECIAL), 7), "chat")
    assert "\n" not in str(error.value)


def test_one_of_several_templates_of_a_model_is_the_default():
    words = tokenizer_with(None, special=SPECIAL)
    words.chat_template = {"tool_use": LLAMA_3, "default": CHATML}
    assert with_prompt(Vocabulary.extend(words, 7), "chat").own_template == CHATML
    words = tokenizer_with(None, special=SPECIAL)
    words.chat_template = {"tool_use": ZEPHYR}
    with pytest.raises(UserError, match="no chat template of its own"):
        with_prompt(Vocabulary.extend(words, 7), "chat")
