"""The Jinja chat template of a checkpoint, with which a stock server writes the prompts of `model.prompt.rendering`.

    user       <|ecg_start|><|ecg_7|>...<|ecg_end|>Patient: age 56.\\nIs it atrial fibrillation?
    assistant  yes
    user       Is it fast?

The first message begins with one or two ECGs, each followed by its patient if the prompt has one. As a question,
"Report" asks for a report. System messages are dropped, since no model is trained on them. A conversation without an
ECG gets markers around nothing, as in training without one: llama.cpp renders such a conversation at its start, and an
exception would end it. ECGs in the wrong place or without an end do raise one.

With PROMPT=chat the template writes conversations about ECGs with the pieces of the language model's own template, and
all others with that template itself.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from operator import add
from typing import Literal

import numpy as np

from cardiolect.data_provider.examples import QA_TASK, REPORT_TASK
from cardiolect.ecg_tokenizer.base import Neighbour
from cardiolect.model.prompt.chat_format import fixed_date, read_chat_format, refusal, render
from cardiolect.model.prompt.rendering import (
    neighbours_text,
    patient_text,
    prompt_text,
    render_ecgs,
    render_prompt,
    system_text,
)
from cardiolect.model.prompt.tasks import REPORT, task_of
from cardiolect.model.prompt.vocabulary import ECG_END, ECG_START, Vocabulary, ecg_text
from cardiolect.utils.errors import UserError

PromptKind = Literal["plain", "chat"]

# `render_ecgs` and `render_prompt` tokenize patient and conversation separately, a server the whole prompt at once.
# `joint` goes before each if a tokenizer (such as SentencePiece's) begins every text with a space, except after special
# tokens. `plain` escapes text as `Vocabulary.text_ids` does.
_TEMPLATE = """\
{%- macro plain(text) -%}
  {%- set escaped = namespace(text=text) -%}
  {%- for word, replacement in escapes -%}
    {%- set escaped.text = escaped.text | replace(word, replacement) -%}
  {%- endfor -%}
  {{- escaped.text -}}
{%- endmacro -%}
{%- set first = messages[0] -%}
{%- if system_before and first.role == 'system' and similar in first.content -%}
  {{- system_before ~ plain(first.content | trim) ~ system_after -}}
{%- else -%}
  {{- opening -}}
{%- endif -%}
{%- set chat = namespace(begun=false) -%}
{%- for message in messages -%}
  {%- set content = message.content or '' -%}
  {%- if content is not string -%}
    {%- set content = content | map(attribute='text') | join -%}
  {%- endif -%}
  {%- if message.role == 'user' -%}
    {%- set turn = namespace(text=content) -%}
    {%- if not chat.begun -%}
      {%- set chat.begun = true -%}
      {%- if ecg_start not in content and ecg_end not in content -%}
        {%- set turn.text = ecg_start ~ ecg_end ~ content -%}
      {%- endif -%}
      {%- set parts = turn.text.split(ecg_start) -%}
      {%- if parts[0] | trim -%}
        {{- raise_exception('the first message must begin with an ECG: ' ~ ecg_start ~ '...' ~ ecg_end) -}}
      {%- endif -%}
      {%- for part in parts[1:] -%}
        {%- if ecg_end not in part -%}
          {{- raise_exception('an ECG must end in ' ~ ecg_end) -}}
        {%- endif -%}
        {%- set codes = part.split(ecg_end)[0] -%}
        {%- set ecg = ecg_start ~ codes ~ ecg_end -%}
        {%- set turn.text = part[(codes ~ ecg_end) | length:].lstrip() -%}
        {%- set about = namespace(text='') -%}
        {%- for begin, end in about_ecg -%}
          {%- if turn.text.startswith(begin) and end in turn.text -%}
            {%- set line = turn.text.split(end)[0] ~ end -%}
            {%- set about.text = about.text ~ line -%}
            {%- set turn.text = turn.text[line | length:] -%}
          {%- endif -%}
        {%- endfor -%}
        {%- if about.text -%}
          {{- plain(about.text) ~ ecg if patient_first else ecg ~ joint ~ plain(about.text) -}}
        {%- else -%}
          {{- ecg -}}
        {%- endif -%}
        {%- if turn.text | trim and not loop.last -%}
          {{- raise_exception('the question must follow the last ECG') -}}
        {%- endif -%}
      {%- endfor -%}
      {{- joint -}}
    {%- elif ecg_start in content -%}
      {{- raise_exception('ECGs must stand in the first message') -}}
    {%- endif -%}
    {%- set asked = plain(turn.text | trim) -%}
    {{- ask_report if asked in ['', report] else question ~ asked ~ answer -}}
  {%- elif message.role == 'assistant' -%}
    {{- lead ~ plain(content | trim) ~ between -}}
  {%- endif -%}
{%- endfor -%}
"""

# `own` is the language model's template, after a line break that Jinja drops.
_CHAT_TEMPLATE = """\
{%- set cardiolect = namespace(ecg=false) -%}
{%- for message in messages -%}
  {%- if message.role == 'user' and '<|ecg_' in message.content | string -%}
    {%- set cardiolect.ecg = true -%}
  {%- endif -%}
{%- endfor -%}
{%- if cardiolect.ecg -%}
"""
_OWN = "{%- else %}\n"
_END = "{% endif %}"


def chat_messages(
    ecgs: Sequence[np.ndarray],
    backgrounds: Sequence[str],
    question: str = REPORT,
    history: Sequence[tuple[str, str]] = (),
    neighbours: Sequence[Sequence[Neighbour]] | None = None,
    in_system: bool = False,
) -> list[dict[str, str]]:
    """The messages to send to a server. neighbours: as of `render_ecgs`; in_system: in a message before the others.

    Special tokens in texts are escaped: those that begin with ``<|`` here, others by the template.
    """
    messages = []
    for asked, answered in [*history, (question, "")]:
        messages.append({"role": "user", "content": _plain(asked) or REPORT})
        messages.append({"role": "assistant", "content": _plain(answered)})
    patients = [patient_text(_plain(background)) for background in backgrounds]
    similar = [_escaped(neighbours_text(each)) for each in neighbours or [()] * len(ecgs)]
    about = patients if in_system else map(add, patients, similar)
    messages[0]["content"] = "".join(map(add, map(ecg_text, ecgs), about)) + messages[0]["content"]
    system = [{"role": "system", "content": system_text(similar)}] if in_system and any(similar) else []
    return system + messages[:-1]


def _plain(text: str) -> str:
    return _escaped(text).strip()


def _escaped(text: str) -> str:
    return text.replace("<|", "< |")


def with_prompt(vocabulary: Vocabulary, prompt: PromptKind, in_system: bool = False) -> Vocabulary:
    """The vocabulary for prompts of this kind. in_system: similar recordings stand in the system message.

    Raises `UserError` if the language model has no chat template, or none that can be followed token by token.
    """
    if prompt == "plain":
        if in_system:
            raise UserError("NEIGHBOUR_PLACE=system needs PROMPT=chat; plain prompts have no system message")
        return replace(vocabulary, chat=None)
    if prompt != "chat":
        raise UserError(f"prompt {prompt!r} is unknown; it must be plain or chat")
    if not vocabulary.own_template:
        raise UserError("PROMPT=chat: the language model has no chat template of its own; use PROMPT=plain")
    chat = read_chat_format(vocabulary.tokenizer, vocabulary.own_template)
    if in_system and chat.system is None:
        raise UserError("NEIGHBOUR_PLACE=system: the chat template writes no system message as it is; use user")
    chatting = replace(vocabulary, chat=chat, in_system=in_system)
    _check_chat(chatting)
    return chatting


def set_chat_template(vocabulary: Vocabulary) -> bool:
    """Set the tokenizer's chat template. Returns False, and sets none, if no template is exact for this tokenizer."""
    tokenizer = vocabulary.tokenizer
    if vocabulary.chat:  # checked by `with_prompt`
        tokenizer.chat_template = chat_template(vocabulary)
        return True
    for joint in ("", " "):
        tokenizer.chat_template = _plain_template(joint, vocabulary.escapes, tokenizer.eos_token)
        if _is_exact(vocabulary):
            return True
    tokenizer.chat_template = None
    return False


