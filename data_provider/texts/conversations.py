"""Conversations about ECGs: ECG-Chat's ``pretrain_mimic`` and ``ecg_instruct_45k``, PULSE's ECGInstruct and ECGBench.

One item is ``{"id", "ecg" or "image", "conversations": [...]}`` with turns ``{"from": "human", "value"}``,
``{"role": "user", "content"}`` or ``{"question", "answer"}``. ECG-Chat names the recording by its path; PULSE by a
picture of it, ``ptb-xl/00001_hr-0.png`` or ``mimic_v4/p1000/p10000032/s40689238/40689238-0.png``.
"""

import re
from pathlib import PurePosixPath

from cardiolect.data_provider.texts.record_finder import MAX_ECGS, posix_path
from cardiolect.utils.errors import UserError

TURNS = ("conversations", "conversation")
_SPEAKERS = {"human": "human", "user": "human", "gpt": "model", "assistant": "model", "system": "system"}
_PICTURE = re.compile(r"(?P<record>.+?)(?:-\d+)?\.(?:png|jpe?g)", re.IGNORECASE)  # -0 is the page
_PTBXL = re.compile(r"0*(?P<ecg_id>\d+)_[hl]r")
_MARK = re.compile(r"\s*<(?:image|ecg|signal)>\s*", re.IGNORECASE)
_WORD = re.compile(r"(?<!mirror )\bimage(?P<plural>s?)\b", re.IGNORECASE)


def is_conversation(item: dict) -> bool:
    return any(key in item for key in TURNS)


def recordings(item: dict) -> list[tuple[str, str]]:
    """``(record id, path)`` of each ECG that an item is about; for a picture in a flat folder, only the file name."""
    names = item.get("ecg") or item.get("image")
    names = names if isinstance(names, list) else [names]
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise UserError("has neither ecg nor image, so its recording is unknown")
    if len(names) > MAX_ECGS:
        raise UserError(f"names {len(names)} recordings; a conversation can be about at most {MAX_ECGS}")
    return [_recording(name) for name in names]


def _recording(name: str) -> tuple[str, str]:
    path = PurePosixPath(posix_path(name))
    picture = _PICTURE.fullmatch(path.name)
    stem = picture["record"] if picture else path.name
    ptbxl = _PTBXL.fullmatch(stem)
    record_id = ptbxl["ecg_id"] if ptbxl else stem
    flat = picture and len(path.parts) < 3  # such a folder says nothing about the recording's own folder
    return record_id, stem if flat else (path.parent / stem).as_posix()


def exchanges(item: dict) -> list[tuple[str, str]]:
    """``(question, answer)`` in order; picture placeholders are removed, and the word image becomes signal."""
    turns = next(item[key] for key in TURNS if key in item)
    if not isinstance(turns, list) or not turns:
        raise UserError("its conversation is not a list of turns")
    messages: list[tuple[str, str]] = []
    for turn in turns:
        if isinstance(turn, dict) and {"question", "answer"} <= turn.keys():
            messages += [("human", turn["question"]), ("model", turn["answer"])]
            continue
        speaker = _SPEAKERS.get(str(turn.get("from", turn.get("role"))).lower()) if isinstance(turn, dict) else None
        if speaker is None:
            raise UserError("a turn of its conversation has an unknown speaker; use human and gpt")
        if speaker != "system":
            messages.append((speaker, turn.get("value", turn.get("content"))))
    speakers = [speaker for speaker, _ in messages]
    if len(messages) % 2 or speakers != ["human", "model"] * (len(messages) // 2):
        raise UserError("its conversation does not alternate between question and answer")
    texts = [_clean(text) for _, text in messages]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _clean(text: object) -> str:
    if not isinstance(text, str):
        raise UserError("a turn of its conversation is not text")
    text = _MARK.sub(" ", text).strip()
    if not text:
        raise UserError("a turn of its conversation is empty")
    return _WORD.sub(lambda match: _match_case(match[0], "signal" + match["plural"].lower()), text)


def _match_case(original: str, word: str) -> str:
    """``word``, capitalised like ``original``."""
    return word.upper() if original.isupper() else word.capitalize() if original[0].isupper() else word
