"""How a stock server writes chat messages: a Jinja template equal to `model.prompt.rendering`.

    user       <|ecg_start|><|ecg_7|>...<|ecg_end|>Patient: age 56.\\nIs it atrial fibrillation?
    assistant  yes
    user       Is it fast?

The first message begins with one ECG or two, each followed by whose it is where that may be said; "Report" in a
question's place asks for a report. System messages are left out: no model has learned from one.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from operator import add

import numpy as np

from cardiolect.model.prompt.rendering import REPORT, patient_text, prompt_text, render_ecgs, render_prompt, task_of
from cardiolect.model.prompt.vocabulary import ECG_END, ECG_START, Vocabulary, ecg_text

# `render_ecgs` and `render_prompt` tokenize patient and conversation apart, a server all at once. `joint` stands before
# each where a tokenizer begins every text with a space (SentencePiece's) but not what follows a special token.
# `plain` does what `Vocabulary.text_ids` does to a text.
_TEMPLATE = """\
{%- macro plain(text) -%}
  {%- set broken = namespace(text=text) -%}
  {%- for word, instead in apart -%}
    {%- set broken.text = broken.text | replace(word, instead) -%}
  {%- endfor -%}
  {{- broken.text -}}
{%- endmacro -%}
{{- bos_token -}}
{%- set talk = namespace(begun=false) -%}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}
    {%- set turn = namespace(text=message.content) -%}
    {%- if not talk.begun -%}
      {%- set talk.begun = true -%}
      {%- set parts = message.content.split(ecg_start) -%}
      {%- if parts | length == 1 or parts[0] | trim -%}
        {{- raise_exception('the first message has to begin with an ECG: ' ~ ecg_start ~ '...' ~ ecg_end) -}}
      {%- endif -%}
      {%- for part in parts[1:] -%}
        {%- if ecg_end not in part -%}
          {{- raise_exception('an ECG has to end in ' ~ ecg_end) -}}
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
          {{- raise_exception('the question stands behind the last ECG') -}}
        {%- endif -%}
      {%- endfor -%}
      {{- joint -}}
    {%- endif -%}
    {%- set asked = plain(turn.text | trim) -%}
    {{- ask_report if asked in ['', report] else question ~ asked ~ answer -}}
  {%- elif message.role == 'assistant' -%}
    {{- ' ' ~ plain(message.content | trim) ~ '\\n' -}}
  {%- endif -%}
{%- endfor -%}
"""


def chat_messages(
    ecgs: Sequence[np.ndarray],
    backgrounds: Sequence[str],
    question: str = REPORT,
    history: Sequence[tuple[str, str]] = (),
) -> list[dict[str, str]]:
    """What to send to a server. No text can spell an ECG token; the template breaks up other special ones."""
    messages = []
    for asked, answered in [*history, (question, "")]:
        messages.append({"role": "user", "content": _plain(asked) or REPORT})
        messages.append({"role": "assistant", "content": _plain(answered)})
    who = [patient_text(_plain(background)) for background in backgrounds]
    messages[0]["content"] = "".join(map(add, map(ecg_text, ecgs), who)) + messages[0]["content"]
    return messages[:-1]


def _plain(text: str) -> str:
    return text.replace("<|", "< |").strip()


def set_chat_template(vocabulary: Vocabulary) -> bool:
    """Give the tokenizer its template; False, and none, where it cannot be exact for this tokenizer."""
    tokenizer = vocabulary.tokenizer
    for joint in ("", " "):
        tokenizer.chat_template = _filled(joint, vocabulary.apart)
        if _is_exact(vocabulary):
            return True
    tokenizer.chat_template = None
    return False


def _filled(joint: str, apart: Mapping[str, str]) -> str:
    """The template with the words of `model.prompt.rendering` and what no text may hold."""
    question, answer = prompt_text("qa", "\0").split("\0")
    patient, patient_end = patient_text("\0").split("\0")
    words = {
        "joint": joint,
        "ecg_start": ECG_START,
        "ecg_end": ECG_END,
        "patient": patient,
        "patient_end": patient_end,
        "report": REPORT,
        "ask_report": prompt_text("report"),
        "question": question,
        "answer": answer,
    }
    pairs = ", ".join(f"({_literal(word)}, {_literal(instead)})" for word, instead in apart.items())
    values = {name: _literal(text) for name, text in words.items()} | {"apart": f"[{pairs}]"}
    return "".join(f"{{%- set {name} = {value} -%}}\n" for name, value in values.items()) + _TEMPLATE


def _literal(text: str) -> str:
    return "'" + text.encode("unicode_escape").decode().replace("'", "\\'") + "'"


def _is_exact(vocabulary: Vocabulary) -> bool:
    """Whether a server writes the prompts that `model.prompt.rendering` does, on conversations of every shape."""
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
