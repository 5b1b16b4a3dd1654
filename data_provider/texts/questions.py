"""Reads questions, reports and conversations from the files of ECG-QA, HeartLLM, ECG-Chat, PULSE and
ECG-Reasoning-Benchmark.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.data_provider.texts.background import parse_background
from cardiolect.data_provider.texts.conversations import exchanges, is_conversation, recordings
from cardiolect.data_provider.texts.reasoning.loading import chain_of, is_chain
from cardiolect.data_provider.texts.record_finder import MAX_ECGS, RecordFinder, posix_path
from cardiolect.utils.errors import UserError

_LABEL_PARTS = 4  # "ptbxl/paraphrased/train/120000" distinguishes the files of the published corpora
_JOINT = re.compile(r"(?<=[^\s.\d])\.+(?=[^\s.])|(?<=\d)\.+(?=[^\s.\d])")  # dots between words, not in a number


@dataclass
class Loaded:
    """Examples in file order, and counts of what was left out.

    empty_reports: reports without text; skipped_missing: examples with a missing recording; records and
    missing_records: distinct recordings named, and those of them that are missing; missing: their ids and paths, as the
    files give them.
    """

    examples: list[Example] = field(default_factory=list)
    empty_reports: int = 0
    skipped_missing: int = 0
    records: int = 0
    missing_records: int = 0
    missing: list[tuple[str, str | None]] = field(default_factory=list)

    def summary(self, name: str) -> str:
        """One line: "train: 413 examples of 247 recordings, left out: 12 empty reports"."""
        left_out = {
            "empty reports": self.empty_reports,
            f"examples of {self.missing_records} missing recordings": self.skipped_missing,
        }
        text = f"{name}: {len(self.examples)} examples of {self.records - self.missing_records} recordings"
        notes = ", ".join(f"{count} {what}" for what, count in left_out.items() if count)
        return f"{text}, left out: {notes}" if notes else text


def load_examples(
    paths: list[Path],
    root: Path,
    database: dict[str, RecordRef] | None,
    allow_missing: bool = False,
    on_disk: bool = True,
) -> Loaded:
    """Read files of questions, reports and conversations.

    paths: JSON files, JSON lines, or folders whose *.json are read in sorted order; the format is recognised item by
    item. A chain of ECG-Reasoning-Benchmark is a conversation.
    root: the folder (DATA_ROOT) that record paths are relative to; MIMIC-IV-ECG may be below ``root/files``.
    database: references by ecg_id, for items without a path, and for patients and backgrounds.
    on_disk: whether a recording whose file does not exist counts as missing.
    Raises `UserError` for malformed files and items, and, unless ``allow_missing``, for missing recordings.
    """
    finder = RecordFinder(root, database, on_disk)
    loaded = Loaded()
    for label, file in labelled(paths).items():
        for index, item in enumerate(_items(file)):
            try:
                _add(loaded, item, f"{label}:{index}", finder)
            except UserError as error:
                raise UserError(f"{file}: item {index}: {error}") from None
    loaded.examples = [_settled(example, finder) for example in loaded.examples]
    loaded.records, loaded.missing_records, loaded.missing = finder.n_records, finder.n_missing, finder.missing
    if loaded.missing_records and not allow_missing:
        raise UserError(
            f"{loaded.missing_records} of {loaded.records} recordings are missing, first {finder.first_missing}; set "
            "DATA_ROOT to the folder of the recordings, or ALLOW_MISSING=true to continue without them"
        )
    return loaded


def separate_statements(report: str) -> str:
    """Add the spaces that MIMIC omits between statements: "rhythm.Probable" -> "rhythm. Probable"; "0.5" stays."""
    return _JOINT.sub(". ", report).strip()


def _settled(example: Example, finder: RecordFinder) -> Example:
    """Complete the recordings: their patients may be given after a comparison has named them."""
    records = tuple(map(finder.settled, example.records))
    if records == example.records:
        return example
    return replace(example, records=records, background=example.background or records[0].background)


def labelled(paths: list[Path]) -> dict[str, Path]:
    """Label -> file, each file once; its sample ids start with the label, which does not depend on other files."""
    files: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            found = sorted(each for each in path.rglob("*") if _is_json(each))
            if not found:
                raise UserError(f"{path}: no *.json below this folder")
        elif path.is_file():
            found = [path]
        else:
            raise UserError(f"{path}: no such file or folder; give JSON files or folders of them")
        for file in (each.resolve() for each in found):
            label = "/".join(file.with_suffix("").parts[-_LABEL_PARTS:]).lstrip("/")
            if files.setdefault(label, file) != file:
                raise UserError(f"{file} and {files[label]} would share the sample ids {label}; rename a folder of one")
    return files


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json" and not path.name.startswith(".") and path.is_file()  # ._x.json is macOS's


def _items(file: Path) -> list:
    try:
        if file.suffix.lower() == ".jsonl":
            return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        items = json.loads(file.read_bytes())  # bytes: UTF-8 or UTF-16, with a byte-order mark or without
    except json.JSONDecodeError as error:
        raise UserError(f"{file}: not JSON (line {error.lineno}: {error.msg})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: cannot be read; save it as UTF-8 ({error.reason} at byte {error.start})") from None
    except (OSError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from None
    if not isinstance(items, list):
        raise UserError(f"{file}: contains a JSON {type(items).__name__}; it must be a list of questions or reports")
    return items


def _add(loaded: Loaded, item: object, sample_id: str, finder: RecordFinder) -> None:
    if not isinstance(item, dict):
        raise UserError(f"is a JSON {type(item).__name__}, not an object")
    if is_chain(item):
        chain = chain_of(item, Counter())
        _add_conversation(loaded, [(chain.ecg_id, None)], [*chain.exchanges()], sample_id, finder)
        return
    if is_conversation(item):
        _add_conversation(loaded, recordings(item), exchanges(item), sample_id, finder)
        return
    is_report = "report" in item and "question" not in item
    needed = ("report", "ecg_id") if is_report else ("question", "answer", "ecg_id")
    absent = [key for key in needed if key not in item]
    if absent:
        raise UserError(f"has no key {', '.join(absent)}")
    if is_report and (_is_blank(item["report"]) or not _text(item, "report").strip(" .")):
        loaded.empty_reports += 1
        return
    ecg_ids = _ecg_ids(item["ecg_id"])
    if is_report and len(ecg_ids) > 1:
        raise UserError(f"is one report on {len(ecg_ids)} recordings; a report is on one")
    paths = _paths(item.get("filepath" if is_report else "ecg_path"), len(ecg_ids))
    patients = [item.get("patient_id")] if len(ecg_ids) == 1 else [None] * len(ecg_ids)
    backgrounds = _backgrounds(item, len(ecg_ids))
    found = [
        finder.find(i, path, background, patient)
        for i, path, background, patient in zip(ecg_ids, paths, backgrounds, patients, strict=True)
    ]
    records = tuple(ref for ref in found if ref is not None)
    if len(records) < len(found):
        loaded.skipped_missing += 1
        return
    loaded.examples.append(
        Example(
            sample_id=sample_id,
            records=records,
            task="report" if is_report else "qa",
            question="" if is_report else _question(item),
            answers=(_report(item, paths[0]),) if is_report else _answers(item["answer"]),
            question_type=_text(item, "question_type", ""),
            attribute_type=_text(item, "attribute_type", ""),
            attributes=_attributes(item.get("attribute")),
            template_id=_template(item.get("template_id")),
            background=(parse_background(backgrounds[0]) if len(records) == 1 else "") or records[0].background,
            provenance="derived" if item.get("derived") is True else "published",
        )
    )


def _add_conversation(
    loaded: Loaded,
    named: Sequence[tuple[str, str | None]],
    conversation: Sequence[tuple[str, str]],
    sample_id: str,
    finder: RecordFinder,
) -> None:
    """One example per answer, with the conversation before it. named: ids and paths of the recordings."""
    found = [finder.find(record_id, path, "", None) for record_id, path in named]
    records = tuple(ref for ref in found if ref is not None)
    if len(records) < len(found):
        loaded.skipped_missing += len(conversation)
        return
    for turn, (question, answer) in enumerate(conversation):
        example = Example(
            f"{sample_id}:{turn}",
            records,
            "instruct",
            question,
            (answer,),
            background=records[0].background,
            history=tuple(conversation[:turn]),
        )
        loaded.examples.append(example)


def _text(item: dict, key: str, default: str | None = None) -> str:
    value = item.get(key)
    value = default if _is_blank(value) else value
    if not isinstance(value, str):
        raise UserError(f"{key} is not text")
    return value


def _is_blank(value: object) -> bool:
    return value is None or value != value  # NaN, which pandas writes for an empty cell


def _question(item: dict) -> str:
    question = _text(item, "question").strip()
    if not question:
        raise UserError("question is empty")
    return question


def _backgrounds(item: dict, number: int) -> list[str]:
    """One per recording. A single text on a comparison does not say which of its recordings it is about."""
    value = item.get("background")
    if isinstance(value, list):
        if len(value) != number or not all(_is_blank(each) or isinstance(each, str) for each in value):
            raise UserError(f"background is not a list of {number} texts")
        return ["" if _is_blank(each) else each for each in value]
    text = "" if _is_blank(value) else _text(item, "background")
    return [text] if number == 1 else [""] * number


def _report(item: dict, path: str | None) -> str:
    from_mimic = path is not None and RecordFinder.mimic_patient(path) is not None
    return separate_statements(item["report"]) if from_mimic else item["report"].strip()


def _answers(value: object) -> tuple[str, ...]:
    answers = value if isinstance(value, list) else [value]
    if not answers or not all(isinstance(answer, str) and answer.strip() for answer in answers):
        raise UserError("answer is not a list of texts")
    return tuple(answer.strip() for answer in answers)


def _attributes(value: object) -> tuple[str, ...]:
    attributes = [] if _is_blank(value) else value if isinstance(value, list) else [value]
    if not all(isinstance(attribute, str) for attribute in attributes):
        raise UserError("attribute is not a list of texts")
    return tuple(attributes)


def _template(value: object) -> int | None:
    value = None if _is_blank(value) else _whole(value)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise UserError("template_id is not a number")
    return value


def _whole(value: object) -> object:
    """7 for 7.0, which pandas writes for numbers in a column with empty cells; any other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _ecg_ids(value: object) -> list[str]:
    ids = [_whole(i) for i in (value if isinstance(value, list) else [value])]
    if any(isinstance(i, bool) or not isinstance(i, int | str) or not str(i).strip() for i in ids) or not ids:
        raise UserError("ecg_id is not a number")
    if len(ids) > MAX_ECGS:
        raise UserError(f"ecg_id names {len(ids)} recordings; a question can compare at most {MAX_ECGS}")
    return [str(i).strip() for i in ids]


def _paths(value: object, number: int) -> list[str | None]:
    """One path per recording, None if the item names none."""
    value = None if _is_blank(value) else value
    paths = value if isinstance(value, list) else [value] * number
    if any(path is not None and not (isinstance(path, str) and path.strip()) for path in paths):
        raise UserError("the path of the recording is not text")
    if number > 1 and isinstance(value, str):
        raise UserError(f"gives one path for {number} recordings; give a list of them")
    if len(paths) != number:
        raise UserError(f"gives {len(paths)} paths for {number} recordings")
    return [None if path is None else posix_path(path) for path in paths]
