"""What a request to the server may hold. Everything else is refused: transformers ignores it, or fails on it."""

import re
from collections.abc import Mapping
from typing import Any

CHAT = "/v1/chat/completions"
USED = {
    *("model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop"),
    *("stream", "stream_options", "logit_bias", "logprobs", "top_logprobs"),
    *("user", "metadata"),  # change no answer
}
IGNORED = {  # what changes nothing with this value, which clients may send
    "n": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "response_format": {"type": "text"},
    "tools": [],
    "tool_choice": "none",
    "parallel_tool_calls": True,
    "store": False,
    "service_tier": "auto",
}
RANGES = {"temperature": (0, 2), "top_p": (0, 1)}
COUNTS = {"max_tokens": 1, "max_completion_tokens": 1, "seed": 0}  # with their least values
MOST_SEED, MOST_STOPS, MOST_TOP = 2**63 - 1, 4, 20
ROLES = ("system", "developer", "user", "assistant")
ECG_TOKEN = re.compile(r"<\|ecg_\w*\|>")
_ECG = re.compile(r"<\|ecg_start\|>(?:\s*<\|ecg_(?!start|end)\w*\|>)*\s*<\|ecg_end\|>")
_MOST_ECGS = 2


def texts_of(path: str, body: dict[str, Any]) -> list[str]:
    """The texts of a request. Raises ValueError, in a line for its sender, unless all of it can be answered."""
    unknown = [key for key, value in body.items() if key not in USED and value not in (None, IGNORED.get(key))]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: not supported by this server; leave it out")
    for key in IGNORED:
        body.pop(key, None)
    _check_numbers(body)
    _check_words(body)
    if path != CHAT:
        texts = [body.get("prompt")]
        if not isinstance(texts[0], str):
            raise ValueError("prompt must be a text")
    else:
        messages = _messages(body)
        texts = [text for _, parts in messages for text in parts]
        _check_ecgs(messages)
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise ValueError("a text is not valid Unicode: it holds half of a pair of surrogates") from None
    return texts


def alternatives_of(path: str, body: dict[str, Any], possible: bool) -> int | None:
    """How many alternatives of each token a request asks for; None if it asks for no probabilities.

    Takes the keys out of the body. Raises ValueError if they cannot be had, as all unless ``possible``.
    """
    wanted, count = body.pop("logprobs", None) or False, body.pop("top_logprobs", None) or 0
    if not wanted and not count:
        return None
    if wanted is not True or isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_TOP:
        raise ValueError(f"top_logprobs must be from 0 to {MOST_TOP}, and takes logprobs: true")
    if not possible or path != CHAT or body.get("stream"):
        raise ValueError(f"logprobs: only in {CHAT} and without stream; leave it out")
    return count


def _messages(body: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Role and texts of each message."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise ValueError('messages must be a list with at least one {"role": ..., "content": ...}')
    found = []
    for each in messages:
        if each.get("role") not in ROLES:
            raise ValueError(f"the role {each.get('role')!r} is not one of {', '.join(ROLES)}")
        parts = each.get("content")
        parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
        if not isinstance(parts, list) or not parts:
            raise ValueError(f"the content of a message of the {each['role']} must be a text")
        for part in parts:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise ValueError("content: this server reads text only")
        found.append((each["role"], [part["text"] for part in parts]))
    if all(role != "user" for role, _ in found):
        raise ValueError("messages must have one of the user")
    return found


def _check_ecgs(messages: list[tuple[str, list[str]]]) -> None:
    """One ECG or two, whole, in the first message of the user."""
    first = next(k for k, (role, _) in enumerate(messages) if role == "user")
    for k, (_, parts) in enumerate(messages):
        text = "".join(parts)
        ecgs = _ECG.findall(text)
        if ECG_TOKEN.search(_ECG.sub("", text)):
            raise ValueError(
                "an ECG must be whole: <|ecg_start|>, its tokens without other text between them, <|ecg_end|>"
            )
        if ecgs and k != first:
            raise ValueError("an ECG must be in the first message of the user")
        if len(ecgs) > _MOST_ECGS:
            raise ValueError(f"{len(ecgs)} ECGs: a question is about one, or about two to compare")


def _check_numbers(body: Mapping[str, Any]) -> None:
    for key, least in COUNTS.items():
        value = body.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ValueError(f"{key} must be a whole number of at least {least}")
    if (body.get("seed") or 0) > MOST_SEED:
        raise ValueError(f"seed must be at most {MOST_SEED}")
    for key, (low, high) in RANGES.items():
        value = body.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and low <= value <= high):
            raise ValueError(f"{key} must be a number from {low} to {high}")


def _check_words(body: dict[str, Any]) -> None:
    """``stop`` and ``logit_bias``; the latter as transformers takes it."""
    stop = body.get("stop")
    words = [stop] if isinstance(stop, str) else stop
    if words is not None and not (
        isinstance(words, list) and len(words) <= MOST_STOPS and all(isinstance(word, str) and word for word in words)
    ):
        raise ValueError(f"stop must be a text, or a list of at most {MOST_STOPS}")
    bias = body.pop("logit_bias", None)
    if bias is None or bias == {}:
        return
    if not isinstance(bias, dict) or not all(
        token.isdecimal() and isinstance(value, int | float) and -100 <= value <= 100 for token, value in bias.items()
    ):
        raise ValueError('logit_bias must be {"number of a token": from -100 to 100, ...}')
    body["logit_bias"] = {token: float(value) for token, value in bias.items()}
