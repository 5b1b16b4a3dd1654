"""Pairs of a predicted and a reference report, and the BLEU of NLTK over such pairs."""

import random

from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu

REPORTS = [
    (
        "sinus rhythm.left bundle branch block.no acute st changes",
        "sinus rhythm.complete left bundle branch block.no acute st changes seen",
    ),
    (
        "atrial fibrillation with a rapid ventricular response",
        "atrial fibrillation with rapid ventricular response.low voltage",
    ),
    ("block block block. sinus rhythm . block", "sinus rhythm.block.sinus rhythm"),
    ("normal ecg", "sinus rhythm.normal ecg"),
]
PREDICTIONS, REFERENCES = ([pair[k] for pair in REPORTS] for k in (0, 1))
METHOD_1 = SmoothingFunction().method1


def random_reports(n, seed=0):
    rng = random.Random(seed)
    vocabulary = ["a", "b", "c", "d", "e", "f", ".", ".", ".a", "b.", "c."]
    return [" ".join(["f", *rng.choices(vocabulary, k=rng.randint(0, 14))]) for _ in range(n)]


def nltk_bleu4(predictions, references):
    return corpus_bleu([[r.split()] for r in references], [p.split() for p in predictions], smoothing_function=METHOD_1)
