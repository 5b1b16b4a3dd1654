"""Describes statements, each once: class, findings, sentences about their waveforms, and where these are from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cardiolect.data_provider.texts.describe.extractive import choose, passages_for, places, subject_of
from cardiolect.data_provider.texts.describe.language_model import checked, messages, read_reply, sha256
from cardiolect.data_provider.texts.describe.local_models import LocalModel
from cardiolect.data_provider.texts.describe.passages import Passage, Sentence, Texts
from cardiolect.data_provider.texts.describe.retrieval import Index
from cardiolect.data_provider.texts.describe.statements import Finding, Statement
from cardiolect.data_provider.texts.describe.words import words
from cardiolect.utils.chat_client import ChatEndpoint, MalformedError, answer_all
from cardiolect.utils.kept_answers import KeptAnswers
from cardiolect.utils.progress import progress

Mode = Literal["extractive", "endpoint", "local"]
FORMAT = 1  # of what is kept; another one is described anew
_POSSIBLE = "possible"


@dataclass(frozen=True)
class Options:
    """sentences: at most, for a finding, in the extractive mode. passages: for a finding, that a language model is
    given. threshold: least score of a passage, 0 to 1.
    """

    sentences: int = 4
    passages: int = 3
    threshold: float = 0.5


class Describer:
    """Describes statements from ``texts``; what is found is kept, and never looked for again.

    model: whom a language model mode asks; None for the extractive mode. Descriptions belong to the hash of the
    statement, its findings as the lexicons read them, texts, index, model, prompt and options: if any of these
    changes, they are made anew.
    """

    def __init__(self, texts: Texts, index: Index, options: Options, model: ChatEndpoint | LocalModel | None = None):
        self.texts, self.index, self.options, self.model = texts, index, options, model
        self.mode: Mode = "extractive" if model is None else "local" if isinstance(model, LocalModel) else "endpoint"
        self.model_name = "" if model is None else model.model if isinstance(model, ChatEndpoint) else model.name

    def key(self, statement: Statement) -> str:
        """What the kept description of a statement is found by."""
        read = [
            [f.name, f.written, f.code, f.status, f.places, sorted(f.stated), sorted(f.allowed)]
            for f in statement.findings
        ]
        of = [FORMAT, statement.english, read, self.texts.sha256, self.index.name, self.mode, asdict(self.options)]
        return sha256([*of, self.model_name, self._messages(statement) if self.model else None])

    def describe(
        self, statements: Sequence[Statement], kept: KeptAnswers, threads: int = 4
    ) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Statement -> its description, and statement -> reason of those that got none from the endpoint.

        Nothing is looked up or requested for statements without a finding whose waveform could be described.
        """
        keys = {one.text: self.key(one) for one in statements if self._can_describe(one)}
        asked = {keys[one.text]: one for one in statements if one.text in keys}  # renderings may be equal
        open_ = {key: one for key, one in asked.items() if kept.get(key) is None}
        print(
            f"{len(statements):,} distinct statements, {len(asked):,} descriptions of findings: "
            f"{len(asked) - len(open_):,} are in {kept.path}, {len(open_):,} are made now",
            flush=True,
        )
        failures: Mapping[str, Exception] = {}
        if isinstance(self.model, ChatEndpoint):
            bodies = {
                key: {"model": self.model.model, "temperature": 0, "messages": self._messages(one)}
                for key, one in open_.items()
            }
            failures = answer_all(self.model, bodies, kept, read_reply, threads, "describe")
        else:
            answer = self._answer if self.model else self._extract
            for key, one in progress(open_.items(), "describe", len(open_), unit="statement", leave=False):
                try:
                    kept.add(key, answer(one))
                except MalformedError as error:
                    failures = {**failures, key: error}
        found = {one.text: self._result(one, kept.get(keys.get(one.text, "")) or {}) for one in statements}
        return found, {text: str(failures[key]) for text, key in keys.items() if key in failures}

    def _can_describe(self, statement: Statement) -> bool:
        """Whether there is a finding to describe, and for a language model, a passage to describe it from."""
        found = any(one.described for one in statement.findings)
        return found and (self.model is None or bool(self._passages(statement)))

    def _passages(self, statement: Statement) -> list[Passage]:
        findings = [one for one in statement.findings if one.described]
        return [
            hit.passage for hit in passages_for(findings, self.index, self.options.passages, self.options.threshold)
        ]

    def _messages(self, statement: Statement) -> list[dict[str, str]]:
        return messages(statement, self._passages(statement))

    def _answer(self, statement: Statement) -> dict[str, Any]:
        return read_reply(self.model.answer(self._messages(statement)), self.model.name)

    def _extract(self, statement: Statement) -> dict[str, Any]:
        """Sentences for each finding; a finding without a code is left out if another one's heading names it."""
        found: list[dict[str, str]] = []
        covered: set[str] = set()
        findings = [one for one in statement.findings if one.described]
        for finding in sorted(findings, key=lambda one: not one.code):
            if not finding.code and finding.stated <= covered:
                continue
            chosen = choose(finding, self.index, self.options.sentences, self.options.threshold)
            heading = next((p.heading for p in self.texts.passages if chosen and chosen[0] in p.sentences), "")
            covered |= subject_of(heading)[1]
            name = _closer_name(finding, heading)
            where = places(finding, self.index) if chosen else []
            found += [_row(one, finding, name) for one in [*chosen, *where]]
        known: dict[str, dict[str, str]] = {}
        for row in found:
            known.setdefault(row["text"], row)
        return {"waveforms": list(known.values())}

    def _result(self, statement: Statement, kept: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {
            "statement": statement.text,
            "class": statement.kind,
            "findings": [{"finding": f.name, "code": f.code, "status": f.status} for f in statement.findings],
            "waveforms": kept.get("waveforms", []),
        }
        if statement.english.casefold().strip(" .") != statement.text.casefold().strip(" ."):
            result["english"] = statement.english
        if "reply" in kept:
            given = self._passages(statement)
            rows = checked(kept["reply"], statement, given)
            result["waveforms"] = [{**row, **_whose(row["text"], statement)} for row in rows]
            result |= {
                "reply": kept["reply"],
                "passages": [{"source": one.source, "heading": one.heading} for one in given],
                "model": self.model_name,
                "served": kept["served"],
                "prompt_sha256": sha256(self._messages(statement)),
            }
        result["text"] = text_of(result["waveforms"])
        return result


def text_of(waveforms: Sequence[Mapping[str, Any]]) -> str:
    """Sentences in their order, those of a possible finding after its name; unsupported ones are left out."""
    parts, last = [], None
    for row in waveforms:
        if row.get("unsupported"):
            continue
        finding = (row["finding"], row["status"])
        if finding != last and row["status"] == _POSSIBLE:
            parts.append(f"Possible {row['finding']}:")
        parts.append(row["text"])
        last = finding
    return " ".join(parts)


def _closer_name(finding: Finding, heading: str) -> str:
    """The finding's name, or the heading of its section if that says more: "accelerated junctional rhythm"."""
    codes, named = subject_of(heading)
    if finding.code not in codes or named <= set(words(finding.name)) or not named <= finding.stated:
        return finding.name
    bare = heading.removesuffix(f" ({finding.code})")
    return bare[0].lower() + bare[1:] if bare[1:2].islower() else bare


def _row(sentence: Sentence, finding: Finding, name: str) -> dict[str, str]:
    return {
        "text": sentence.text,
        "source": sentence.source,
        "finding": name,
        "code": finding.code,
        "status": finding.status,
    }


def _whose(text: str, statement: Statement) -> dict[str, str]:
    """The finding that a sentence of a language model is about: the one with the most words in it, of equals the first.

    A sentence that names none is about the first finding, if that is uncertain the sentence is, too.
    """
    named = set(words(text))
    described = [one for one in statement.findings if one.described]
    share: Callable[[Finding], float] = lambda one: len(named & set(words(one.name))) / max(1, len(words(one.name)))  # noqa: E731
    finding = max(described, key=share)
    return {"finding": finding.name, "code": finding.code, "status": finding.status}
