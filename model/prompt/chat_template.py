"""The Jinja chat template of a checkpoint, with which a stock server writes the prompts of `model.prompt.rendering`.

    user       <|ecg_start|><|ecg_7|>...<|ecg_end|>Patient: age 56.\\nIs it atrial fibrillation?
    assistant  yes
    user       Is it fast?

The first message begins with one or two ECGs, each followed by its patient if the prompt has one. As a question,
"Report" asks for a report. System messages are dropped, since no model is trained on them. A conversation without an
ECG gets markers around nothing, as in training without one: llama.cpp renders such a conversation at its start, and an
exception would end it. ECGs in the wrong place or without an end do raise one.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from operator import add

import numpy as np

from cardiolect.data_provider.examples import QA_TASK, REPORT_TASK
from cardiolect.model.prompt.rendering import REPORT, patient_text, prompt_text, render_ecgs, render_prompt, task_of
from cardiolect.model.prompt.vocabulary import ECG_END, ECG_START, Vocabulary, ecg_text

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
{{- bos_token -}}
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
        {%- set turn.text = part[(codes ~ ecg_end) | length:].lstrip() -%}
        {{- ecg_start ~ codes ~ ecg_end -}}
        {%- if turn.text.startswith(patient) and patient_end in turn.text -%}
          {%- set line = turn.text.split(patient_end)[0] ~ patient_end -%}
          {%- set turn.text = turn.text[line | length:] -%}
          {{- joint ~ plain(line) -}}
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
    {{- ' ' ~ plain(content | trim) ~ '\\n' -}}
  {%- endif -%}
{%- endfor -%}
"""


def chat_messages(
    ecgs: Sequence[np.ndarray],
    backgrounds: Sequence[str],
    question: str = REPORT,
    history: Sequence[tuple[str, str]] = (),
) -> list[dict[str, str]]:
    """The messages to send to a server.

    Special tokens in texts are escaped: those that begin with ``<|`` here, others by the template.
    """
    messages = []
    for asked, answered in [*history, (question, "")]:
        messages.append({"role": "user", "content": _plain(asked) or REPORT})
        messages.append({"role": "assistant", "content": _plain(answered)})
    patients = [patient_text(_plain(background)) for background in backgrounds]
    messages[0]["content"] = "".join(map(add, map(ecg_text, ecgs), patients)) + messages[0]["content"]
    return messages[:-1]


def _plain(text: str) -> str:
    return text.replace("<|", "< |").strip()


def set_chat_template(vocabulary: Vocabulary) -> bool:
    """Set the tokenizer's chat template. Returns False, and sets none, if no template is exact for this tokenizer."""
    tokenizer = vocabulary.tokenizer
    for joint in ("", " "):
        tokenizer.chat_template = _filled(joint, vocabulary.escapes)
        if _is_exact(vocabulary):
            return True
    tokenizer.chat_template = None
    return False


def _filled(joint: str, escapes: Mapping[str, str]) -> str:
    """The template, with the words of `model.prompt.rendering` and the vocabulary's escapes filled in."""
    question, answer = prompt_text(QA_TASK, "\0").split("\0")
    patient, patient_end = patient_text("\0").split("\0")
    words = {
        "joint": joint,
        "ecg_start": ECG_START,
        "ecg_end": ECG_END,
        "patient": patient,
        "patient_end": patient_end,
        "report": REPORT,
        "ask_report": prompt_text(REPORT_TASK),
        "question": question,
        "answer": answer,
    }
    pairs = ", ".join(f"({_literal(word)}, {_literal(replacement)})" for word, replacement in escapes.items())
    values = {name: _literal(text) for name, text in words.items()} | {"escapes": f"[{pairs}]"}
    return "".join(f"{{%- set {name} = {value} -%}}\n" for name, value in values.items()) + _TEMPLATE


def _literal(text: str) -> str:
    return "'" + text.encode("unicode_escape").decode().replace("'", "\\'") + "'"


def _is_exact(vocabulary: Vocabulary) -> bool:
    """Whether the template writes the prompts of `model.prompt.rendering`, for conversations of every shape."""
    codes, end = np.arange(min(3, vocabulary.num_codes)), vocabulary.tokenizer.eos_token
    shapes = product(
        ([codes], [codes, codes[::-1]]),
        ("", "age 56, sex female, height 161.5 cm"),
        ("", "Is it atrial fibrillation?", f"Is 1 < 2 {end}?"),
        ([], [("", "Sinus rhythm."), ("Why?", f"no{end}")]),
    )
    for ecgs, background, question, history in shapes:
        backgrounds = [background] * len(ecgs)
        rendered, _ = render_ecgs(vocabulary, ecgs, backgrounds)
        rendered += render_prompt(vocabulary, task_of(question), question, history)
        messages = chat_messages(ecgs, backgrounds, question, history)
        if vocabulary.tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"] != rendered:
            return False
    return True
