"""Scores of samples: every figure of a result is computed from predictions.jsonl alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from cardiolect.data_provider.ecgqa.findings import NOT_DIAGNOSES
from cardiolect.data_provider.texts.lexicon import findings_in
from cardiolect.model.evaluation.breakdown import break_down
from cardiolect.model.evaluation.closed import closed_scores, selective_scores
from cardiolect.model.evaluation.conditions import (
    MEASURED_ONLY,
    NEIGHBOURS_ONLY,
    NO_NEIGHBOURS,
    RANDOM_NEIGHBOURS,
    WITH_ECG,
)
from cardiolect.model.evaluation.floors import floors, gap_over
from cardiolect.model.evaluation.numbers import in_exact_match, number_scores
from cardiolect.model.evaluation.prevalence import shares
from cardiolect.model.evaluation.samples import Sample
from cardiolect.model.evaluation.subgroups import subgroup_scores
from cardiolect.model.prompt.tasks import TASKS
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import Scores, bootstrap_score, definition, find_wordnet, finding_scores, verify_means
from cardiolect.utils.metrics.statements import content_scores, content_table
from cardiolect.utils.metrics.verify import yes_or_no


@dataclass(frozen=True)
class ScoringRules:
    """How to score: name of the definition, resamples and seed of the bootstrap, and a local model for BERTScore."""

    metrics: str = "strict"
    bootstrap_resamples: Annotated[int, Field(ge=10)] = 1000
    seed: Annotated[int, Field(ge=0)] = 42
    bertscore_model: str | None = None
    bertscore_layer: int = 17

    @classmethod
    def of(cls, settings: Mapping[str, Any], path: Path) -> "ScoringRules":
        """The rules in a result's settings. Raises `UserError` with ``path`` if they are not valid."""
        kept = {key: value for key, value in settings.items() if key in cls.__dataclass_fields__}
        try:
            return TypeAdapter(cls).validate_python(kept)
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"{path}: settings: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def score(
    samples: Sequence[Sample], rules: ScoringRules, prevalence: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All scores of an evaluation as a JSON-ready dict; fractions of 1. prevalence: from `prevalence_in`.

    Questions for numbers have scores of their own (`number_scores`) and count in no other, unless there are no others.
    """
    chosen, task = definition(rules.metrics), TASKS[samples[0].task]
    shared = {
        "task": samples[0].task,
        "samples": len(samples),
        "derived": sum(sample.provenance == "derived" for sample in samples),
        "records": len({i for sample in samples for i in sample.record_ids}),
        "patients": len({number for sample in samples for number in sample.patients}),
        "metrics": {"name": chosen.name, "source": chosen.source, "quirks": list(chosen.quirks)},
    }
    names = samples[0].predictions
    cut_off = {name: n for name in names if (n := sum(name in sample.cut_off for sample in samples))}
    if task.exact_match:
        shared |= number_scores(samples, rules.bootstrap_resamples, rules.seed)
        samples = in_exact_match(samples)
        if len(samples) < shared["samples"]:
            shared["in_exact_match"] = len(samples)
    texts, patients = texts_of(samples), [sample.patients for sample in samples]
    scored = scores_of(samples, rules.metrics)
    if rules.bertscore_model and not task.exact_match:
        scored = _with_bertscore(scored, samples, rules)
    conditions = {name: dict(scores.values) for name, scores in scored.items()}
    result = {
        **shared,
        "score": main_score(samples[0].task, rules.metrics),
        "notes": dict(scored[WITH_ECG].notes),
        "cut_off": cut_off,
        "conditions": conditions,
    }
    if task.exact_match:
        answers = [sample.answers for sample in samples]
        matches = {
            name: np.array([chosen.match(*pair) for pair in zip(predicted, answers, strict=True)], dtype=float)
            for name, predicted in texts.items()
        }
        for name, column in matches.items():
            conditions[name]["em"] = float(column.mean())
        result["groups"] = break_down(samples, matches, rules.bootstrap_resamples, rules.seed)
        result |= _yes_or_no_scores(samples, texts, shares(prevalence), rules)
        result |= closed_scores(samples, matches, result["verify"][WITH_ECG], shares(prevalence))
        result |= selective_scores(samples, matches[WITH_ECG], rules.bootstrap_resamples, rules.seed)
    else:
        result["wordnet"] = find_wordnet().source
    if task.has_content:
        result["content"] = content_table(texts[WITH_ECG], [sample.answers[0] for sample in samples])
        _add_true_findings(result, samples, texts)
    main = [result["score"], *(["content_f1"] if task.has_content else [])]
    result["ci95"] = {
        score: {name: _interval(score, each, patients, rules) for name, each in scored.items()} for score in main
    }
    result["above"] = {score: _above(score, scored, patients, rules) for score in main}
    if floors(scored):
        result["gap"] = signal_use_gap(result["score"], scored, patients, rules)
        if task.has_content:
            result["content_gap"] = signal_use_gap("content_f1", scored, patients, rules)
    if task.exact_match:
        of_groups = "em", {name: Scores.per_sample({"em": column}) for name, column in matches.items()}
    else:
        of_groups = ("content_f1" if task.has_content else result["score"]), scored
    if found := subgroup_scores(samples, *of_groups, rules.bootstrap_resamples, rules.seed):
        result["subgroups"] = found
    if MEASURED_ONLY in scored:
        result["codes_add"] = {"of": result["score"], **result["above"][result["score"]][MEASURED_ONLY]}
    with_neighbours = {"samples": len(samples), "with_neighbours": sum(any(sample.neighbours) for sample in samples)}
    for key, names in (("neighbours_add", (NO_NEIGHBOURS, RANDOM_NEIGHBOURS)), ("ecg_adds", (NEIGHBOURS_ONLY,))):
        if names := [name for name in names if name in scored]:
            result[key] = [
                {"of": each, **result["above"][each][name], "over": name} | with_neighbours
                for each in main
                for name in names
            ]
    return result


def main_score(task: str, metrics: str) -> str:
    """The name of the score by which systems are compared."""
    chosen = definition(metrics)
    return chosen.answer_score if TASKS[task].exact_match else chosen.text_score


def texts_of(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Condition -> predictions, one text per sample."""
    return {name: [sample.predictions[name] for sample in samples] for name in samples[0].predictions}


