"""Answers of a checkpoint: generated texts, or the best of the answers that a question can have."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import exp
from typing import NamedTuple, Protocol

from cardiolect.data_provider.examples import Example
from cardiolect.model.evaluation.condition_inputs import Inputs
from cardiolect.model.evaluation.settings import CheckpointSettings
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.inference.ranking import rank_answers
from cardiolect.model.llm.checkpoint import Checkpoint, longest_sequence
from cardiolect.model.prompt.rendering import make_prompt, render_answer
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import NO, YES


class Candidates(Protocol):
    """Where the answers come from that a question can have."""

    def candidates(self, example: Example) -> Sequence[tuple[str, ...]]: ...


class Answer(NamedTuple):
    """One answer of the model.

    probability: of the text and its end; of a ranked answer, among the candidates. yes_margin: the logit of "yes" minus
    that of "no". cut_off: whether the text reached MAX_NEW_TOKENS before its end.
    """

    text: str
    probability: float
    yes_margin: float | None = None
    cut_off: bool = False


def answers(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    inputs: Inputs,
    settings: CheckpointSettings,
    lists: Candidates | None = None,
) -> Iterator[tuple[int, Answer]]:
    """Yield ``(index, answer)`` of every example, in the order in which they are computed.

    inputs: maps recordings to the ECGs in the prompt. lists: candidates to rank; None generates answers instead.
    Raises `UserError` if a prompt and its answer are too long for the language model.
    """
    vocabulary = checkpoint.vocabulary
    prompts, first = [], {}
    for e in examples:
        prompt = make_prompt(vocabulary, inputs(e.records), e.backgrounds, e.task, e.question, e.history)
        same = first.setdefault(prompt.key, prompt)  # dozens of questions hold one copy of their ECG
        prompts.append(replace(prompt, prefix=same.prefix, items=same.items))
    candidates = [lists.candidates(e) for e in examples] if lists else []
    longest = longest_sequence(checkpoint.model)
    for i, (e, prompt) in enumerate(zip(examples, prompts, strict=True)):
        room = settings.new_tokens
        if lists:
            room = max(len(render_answer(vocabulary, each)) for each in candidates[i])
        if longest and len(prompt.prefix) + len(prompt.question) + room > longest:
            raise UserError(
                f"record {' and '.join(e.record_ids)}: ECG, question and "
                f"{'its longest answer' if lists else 'MAX_NEW_TOKENS'} exceed the {longest} tokens that the language "
                "model takes"
            )
    model = checkpoint.model.to(choose_device(settings.device)).eval()
    if lists:
        for i, ranked in rank_answers(model, vocabulary, prompts, candidates, settings.batch_size):
            likely = dict(zip(candidates[i], ranked.log_probabilities, strict=True))
            margin = round(likely[YES,] - likely[NO,], 4) if _is_verify(examples[i]) else None
            yield i, Answer(ranked.text, round(ranked.probability, 6), margin)
        return
    watched = yes_no_tokens(vocabulary)
    for i, generated in generate_texts(model, vocabulary, prompts, settings.new_tokens, settings.batch_size, watched):
        margin = round(generated.watched[0] - generated.watched[1], 4) if watched and _is_verify(examples[i]) else None
        yield i, Answer(generated.text, round(exp(generated.logprob), 6), margin, generated.cut_off)


def yes_no_tokens(vocabulary: Vocabulary) -> tuple[int, ...]:
    """The tokens of yes and no, whose logits are compared; empty if one of the words has several tokens."""
    words = [render_answer(vocabulary, [word]) for word in (YES, NO)]
    return tuple(ids[0] for ids in words) if all(len(ids) == 2 for ids in words) else ()  # the word and its end


def _is_verify(example: Example) -> bool:
    return example.question_type.endswith("verify")
