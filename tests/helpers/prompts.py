"""Prompts to generate from."""

import numpy as np

from cardiolect.model.inference.generation import Prompt
from cardiolect.model.prompt.rendering import render_ecg, render_prompt


def varied_prompts(vocabulary) -> list:
    """Prompts about ECGs of different lengths and none, in no order: several behind each."""

    rng = np.random.default_rng(0)
    asked = ["Does this ECG show atrial fibrillation?", "What?", "", "Is the rhythm regular, and if not, which is it?"]
    found = []
    for ecg, background in ((rng.integers(0, 125, 40), "age 56"), (rng.integers(0, 125, 17), ""), (None, "age 56")):
        prefix = tuple(render_ecg(vocabulary, ecg, background))
        found += [Prompt(prefix, tuple(render_prompt(vocabulary, "qa", question))) for question in asked]
        found.append(Prompt(prefix, tuple(render_prompt(vocabulary, "report"))))
    return [found[i] for i in rng.permutation(len(found))]