def _plain_template(joint: str, escapes: Mapping[str, str], end: str) -> str:
    """The template, with the words of `model.prompt.rendering`, the vocabulary's escapes and the end of an answer."""
    question, answer = prompt_text(QA_TASK, "\0").split("\0")
    words = {
        "joint": joint,
        "system_before": "",
        "system_after": "",
        "patient_first": "",
        "ask_report": prompt_text(REPORT_TASK),
        "question": question,
        "answer": answer,
        "lead": " ",
        "between": f"{end}\n",
    }
    return "{%- set opening = bos_token -%}\n" + _filled(words, escapes)


def chat_template(vocabulary: Vocabulary) -> str:
    """The template with the words of the vocabulary's chat, around the language model's own."""
    chat = vocabulary.chat
    words = {
        "opening": chat.opening,
        "system_before": chat.system[0] if vocabulary.in_system else "",
        "system_after": chat.system[1] if vocabulary.in_system else "",
        "joint": "",
        "patient_first": "yes",
        "ask_report": REPORT + chat.generation,
        "question": "",
        "answer": chat.generation,
        "lead": chat.lead,
        "between": chat.between,
    }
    return _CHAT_TEMPLATE + _filled(words, vocabulary.escapes) + _OWN + vocabulary.own_template + _END


def _filled(words: Mapping[str, str], escapes: Mapping[str, str]) -> str:
    words = {**words, "ecg_start": ECG_START, "ecg_end": ECG_END, "report": REPORT}
    patient = tuple(patient_text("\0").split("\0"))
    words["similar"] = neighbours_text([Neighbour("", 0.0)]).partition("(")[0]
    values = {name: _literal(text) for name, text in words.items()}
    values["escapes"] = _pairs(escapes.items())
    values["about_ecg"] = _pairs([patient, (words["similar"], "\n")])
    return "".join(f"{{%- set {name} = {value} -%}}\n" for name, value in values.items()) + _TEMPLATE


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return f"[{', '.join(f'({_literal(a)}, {_literal(b)})' for a, b in pairs)}]"


