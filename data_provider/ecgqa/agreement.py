"""Compares PTB-XL's labels, as questions are derived from them, with ECG-QA's published answers, template by template.

    python -m cardiolect.data_provider.ecgqa.agreement [--labels PTBXL] [--questions ECGQA ...] [--recordings PTBXL ...]
    python -m cardiolect.data_provider.ecgqa.agreement [--labels PTBXL] --denied

An answer is left open if the labels are doubtful, contradict each other or cannot be read. Where template 1 is "not
sure", so is the label; derived questions do not ask about these. With ``--recordings``, comparisons of two ECGs
(templates 68 to 70) are checked for the one interval that is measured here, RR. All else is counted. ``--denied``
shows instead how many of those that a code is denied are normal ECGs.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database, load_labels
from cardiolect.data_provider.ecgqa.denied import denied_table
from cardiolect.data_provider.ecgqa.derived import RR, LabelQuestion, measure, questions, rr_range
from cardiolect.data_provider.ecgqa.labels import (
    NOISES,
    NOT_SURE,
    Answer,
    Row,
    code_answer,
    has_any_noise_in,
    has_noise_in,
)
from cardiolect.data_provider.ecgqa.ranges import WITHIN
from cardiolect.data_provider.ecgqa.scp_statements import CODE_OF
from cardiolect.data_provider.ecgqa.templates import ANY_NOISE_IN_LEAD, NOISE_IN_LEAD, TEMPLATES
from cardiolect.data_provider.record import LEADS
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.progress import progress

DATA = Path("data")
LABELS = DATA / "ptb-xl"
QUESTIONS = (DATA / "ecg-qa", DATA / "heartllm/ecgqa/ptbxl")
CODE = 1  # the template about a code
BECAME_NORMAL, BECAME_ABNORMAL, STILL_ABNORMAL = COMPARISONS = (68, 69, 70)
MOST_LISTED = 20  # recordings named per disagreement
_LEAD = re.compile(rf"\blead ({'|'.join(sorted(LEADS, key=len, reverse=True))})\b", re.IGNORECASE)
_COLUMN_OF = {name: column for column, name in NOISES.items()}


class Published(NamedTuple):
    """One question of ECG-QA. option: what is asked about, for the list of disagreements."""

    template_id: int
    option: str
    attributes: tuple[str, ...]
    lead: str | None
    ecg_ids: tuple[int, ...]
    answer: frozenset[str]


class Comparison(NamedTuple):
    """A question with its answer from the labels; None if they leave it open."""

    question: Published
    ours: frozenset[str] | None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("python -m cardiolect.data_provider.ecgqa.agreement", description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, default=LABELS, help=f"folder of {DATABASE_NAME} (default: {LABELS})")
    parser.add_argument(
        "--questions",
        type=Path,
        nargs="+",
        default=list(QUESTIONS),
        help=f"JSON files of ECG-QA or HeartLLM, or folders of them (default: {', '.join(map(str, QUESTIONS))})",
    )
    parser.add_argument(
        "--recordings", type=Path, nargs="+", default=[], help="folders of PTB-XL with signals, to measure RR intervals"
    )
    parser.add_argument(
        "--denied", action="store_true", help="show for every code whether those denied are healthier, and nothing else"
    )
    args = parser.parse_args(arguments)
    if not (args.labels / DATABASE_NAME).is_file():
        raise UserError(f"--labels: {args.labels} has no {DATABASE_NAME}; give the folder of PTB-XL")
    rows = {int(row["ecg_id"]): row for row in load_labels(args.labels / DATABASE_NAME)}
    if args.denied:
        print("\n".join(denied_table(rows.values())))
        return
    left_out: Counter[str] = Counter()
    published = list(load_questions(args.questions, left_out))
    known = [question for question in published if rows.keys() >= set(question.ecg_ids)]
    left_out["questions about recordings that are not in the label table"] += len(published) - len(known)
    if args.recordings:
        rows = _measured(rows, known, args.recordings)
    compared = compare(known, rows, left_out)
    if not compared:
        raise UserError(f"--questions: none of {len(published)} questions can be compared with {args.labels}")
    print("\n".join(table(compared)))
    for what, n in sorted(left_out.items()):
        if n:
            print(f"not compared: {n} {what}")


def load_questions(paths: Sequence[Path], left_out: Counter[str]) -> Iterator[Published]:
    """Every published question once, whatever its wording. Raises `UserError` for files that are not ECG-QA's."""
    answered: dict[tuple, frozenset[str]] = {}
    for file in _files(paths):
        try:
            items = json.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: cannot be read as JSON ({error})") from None
        if not isinstance(items, list):
            raise UserError(f"{file}: is not a list of questions")
        for index, item in enumerate(items):
            try:
                question = _question(item)
                key = (question.template_id, question.option, question.ecg_ids)
            except (KeyError, TypeError, ValueError, AttributeError):
                raise UserError(
                    f"{file}: item {index} has no template_id, question, attribute, answer and ecg_id as in "
                    "ECG-QA; give --questions files of ECG-QA only"
                ) from None
            if item.get("derived"):
                left_out["derived questions"] += 1
            elif key not in answered:
                answered[key] = question.answer
                yield question
            elif answered[key] == question.answer:
                left_out["repeated questions (other wordings, copies)"] += 1
            else:
                left_out["repeated questions with another answer"] += 1


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        found = [path] if path.is_file() else sorted(path.rglob("*.json"))
        if not found:
            raise UserError(f"--questions: {path} is neither a JSON file nor a folder with any")
        yield from found


