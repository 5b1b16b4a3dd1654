"""Prompts to generate from."""

import numpy as np

from cardiolect.ecg_tokenizer.base import PreparedECG
from cardiolect.model.prompt.rendering import Prompt, make_prompt, render_ecgs


def prefix_ids(vocabulary, codes: np.ndarray | None, background: str = "") -> list[int]:
    """What all questions about one ECG begin with; None leaves the ECG out."""
    return render_ecgs(vocabulary, [codes], [background])[0]


def prompt_about(
    vocabulary, codes: np.ndarray | None, background: str = "", task: str = "qa", question: str = ""
) -> Prompt:
    """A prompt about one ECG given by its codes, or about none."""
    ecg = None if codes is None else PreparedECG(codes.tobytes(), codes.tolist(), codes)
    return make_prompt(vocabulary, [ecg], [background], task, question)


def varied_prompts(vocabulary) -> list[Prompt]:
    """Prompts about ECGs of different lengths and none, in no order: several for each."""
    rng = np.random.default_rng(0)
    asked = ["Does this ECG show atrial fibrillation?", "What?", "", "Is the rhythm regular, and if not, which is it?"]
    found = []
    for codes, background in ((rng.integers(0, 125, 40), "age 56"), (rng.integers(0, 125, 17), ""), (None, "age 56")):
        found += [prompt_about(vocabulary, codes, background, "qa", question) for question in asked]
        found.append(prompt_about(vocabulary, codes, background, "report"))
    return [found[i] for i in rng.permutation(len(found))]
