"""``cardiolect ask`` and ``cardiolect report``: print answers as they are generated."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from cardiolect.data_provider.corpora.simulated_folder import in_simulated_corpus, only_simulated
from cardiolect.data_provider.ecgqa.needed_leads import why_unanswerable
from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.texts.numbers import NO_BEATS
from cardiolect.model.cli.loading import load_chat, parse_patient, read_ecg, require_checkpoint
from cardiolect.model.cli.remarks import in_words, remarks, similar_lines
from cardiolect.model.cli.understanding import (
    CANNOT_SAY,
    UNTRAINED,
    is_trained,
    lacks_beats,
    list_questions,
    trained_questions,
    understood,
)
from cardiolect.model.llm.builtin import introduce, is_example
from cardiolect.model.llm.checkpoint_folder import read_info
from cardiolect.model.prompt.tasks import REPORT
from cardiolect.utils.errors import UserError
from cardiolect.utils.garbage import collect_from_now_on

NO_PATIENT = "This checkpoint was trained with age and sex in every prompt; give them, or expect poor answers."
ONLY_SIMULATED = "This checkpoint was trained on simulated patients only; do not rely on it for a real recording."
ALONE = "This checkpoint was trained on single questions: each is answered on its own, whatever was said before."
MOSTLY = 0.95  # of the training prompts

Answerer = Callable[[str, list[tuple[str, str]]], Iterator[str]]  # question, history -> the answer so far
Judge = Callable[[str], tuple[str, str]]  # question -> yes or no, and the line to print


class _Opened(NamedTuple):
    """A model with the ECGs that it is asked about.

    judge: answers yes-or-no questions; None if a server answers, or if answers are sampled. remark: the lines that
    follow an answer to a question. measured: what is measured on each ECG, if the model is told so too.
    """

    answer: Answerer
    judge: Judge | None
    remark: Callable[[str, str], list[str]]
    ecgs: list[ECGRecord]
    measured: list[str]


def ask(
    record: str | None,
    questions: list[str],
    second: str | None,
    chat: bool,
    start: float,
    checkpoint: Path,
    patient: str,
    device: str,
    verbose: bool,
    as_typed: bool,
    listing: bool,
    **options,
) -> None:
    """Print one answer per question, after the question itself if there are several.

    With ``chat``, each question follows those before it in one conversation, if the checkpoint was trained on some.

    A yes-or-no question of the checkpoint's training that begins a conversation is answered with a probability, unless
    answers are sampled or come from a server. listing: print what can be asked, and nothing else. as_typed: send
    questions as they are, whatever their wording and whatever the recording lacks.
    """
    if listing:
        list_questions(checkpoint)
        return
    if not questions and not chat:
        raise UserError("ask: give a question in quotes, or --chat")
    for question in questions:
        check_question(question)
    records = [record] if second is None else [record, second]
    answerer, judge, remark, ecgs, measured = _open_answerer(records, start, checkpoint, patient, device, **options)
    info = read_info(checkpoint)
    alone = answers_alone(info)
    if chat and alone:
        print(ALONE, file=sys.stderr)
    history: list[tuple[str, str]] = []
    said: set[str] = set()
    for typed in chain(questions, _read_questions() if chat else ()):
        line = " ".join(typed.split())
        name = "" if len(questions) < 2 else f"{line} " if line.endswith("?") else f"{line}: "
        question = understood(info, typed, ecgs, as_typed, said, name)
        if question is None:
            continue
        print(name, end="", flush=True)
        if not as_typed and any(lacks_beats(question, each) for each in measured):
            print(f"{CANNOT_SAY}{NO_BEATS}", flush=True)
            continue
        if judge and not history and is_yes_or_no(info, question):
            answer, line = judge(question)
            print(line, flush=True)
        else:
            answer = _print_stream(answerer(question, [*history]), verbose, **options)
        for line in remark(question, answer):
            print(line, flush=True)
        if chat and not alone:
            history.append((question, answer))


def report(record: str, start: float, checkpoint: Path, patient: str, device: str, verbose: bool, **options) -> None:
    """Print a report on an ECG, and where it contradicts the answers to single questions."""
    answerer, _, remark, ecgs, measured = _open_answerer([record], start, checkpoint, patient, device, **options)
    if (reason := why_unanswerable(ecgs[0], REPORT)) is not None:
        print(f"{CANNOT_SAY}{reason}")
        return
    if any(lacks_beats(REPORT, each) for each in measured):
        print(f"{CANNOT_SAY}{NO_BEATS}")
        return
    if not is_trained(read_info(checkpoint), REPORT):
        print(UNTRAINED, file=sys.stderr)
    written = _print_stream(answerer(REPORT, []), verbose, **options)
    for line in remark(REPORT, written):
        print(line, flush=True)


def check_question(question: str) -> None:
    """Raise `UserError` if a question is empty or not valid text."""
    if not question.strip():
        raise UserError("the question is empty; for a report, ask for Report")
    try:
        question.encode()
    except UnicodeEncodeError:
        raise UserError("the question is not valid UTF-8") from None


def is_yes_or_no(info: dict, question: str) -> bool:
    """Whether a checkpoint is known to have been trained to answer a question with yes or no.

    info: of `model.llm.checkpoint.Checkpoint`.
    """
    answer = info.get("majority_answers", {}).get("by_question", {}).get(question.strip())
    return answer in (["yes"], ["no"])


def answers_alone(info: dict) -> bool:
    """Whether a checkpoint was trained on single questions, so that earlier ones would spoil its answers.

    info: of `model.llm.checkpoint.Checkpoint`.
    """
    return trained_questions(info) is not None


def lacks_patient(info: dict, background: str) -> bool:
    """Whether a prompt says nothing of the patient, as hardly any prompt of a checkpoint's training did.

    info: of `model.llm.checkpoint.Checkpoint`. False if it does not say.
    """
    return not background and info.get("train_examples_with_patient", 0) > MOSTLY


def lacks_real_patients(info: dict, records: Iterable[str]) -> bool:
    """Whether a checkpoint that was trained on simulated patients only is asked about any other recording.

    info: of `model.llm.checkpoint.Checkpoint`. False if it does not say.
    """
    return only_simulated(info.get("corpora", ())) and not all(
        is_example(record) or in_simulated_corpus(record) for record in records
    )


def _open_answerer(
    records: list[str],
    start: float,
    checkpoint: Path,
    patient: str,
    device: str,
    endpoint: str | None,
    model: str,
    logit_bias: bool,
    max_new_tokens: int,
    temperature: float,
    seed: int,
) -> _Opened:
    """Load the model or connect to the server, and read and encode the ECGs once for all questions."""
    background, ecgs = parse_patient(patient), [read_ecg(record, start, checkpoint) for record in records]
    require_checkpoint(checkpoint)
    introduce(checkpoint)
    info = read_info(checkpoint)
    if lacks_patient(info, background):
        print(NO_PATIENT, file=sys.stderr)
    if lacks_real_patients(info, records):
        print(ONLY_SIMULATED, file=sys.stderr)
    if endpoint is None:
        if model or logit_bias:
            raise UserError("--model and --logit-bias apply to a server: name it with --endpoint")
        chat, sampling = load_chat(checkpoint, device), {"temperature": temperature, "seed": seed}
    else:
        from cardiolect.model.serving.endpoint import EndpointChat

        if temperature or seed:
            raise UserError("--temperature, --seed: not supported with --endpoint, which always decodes greedily")
        if device != "auto":
            raise UserError("--device: not supported with --endpoint; the server chooses its own device")
        chat, sampling = EndpointChat.from_pretrained(endpoint, checkpoint, model, logit_bias), {}
    prepared = [chat.prepare(ecg) for ecg in ecgs]
    # Other models need not wait for the delineator.
    measured = [_measured(ecg) for ecg in ecgs] if chat.representation.parts(prepared[0].item) else []
    for number, words in enumerate(measured, start=1):
        which = f"ECG {number}: " if len(ecgs) > 1 else ""
        print(f"{which}measured on the signal, not by the model: {words}", file=sys.stderr)
    for number, (ecg, each) in enumerate(zip(ecgs, prepared, strict=True), start=1):
        which = f"ECG {number}: " if len(ecgs) > 1 else ""
        for line in similar_lines(each, chat.knows(ecg)):
            print(f"{which}{line}", file=sys.stderr)
    collect_from_now_on()  # a conversation may be long

    def answer(question: str, history: list[tuple[str, str]]) -> Iterator[str]:
        return chat.stream(prepared, question, history, background, max_new_tokens, **sampling)

    def judge(question: str) -> tuple[str, str]:
        judged = chat.judge(prepared, question, background)
        return judged.answer, in_words(judged)

    def remark(question: str, answer: str) -> list[str]:
        return remarks(chat if ranks else None, info, ecgs, prepared, question, answer, background, bool(measured))

    ranks = endpoint is None and not temperature
    return _Opened(answer, judge if ranks else None, remark, ecgs, measured)


def _measured(ecg: ECGRecord) -> str:
    from cardiolect.data_provider.ecgqa.ruler import measured_in_words  # slow: imports NeuroKit

    return measured_in_words(ecg)


def _read_questions() -> Iterator[str]:
    """Lines of stdin up to the first empty one; a terminal gets a prompt."""
    if sys.stdin is None:  # as after <&-
        return
    interactive = sys.stdin.isatty()
    while True:
        if interactive:
            print("> ", end="", file=sys.stderr, flush=True)
        try:
            question = sys.stdin.readline().strip()
        except UnicodeDecodeError:
            raise UserError("ask: stdin has a line that is not valid UTF-8") from None
        if not question:
            return
        check_question(question)
        yield question


def _print_stream(answers: Iterable[str], verbose: bool, endpoint: str | None, max_new_tokens: int, **_) -> str:
    """Print an answer as it grows; return it when it is complete."""
    start, times, printed, answer = time.perf_counter(), [], "", ""
    for answer in answers:
        times.append(time.perf_counter() - start)
        complete = answer.rstrip("\ufffd")  # a character of which some bytes are still to come
        print(complete[len(printed) :], end="", flush=True)
        printed = complete
    print(answer[len(printed) :], flush=True)
    if endpoint is None and len(times) == max_new_tokens:  # a server may send several tokens at a time
        print(
            f"The answer was cut off after {max_new_tokens} tokens; raise --max-new-tokens for a longer one.",
            file=sys.stderr,
        )
    if verbose:
        first = f"first token after {times[0]:.2f} s" if times else "no token"
        rate = f", then {(len(times) - 1) / (times[-1] - times[0]):.1f} tokens/s" if len(times) > 1 else ""
        print(f"{first}{rate}; {len(times)} token{'s' * (len(times) != 1)}", file=sys.stderr)
    return answer
