"""Export a conversation: Markdown to read, JSON to process."""

import json
import tempfile
from pathlib import Path

from cardiolect.model.demo.session import BY_MODEL, REFUSED, Session

DISCLAIMER = "Not for clinical diagnosis"


def write_export(session: Session, model: str, fingerprint: str, temporary: Path) -> list[str]:
    """Write ``conversation.md`` and ``conversation.json`` to a new folder in ``temporary``; return their paths.

    They hold the conversation, what was measured, what is similar, the age and sex entered, and the generation options;
    neither the signal nor a name. model: a line that says which model answered.
    """
    folder = Path(tempfile.mkdtemp(dir=temporary))
    document = as_json(session, model, fingerprint)
    (folder / "conversation.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (folder / "conversation.md").write_text(as_markdown(session, model), "utf-8")
    return [str(folder / "conversation.md"), str(folder / "conversation.json")]


def as_json(session: Session, model: str, fingerprint: str) -> dict:
    """The content of ``conversation.json``."""
    return {
        "disclaimer": DISCLAIMER,
        "model": model,
        "checkpoint": fingerprint,
        "ecg": session.about,
        "measured": session.measured,
        "similar": list(session.similar),
        "conversation": [
            {
                "question": turn.question,
                "asked": turn.sent,
                "answer": turn.answer,
                "shown": turn.shown,
                "after": [list(pair) for pair in turn.history],
                "ended": turn.ended,
                "patient": turn.patient,
                "max_new_tokens": turn.max_new_tokens,
                "temperature": turn.temperature,
                "seed": turn.seed,
            }
            for turn in session.turns
        ],
    }


def as_markdown(session: Session, model: str) -> str:
    """The content of ``conversation.md``."""
    lines = [
        "# Conversation about an ECG",
        "",
        f"**{DISCLAIMER}.**",
        "",
        f"- {_escaped(model)}",
        f"- ECG: {_escaped(session.about)}",
        f"- measured on the signal, not by the model: {session.measured}",
        *(f"- {_escaped(line)}" for line in session.similar),
    ]
    for turn in session.turns:
        sampling = f", temperature {turn.temperature:g}, seed {turn.seed}" if turn.temperature else ""
        lines += ["", f"## {_one_line(turn.question)}", "", _block_quote(turn.shown), ""]
        understood = "" if turn.sent == turn.question else f"understood as: {_one_line(turn.sent)}; "
        ended = "" if turn.ended in (BY_MODEL, REFUSED) else f"; cut off: {turn.ended}"
        patient = turn.patient or "age and sex not stated"
        lines.append(f"*{understood}{patient}; at most {turn.max_new_tokens} tokens{sampling}{ended}*")
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return _escaped(" ".join(text.split()))


def _block_quote(text: str) -> str:
    """A line break of the text ends a line in Markdown, too."""
    return "  \n".join(f"> {_escaped(line)}" for line in text.splitlines() or [""])


def _escaped(text: str) -> str:
    """Without HTML; other characters mean themselves where this stands."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
