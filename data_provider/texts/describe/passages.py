"""Passages of a folder of texts: sections of Markdown, paragraphs of plain text, each sentence with file and line."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cardiolect.data_provider.texts.describe.words import words
from cardiolect.utils.errors import UserError

TEXTBOOK = Path(__file__).parent / "textbook"
SUFFIXES = (".md", ".txt")
MOST_WORDS = 150  # of a passage; a longer section becomes several
_STOP = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|vs|cf|approx|Fig|Dr|no|al|ca)\.|\b[A-Z]\.)$")
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")
_LEFT_OUT = re.compile(r"\s*(?:\||<!--|```|---+\s*$|===+\s*$)")  # tables, comments, fences, rules


@dataclass(frozen=True)
class Sentence:
    """A sentence and where it begins: the file, relative to the folder, and its line, from 1."""

    text: str
    file: str
    line: int

    @property
    def source(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Passage:
    """Sentences under one heading; "" if they have none."""

    heading: str
    sentences: tuple[Sentence, ...]

    @property
    def source(self) -> str:
        return self.sentences[0].source

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)


@dataclass(frozen=True)
class Texts:
    """All passages of a folder. sha256: of its files, names and contents."""

    folder: Path
    passages: tuple[Passage, ...]
    sha256: str


def load_texts(folder: Path) -> Texts:
    """The passages of all Markdown and plain text files below a folder.

    Raises `UserError` if it is not a folder, has no such file or no sentence, or if a file is not UTF-8.
    """
    if not folder.is_dir():
        raise UserError(f"--texts {folder}: not a folder; give one with .md or .txt files")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise UserError(f"--texts {folder}: no .md or .txt file in it")
    passages, digest = [], hashlib.sha256()
    for path in files:
        name = path.relative_to(folder).as_posix()
        try:
            content = path.read_bytes()
            text = content.decode("utf-8-sig")
        except OSError as error:
            raise UserError(f"--texts {path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UserError(f"--texts {path}: save it as UTF-8 ({error.reason} at byte {error.start})") from None
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
        passages += _passages(text, name, path.suffix.lower() == ".md")
    if not passages:
        raise UserError(f"--texts {folder}: no sentence in its {len(files)} files")
    return Texts(folder, tuple(passages), digest.hexdigest())


def _passages(text: str, file: str, markdown: bool) -> Iterator[Passage]:
    heading: str = ""
    section: list[Sentence] = []
    for begins, found in _blocks(text, file, markdown):
        new = found if begins else heading
        whole = (section and not markdown) or sum(len(words(one.text)) for one in section) >= MOST_WORDS
        if section and (begins or whole):
            yield Passage(heading, tuple(section))
            section = []
        heading = new
        section += [] if begins else found
    if section:
        yield Passage(heading, tuple(section))


def _blocks(text: str, file: str, markdown: bool) -> Iterator[tuple[bool, str | list[Sentence]]]:
    """Headings, as ``(True, heading)``, and the sentences of paragraphs and items of lists."""
    lines: list[tuple[int, str]] = []
    fenced = False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        fence = markdown and line.lstrip().startswith("```")
        fenced = fenced != fence
        heading = _HEADING.match(line) if markdown else None
        item = markdown and _ITEM.match(line)
        skipped = markdown and (fenced or fence or _LEFT_OUT.match(line))
        if lines and (not line.strip() or heading or item or skipped):
            yield False, list(_sentences(lines, file))
            lines = []
        if heading and not fenced:
            yield True, heading[2]
        elif line.strip() and not skipped:
            lines.append((number, _ITEM.sub("", line, count=1).strip() if item else line.strip()))


def _sentences(lines: list[tuple[int, str]], file: str) -> Iterator[Sentence]:
    starts, text = [], ""
    for number, line in lines:
        starts.append((len(text), number))
        text += f"{line} "
    for start, sentence in _placed_sentences(text):
        yield Sentence(sentence, file, next(number for place, number in reversed(starts) if place <= start))


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, which end before a capital letter or a digit."""
    return [sentence for _, sentence in _placed_sentences(text)]


def _placed_sentences(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for stop in [*_STOP.finditer(text), None]:
        end = stop.start() if stop else len(text)
        if stop and _ABBREVIATION.search(text[start:end]):
            continue
        if sentence := text[start:end].strip():
            yield start, sentence
        start = stop.end() if stop else end