def _question(item: dict) -> Published:
    attributes = tuple(str(name) for name in item["attribute"] or ())
    found = _LEAD.search(item["question"])
    lead = next((name for name in LEADS if found and name.lower() == found[1].lower()), None)
    template = int(item["template_id"])
    of_lead = f" in lead {lead}" if lead and template in (NOISE_IN_LEAD, ANY_NOISE_IN_LEAD) else ""
    option = " or ".join(attributes) + of_lead or (RR if template in COMPARISONS else "all")
    answer = frozenset(str(name) for name in item["answer"])
    return Published(template, option, attributes, lead, tuple(int(i) for i in item["ecg_id"]), answer)


def compare(published: Sequence[Published], rows: dict[int, Row], left_out: Counter[str]) -> list[Comparison]:
    """Answer every question that labels can answer; the others are counted by template."""
    derived = {(q.template_id, frozenset(q.attributes or ())): q for q in questions() if q.template_id != NOISE_IN_LEAD}
    compared = []
    for question in published:
        if question.template_id in COMPARISONS:
            if all(RR in rows[i] for i in question.ecg_ids):
                listed = frozenset({(RR in question.answer and "yes") or "no"})
                compared.append(Comparison(question._replace(answer=listed), _compared_rr(question, rows)))
            else:
                left_out["comparisons of two ECGs that are not in --recordings"] += 1
            continue
        try:
            ours = answer(question, rows[question.ecg_ids[0]], derived)
        except LookupError:
            left_out[f"questions of template {question.template_id} about what is not derived here"] += 1
            continue
        compared.append(Comparison(question, None if ours is None else frozenset(ours)))
    return compared


def answer(question: Published, row: Row, derived: dict[tuple[int, frozenset[str]], LabelQuestion]) -> Answer:
    """The answer from the labels. Raises `LookupError` if they do not know what is asked about."""
    template = question.template_id
    if template == CODE:
        return code_answer(row, CODE_OF[question.attributes[0]])
    if template == NOISE_IN_LEAD:
        return _yes_or_no(has_noise_in(row, _COLUMN_OF[question.attributes[0]], question.lead or ""))
    if template == ANY_NOISE_IN_LEAD:
        return _yes_or_no(has_any_noise_in(row, question.lead or ""))
    return derived[template, frozenset(question.attributes)].answer(row)


def _yes_or_no(state: bool | None) -> Answer:
    return None if state is None else ("yes",) if state else ("no",)


def _compared_rr(question: Published, rows: dict[int, Row]) -> frozenset[str] | None:
    """Whether a comparison lists the RR interval, from the measured ones; None if one of them is near a limit."""
    normal = [None if (found := rr_range(rows[i])) is None else found == WITHIN for i in question.ecg_ids]
    wanted = {BECAME_NORMAL: [False, True], BECAME_ABNORMAL: [True, False], STILL_ABNORMAL: [False, False]}
    pairs = list(zip(normal, wanted[question.template_id], strict=True))
    if any(state is not None and state != needed for state, needed in pairs):
        return frozenset({"no"})
    return None if None in normal else frozenset({"yes"})


def _measured(rows: dict[int, Row], published: Sequence[Published], roots: Sequence[Path]) -> dict[int, Row]:
    """The rows with the RR intervals of the recordings that comparisons are about, if they are in ``roots``."""
    refs = {int(name): ref for root in reversed(roots) for name, ref in load_database(root, "--recordings").items()}
    asked = {i for question in published if question.template_id in COMPARISONS for i in question.ecg_ids}
    to_measure = progress(sorted(asked & refs.keys()), desc="RR intervals", unit="ecg", mininterval=1)
    return rows | {i: measure(rows[i], refs[i]) for i in to_measure}


def table(compared: Sequence[Comparison]) -> Iterator[str]:
    """Counts per template, then the disagreements and what is left open, by option."""
    by_template: dict[int, list[Comparison]] = defaultdict(list)
    for one in compared:
        by_template[one.question.template_id].append(one)
    header = ("template", "about", "compared", "agree", "disagree", "left open", "open %")
    lines = [header]
    for template, group in [*sorted(by_template.items()), ("all", list(compared))]:
        n_open = sum(one.ours is None for one in group)
        n_agree = sum(one.ours == one.question.answer for one in group)
        about = TEMPLATES[template].attribute_type if template != "all" else ""
        counts = (len(group), n_agree, len(group) - n_open - n_agree, n_open, f"{100 * n_open / len(group):.1f}")
        lines.append((str(template), about, *map(str, counts)))
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    for line in lines:
        names = (cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True))
        counts = (cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True))
        yield "  ".join((*names, *counts))
    unsure = sum(one.ours == frozenset({NOT_SURE}) for one in compared)
    yield f'answers that are "not sure", which derived questions do not ask about: {unsure}'
    yield from _listed("disagreement", [one for one in compared if one.ours not in (None, one.question.answer)])
    yield from _listed("left open", [one for one in compared if one.ours is None])


def _listed(title: str, compared: Sequence[Comparison]) -> Iterator[str]:
    groups: dict[tuple, list[str]] = defaultdict(list)
    for question, ours in compared:
        key = (question.template_id, question.option, _text(question.answer), ours and _text(ours))
        groups[key].append(" and ".join(map(str, question.ecg_ids)))
    for (template, option, theirs, ours), ids in sorted(groups.items(), key=lambda group: group[0][:3]):
        said = f"ECG-QA {theirs}, labels {ours}" if ours else f"ECG-QA {theirs}"
        more = f" and {len(ids) - MOST_LISTED} more" if len(ids) > MOST_LISTED else ""
        yield f"{title}: template {template}, {option}: {said}: {len(ids)} (ecg {', '.join(ids[:MOST_LISTED])}{more})"


def _text(answer: frozenset[str]) -> str:
    return ", ".join(sorted(answer))


if __name__ == "__main__":
    run_command(main)
