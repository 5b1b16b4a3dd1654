"""The definitions of scores, by name: ``heartllm``, ``ecg-bench`` and ``strict``. docs/METRICS.md has the formulas."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from sacrebleu.metrics import CHRF

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.bleu import HEARTLLM_WEIGHTS, Bleu
from cardiolect.utils.metrics.corpus_bleu import corpus_bleu4, sacrebleu
from cardiolect.utils.metrics.exact_match import exact_match
from cardiolect.utils.metrics.meteor import Meteor
from cardiolect.utils.metrics.normalised_match import answer_f1, normalised_match, token_f1, words
from cardiolect.utils.metrics.rouge import Rouge
from cardiolect.utils.metrics.rouge_package import RougePackage
from cardiolect.utils.metrics.scores import Scores
from cardiolect.utils.metrics.text_metric import check_pairs

Texts = Sequence[str]
Answers = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Definition:
    """One way to score answers to questions, and whole texts.

    source: where it is defined, with the version. quirks: surprising properties of its scores. match: whether an answer
    is right. answer_score, text_score: the scores by which systems are compared; answer_score is the share of answers
    that `match`.
    """

    name: str
    source: str
    quirks: tuple[str, ...]
    match: Callable[[str, Sequence[str]], bool]
    answer_score: str
    text_score: str
    _answers: Callable[[Texts, Answers], Scores]
    _texts: Callable[[Texts, Texts], Scores]

    def score_answers(self, predictions: Texts, answers: Answers) -> Scores:
        """Score generated answers, several joined by ".", against lists of gold answers; fractions of 1."""
        for index, gold in enumerate(answers):
            if isinstance(gold, str) or not any(answer.strip() for answer in gold):
                raise UserError(f"sample {index}: gold answers must be a list of strings that are not all empty")
        check_pairs(predictions, [".".join(gold) for gold in answers])
        return self._answers(predictions, answers)

    def score_texts(self, predictions: Texts, references: Texts) -> Scores:
        """Score reports or other whole texts with one reference each; fractions of 1."""
        check_pairs(predictions, references)
        return self._texts(predictions, references)


def definition(name: str) -> Definition:
    """The definition called ``name``. Raises `UserError` if there is none."""
    if name not in DEFINITIONS:
        raise UserError(f"METRICS={name}: must be one of {', '.join(DEFINITIONS)}")
    return DEFINITIONS[name]


def _heartllm_answers(predictions: Texts, answers: Answers) -> Scores:
    pairs = zip(predictions, answers, strict=True)
    return Scores.per_sample({"em": [exact_match(predicted, gold) for predicted, gold in pairs]})


def _heartllm_texts(predictions: Texts, references: Texts) -> Scores:
    meteor = Meteor()
    columns = [m.per_sample(predictions, references) for m in (Bleu(HEARTLLM_WEIGHTS), meteor, RougePackage())]
    return Scores.per_sample(columns[0] | columns[1] | columns[2], {"meteor": f"synonyms from {meteor.wordnet}"})


def _equal(prediction: str, answers: Sequence[str]) -> bool:
    return prediction == ".".join(answers)


def _ecg_bench_answers(predictions: Texts, answers: Answers) -> Scores:
    return _ecg_bench_texts(predictions, [".".join(gold) for gold in answers])


def _ecg_bench_texts(predictions: Texts, references: Texts) -> Scores:
    meteor, rouge = Meteor(), RougePackage().per_sample(predictions, references)
    equal = [predicted == gold for predicted, gold in zip(predictions, references, strict=True)]
    columns = {
        "acc": np.array(equal, dtype=np.float64),
        "bleu_sentence": _length_adaptive_bleu(predictions, references),
        **meteor.per_sample(predictions, references),
        **{name: rouge[name] for name in ("rouge1", "rouge2", "rougeL")},
    }
    notes = {"meteor": f"synonyms from {meteor.wordnet}"}
    kept = Scores.per_sample(columns, notes) | corpus_bleu4(predictions, references)
    return kept | kept.over([bool(predicted) for predicted in predictions], "nonempty")


def _length_adaptive_bleu(predictions: Texts, references: Texts) -> np.ndarray:
    """Sentence BLEU up to the highest order, at most 4, for which both texts have enough words."""
    smoothing, scores = SmoothingFunction().method1, np.zeros(len(predictions))
    for index, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        predicted, gold = prediction.split(), reference.split()
        if order := min(4, len(predicted), len(gold)):
            scores[index] = sentence_bleu([gold], predicted, (1 / order,) * order, smoothing_function=smoothing)
    return scores


def _strict_answers(predictions: Texts, answers: Answers) -> Scores:
    pairs = list(zip(predictions, answers, strict=True))
    return Scores.per_sample(
        {
            "em": [normalised_match(predicted, gold) for predicted, gold in pairs],
            "f1": [answer_f1(predicted, gold) for predicted, gold in pairs],
        }
    )


def _strict_texts(predictions: Texts, references: Texts) -> Scores:
    # A text of punctuation only is compared as it is.
    predicted, gold = ([words(text) or text.split() for text in texts] for texts in (predictions, references))
    spaced = [" ".join(text) for text in predicted], [" ".join(text) for text in gold]
    meteor, chrf = Meteor(), CHRF()
    pairs = zip(predictions, references, strict=True)
    columns = {
        "f1": [token_f1(*pair) for pair in zip(predicted, gold, strict=True)],
        **meteor.per_sample(*spaced),
        **Rouge(str.split).per_sample(*spaced),
        "chrf": [chrf.sentence_score(prediction, [reference]).score / 100 for prediction, reference in pairs],
    }
    notes = {"meteor": f"synonyms from {meteor.wordnet}"}
    if len(predictions):
        notes["chrf"] = f"mean over samples, each {chrf.get_signature().format()}"
    return Scores.per_sample(columns, notes) | sacrebleu(predictions, references)


DEFINITIONS: dict[str, Definition] = {
    found.name: found
    for found in (
        Definition(
            name="strict",
            source="Cardiolect",
            quirks=(
                "Case, spaces, order and repetition of answers do not matter, nor does punctuation around them; full "
                "stops, commas and semicolons separate answers, except within a number.",
                'Other words do matter: "lead V1 and lead V2" and "yes, probably" are wrong.',
                "Empty outputs count as wrong.",
                "chrF is the mean over samples, not sacreBLEU's corpus value.",
            ),
            match=normalised_match,
            answer_score="em",
            text_score="rougeL",
            _answers=_strict_answers,
            _texts=_strict_texts,
        ),
        Definition(
            name="heartllm",
            source="HeartLLM (arXiv 2508.15338), utils/tools.py and utils/evaluation.py at 0b926f9",
            quirks=(
                "A full stop at the end of an answer, a space before a second answer and another case are wrong.",
                'BLEU and METEOR see "block.Marked" as one word, ROUGE as two.',
                "BLEU is a mean of smoothed sentence scores; the weights of BLEU-3 add up to 0.99.",
                "ROUGE counts a repeated n-gram once, and ROUGE-L does not depend on the order of sentences.",
            ),
            match=exact_match,
            answer_score="em",
            text_score="rougeL",
            _answers=_heartllm_answers,
            _texts=_heartllm_texts,
        ),
        Definition(
            name="ecg-bench",
            source="ECG-Bench (arXiv 2505.18847), ecg_bench/runners/elm_evaluator.py at 11cbb6a",
            quirks=(
                "Samples without output are left out there: those are the scores that end in _nonempty. A model that "
                "is silent where it is unsure scores higher.",
                "String equality: the order of several answers and case matter.",
                "Several answers are joined by a space there, and by a full stop here, as the models are taught.",
                "BERTScore needs a model from the network and is not computed.",
                "Output of full stops alone stops the evaluation there and scores 0 here.",
            ),
            match=_equal,
            answer_score="acc",
            text_score="rougeL",
            _answers=_ecg_bench_answers,
            _texts=_ecg_bench_texts,
        ),
    )
}
