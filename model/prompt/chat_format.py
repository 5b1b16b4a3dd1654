"""The pieces of which a language model's own chat template makes a conversation.

    opening ECG question1 generation lead answer1 between question2 generation ...

They are found by rendering conversations of unique words. The date in an opening (Llama 3 writes today's) is fixed,
since a prompt must not change after training.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from cardiolect.utils.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TODAY = date(2024, 7, 26)  # in every prompt; the date that Llama 3.2's template falls back to
_NOW = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
_TAG = re.compile(r"</?\w+>")
_WORDS = tuple(f"q{k}cardiolectz" for k in range(5))  # no template changes them: no spaces, no punctuation


@dataclass(frozen=True)
class ChatFormat:
    """Texts; all but ``end`` may contain special tokens.

    opening: before the first user's message. generation: after a question, up to the answer. lead: spaces or newlines
    with which an answer begins. end: ends an answer, and is a special token, possibly after spaces. between: after an
    answer, up to the next question; begins with ``end``. tags: words in angle brackets that the template may act on
    ("</think>"). system: what surrounds a system message before the first user's, in place of ``opening``; None if the
    template writes none.
    """

    opening: str
    generation: str
    lead: str
    end: str
    between: str
    tags: tuple[str, ...]
    system: tuple[str, str] | None = None

    @property
    def end_token(self) -> str:
        return self.end.lstrip()


def read_chat_format(tokenizer: "PreTrainedTokenizerBase", template: str) -> ChatFormat:
    """The pieces of a chat template. Raises `UserError` if it does not make conversations of such pieces."""
    template = fixed_date(template)

    def pieces(messages: int, prompt: bool) -> list[str]:
        return _split(render(tokenizer, template, _WORDS[:messages], prompt), _WORDS[:messages])

    opening, generation = pieces(1, prompt=True)
    begin, middle, between, middle_later, between_later, last = pieces(5, prompt=True)
    end = _end(tokenizer, between)
    if (begin, middle_later, between_later, last) != (opening, middle, between, generation):
        raise refusal("it writes a conversation's later messages in another way than its first")
    lead = middle.removeprefix(generation)
    if not middle.startswith(generation) or lead.strip():
        raise refusal("it writes earlier answers in another way than the one to come (as if they had been thought out)")
    if end is None or not pieces(4, prompt=False)[-1].startswith(end):
        raise refusal("it ends answers without a special token")
    tags = tuple(sorted(set(_TAG.findall(template))))
    return ChatFormat(opening, generation, lead, end, between, tags, _system(tokenizer, template, generation))


def _system(tokenizer: "PreTrainedTokenizerBase", template: str, generation: str) -> tuple[str, str] | None:
    """`ChatFormat.system`; None if the template refuses such a message or writes what follows it differently."""
    system, asked = _WORDS[:2]
    try:
        before, after, last = _split(render(tokenizer, template, [asked], True, system), [system, asked])
    except UserError:
        return None
    return (before, after) if last == generation else None


def fixed_date(template: str) -> str:
    """The template with `TODAY` in place of the current date. Raises `UserError` if it computes with times."""
    template = _NOW.sub(lambda call: repr(TODAY.strftime(call[2])), template)
    if "strftime_now(" in template:
        raise refusal("its prompts contain the current time")
    return template


def render(
    tokenizer: "PreTrainedTokenizerBase", template: str, contents: Sequence[str], prompt: bool, system: str = ""
) -> str:
    """The text of a conversation; contents: of user and assistant in turn. prompt: with the beginning of an answer.

    system: the message before them, if there is one.
    """
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": ("user", "assistant")[k % 2], "content": content} for k, content in enumerate(contents)]
    try:
        return tokenizer.apply_chat_template(
            messages, chat_template=template, add_generation_prompt=prompt, tokenize=False
        )
    except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise refusal(f"it fails: {' '.join(str(error).split())[:200]}") from None


def refusal(reason: str) -> UserError:
    return UserError(f"PROMPT=chat: the language model's chat template cannot be used, {reason}; use PROMPT=plain")


def _split(text: str, words: Sequence[str]) -> list[str]:
    parts = re.split("|".join(words), text)
    if re.findall("|".join(words), text) != list(words):
        raise refusal("it does not write every message once and in order")
    return parts


def _end(tokenizer: "PreTrainedTokenizerBase", between: str) -> str | None:
    """What ``between`` begins with: a special token, possibly after spaces; None if there is none."""
    spaces = between[: len(between) - len(between.lstrip())]
    tokens = {str(token) for token in tokenizer.added_tokens_decoder.values()} | set(tokenizer.all_special_tokens)
    found = [token for token in tokens if token.strip() and between.startswith(spaces + token)]
    return spaces + max(found, key=len) if found else None