def _literal(text: str) -> str:
    """A string of Jinja with as few escapes as possible, since servers have engines of their own."""
    for character, escape in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(character, escape)
    return f"'{text}'"


def _conversations(vocabulary: Vocabulary) -> Iterator[tuple]:
    """ECGs, backgrounds, neighbours, question and history of conversations of every shape."""
    codes, end = np.arange(min(3, vocabulary.num_codes)), vocabulary.tokenizer.eos_token
    similar = (Neighbour("sinus rhythm", 0.5), Neighbour("QTc 1 < 2.", 0.7))
    for ecgs, (background, neighbours), question, history in product(
        ([codes], [codes, codes[::-1]]),
        (("", ()), ("age 56, sex female, height 161.5 cm", ()), ("", similar), ("age 56", similar[:1])),
        ("", "Is it atrial fibrillation?", f"Is 1 < 2 {end}?"),
        ([], [("", "Sinus rhythm."), ("Why?", f"no{end}")]),
    ):
        yield ecgs, [background] * len(ecgs), [neighbours] * len(ecgs), question, history


def _is_exact(vocabulary: Vocabulary) -> bool:
    """Whether the tokenizer's template writes the prompts of `model.prompt.rendering`."""
    for ecgs, backgrounds, neighbours, question, history in _conversations(vocabulary):
        rendered = render_ecgs(vocabulary, ecgs, backgrounds, neighbours)[0]
        rendered += render_prompt(vocabulary, task_of(question), question, history)
        messages = chat_messages(ecgs, backgrounds, question, history, neighbours, vocabulary.in_system)
        if vocabulary.tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"] != rendered:
            return False
    return True


def _check_chat(vocabulary: Vocabulary) -> None:
    """Raise `UserError` unless the chat's pieces give what the language model's own template gives, id by id.

    That is for prompts and, with the checkpoint's template, for chats without an ECG.
    """
    words, own = vocabulary.tokenizer, fixed_date(vocabulary.own_template)
    whole, escaped = fixed_date(chat_template(vocabulary)), vocabulary.escaped
    for ecgs, backgrounds, neighbours, question, history in _conversations(vocabulary):
        similar = [escaped(neighbours_text(each)) for each in neighbours]
        system = system_text(similar) if vocabulary.in_system else ""
        patients = [escaped(patient_text(background)) for background in backgrounds]
        if not system:
            patients = [*map(add, patients, similar)]
        ids = [[vocabulary.start_id, *vocabulary.code_ids(codes), vocabulary.end_id] for codes in ecgs]
        shown = ["".join(words.convert_ids_to_tokens(each)) for each in ids]
        texts = [escaped(text) or REPORT for pair in history for text in pair] + [escaped(question) or REPORT]
        for template, pairs in ((own, zip(patients, shown, strict=True)), (whole, zip(shown, patients, strict=True))):
            contents = ["".join(a + b for a, b in pairs) + texts[0], *texts[1:]]
            rendered = render_ecgs(vocabulary, ecgs, backgrounds, neighbours)[0]
            rendered += render_prompt(vocabulary, task_of(question), question, history)
            if vocabulary.ids(render(words, template, contents, prompt=True, system=system)) != rendered:
                raise refusal("some texts in it are written or tokenized in another way than others")
        for prompt in (True, False):
            without = texts if prompt else [*texts, "yes"]
            if render(words, whole, without, prompt) != render(words, own, without, prompt):
                raise refusal("it does not stay the same beside that of ECGs")