def scores_of(samples: Sequence[Sample], metrics: str) -> dict[str, Scores]:
    """Condition -> scores by the definition, and for reports also scores of their content."""
    chosen = definition(metrics)
    task = TASKS[samples[0].task]
    if task.exact_match:
        answers = [sample.answers for sample in samples]
        return {name: chosen.score_answers(texts, answers) for name, texts in texts_of(samples).items()}
    references = [sample.answers[0] for sample in samples]
    scored = {name: chosen.score_texts(texts, references) for name, texts in texts_of(samples).items()}
    if task.has_content:
        scored = {name: each | content_scores(texts_of(samples)[name], references) for name, each in scored.items()}
    return scored


def _with_bertscore(scored: Mapping[str, Scores], samples: Sequence[Sample], rules: ScoringRules) -> dict[str, Scores]:
    from cardiolect.utils.metrics.bertscore import BertScore  # imports torch, which other scores do not need

    encoder = BertScore(Path(rules.bertscore_model), rules.bertscore_layer)
    references = [sample.answers[0] for sample in samples]
    return {name: each | encoder.score(texts_of(samples)[name], references) for name, each in scored.items()}


def signal_use_gap(
    score: str, conditions: Mapping[str, Scores], patients: Sequence[tuple[int, ...]], rules: ScoringRules
) -> dict[str, Any]:
    """The score with the ECG minus that of the best floor, with a bootstrap interval over patients.

    The best floor is chosen anew in every resample.
    """
    names = floors(conditions)
    interval = bootstrap_score(
        score,
        {name: conditions[name] for name in (WITH_ECG, *names)},
        patients,
        gap_over(names),
        n_resamples=rules.bootstrap_resamples,
        seed=rules.seed,
    )
    best = max(names, key=lambda name: conditions[name].values[score])
    return {"of": score, "value": interval.value, "ci95": [interval.low, interval.high], "best_floor": best}


def _above(
    score: str, conditions: Mapping[str, Scores], patients: Sequence[tuple[int, ...]], rules: ScoringRules
) -> dict[str, dict[str, Any]]:
    """The score with the ECG minus that under each other condition, with paired intervals over patients."""
    found = {}
    for name in (name for name in conditions if name != WITH_ECG):
        interval = bootstrap_score(
            score,
            {each: conditions[each] for each in (WITH_ECG, name)},
            patients,
            lambda values, name=name: values[WITH_ECG] - values[name],
            n_resamples=rules.bootstrap_resamples,
            seed=rules.seed,
        )
        found[name] = {"value": interval.value, "ci95": [interval.low, interval.high]}
    return found


def _interval(
    score: str, scores: Scores, patients: Sequence[tuple[int, ...]], rules: ScoringRules
) -> list[float | None]:
    found = bootstrap_score(
        score, {"": scores}, patients, lambda values: values[""], rules.bootstrap_resamples, rules.seed
    )
    return [found.low, found.high]


def _yes_or_no_scores(
    samples: Sequence[Sample],
    texts: Mapping[str, list[str]],
    prevalence: Mapping[str, float],
    rules: ScoringRules,
) -> dict[str, Any]:
    """``verify``: figures of every question under every condition; ``verify_means``: their means by condition.

    ``verify_left_out``: ``one_answer``, the number of yes-or-no questions without figures because all their right
    answers are yes, or all are no, and ``other_answers``, the number of samples with another right answer.
    """
    questions, answers, patients = zip(*((s.question, s.answers, s.patients) for s in samples), strict=True)
    found: dict[str, Any] = {"verify": {}, "verify_means": {}}
    for name, predicted in texts.items():
        margins = [sample.yes_margins.get(name) for sample in samples]
        found["verify"][name], found["verify_means"][name] = verify_means(
            questions, answers, predicted, margins, patients, prevalence, rules.bootstrap_resamples, rules.seed
        )
    truths = [yes_or_no(gold) for gold in answers]
    closed = {question for question, truth in zip(questions, truths, strict=True) if truth}
    found["verify_left_out"] = {
        "one_answer": len(closed) - len(found["verify"][WITH_ECG]),
        "other_answers": sum(
            truth is None and (question in closed or sample.question_type.endswith("verify"))
            for question, truth, sample in zip(questions, truths, samples, strict=True)
        ),
    }
    return found


def _add_true_findings(result: dict[str, Any], samples: Sequence[Sample], texts: Mapping[str, list[str]]) -> None:
    truth = [sample.findings for sample in samples]
    if None in truth:
        return
    for name, predicted in texts.items():
        found = finding_scores([findings_in(text) for text in predicted], truth)
        row = result["conditions"][name]
        row["finding_f1"] = found["macro_f1"]
        diagnoses = [each["f1"] for finding, each in found["per_finding"].items() if finding not in NOT_DIAGNOSES]
        row["diagnosis_f1"] = float(np.mean(diagnoses))
        result.setdefault("findings", {})[name] = found
