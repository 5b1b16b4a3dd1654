"""Puts the same questions to a checkpoint under every condition; the questions about an ECG share a rank."""

import time
from collections.abc import Iterator, Sequence

from cardiolect.data_provider.examples import Example
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.model.evaluation.answers import Answer, Candidates, answers
from cardiolect.model.evaluation.condition_inputs import Inputs, inputs_under
from cardiolect.model.evaluation.conditions import GENERATED, WITH_ECG
from cardiolect.model.evaluation.resume import AnswerLog
from cardiolect.model.evaluation.settings import CheckpointSettings
from cardiolect.model.llm.checkpoint import Checkpoint
from cardiolect.utils import launch
from cardiolect.utils.progress import progress


def ask(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    ecgs: CachedECGs,
    log: AnswerLog,
    settings: CheckpointSettings,
    lists: Candidates | None,
    generate: bool = False,
) -> tuple[dict[str, list[Answer]], dict[str, float]]:
    """The answers of all ranks and the mean seconds of those that are new, by condition.

    lists: candidates to rank; None generates answers instead. generate: with lists, also generate answers, as a
    condition of its own. A condition that cannot be met is left out, in one line.
    """
    asked = list(dict.fromkeys(e.records for e in examples))
    mine = set(asked[launch.rank() :: launch.world_size()])  # an ECG's questions share a rank
    own = [e for e in examples if e.records in mine]
    answered: dict[str, list[Answer]] = {}
    answer_seconds: dict[str, float] = {}
    for condition in (WITH_ECG, *settings.floor_conditions, *([GENERATED] if lists and generate else [])):
        seen = WITH_ECG if condition == GENERATED else condition
        inputs = inputs_under(seen, asked, mine, ecgs, settings)
        if inputs is None:
            if launch.is_main():
                print(f"{condition}: left out, because some samples have no ECG of another patient")
            continue
        ranked_by = None if condition == GENERATED else lists
        new = sum((condition, e.sample_id) not in log.known for e in own)
        asked_at = time.perf_counter()
        given = dict(_answers(checkpoint, own, inputs, condition, log, settings, ranked_by))
        if new:
            answer_seconds[condition] = (time.perf_counter() - asked_at) / new
        given = {sample_id: answer for part in launch.gather(given) for sample_id, answer in part.items()}
        answered[condition] = [given[e.sample_id] for e in examples]
    return answered, answer_seconds


def _answers(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    inputs: Inputs,
    condition: str,
    log: AnswerLog,
    settings: CheckpointSettings,
    lists: Candidates | None,
) -> Iterator[tuple[str, Answer]]:
    """Yield ``(sample id, answer)`` of every example; answers in the log are not computed again."""
    todo = []
    for e in examples:
        if answer := log.known.get((condition, e.sample_id)):
            yield e.sample_id, answer
        else:
            todo.append(e)
    bar = progress(
        answers(checkpoint, todo, inputs, settings, lists),
        total=len(examples),
        initial=len(examples) - len(todo),
        desc=condition,
        unit="answer",
        disable=not launch.is_main(),
        mininterval=1,
    )
    for i, answer in bar:
        log.add(condition, todo[i].sample_id, answer)
        yield todo[i].sample_id, answer
