"""Draw the data's way, from a file to a score: ``python docs/figures/data_way.py`` writes data_way.svg beside itself.

One second of an ECG stands above the codes of its frames, and these above the prompt. An illustration: the trace is a
formula, the codes are a coarse reading of it, the scores are those of docs/RESULTS.md.
"""

import math
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, FRAMES = 940, 196, 744, 21  # 21 frames of 48 ms are one second
FRAME = (RIGHT - LEFT) / FRAMES
LIGHT = {
    "page": "#ffffff",
    "edge": "#d5dae1",
    "ink": "#1c2330",
    "soft": "#5a6576",
    "grid": "#f6d9d9",
    "trace": "#1c2330",
    "code": "#dcebfb",
    "codeink": "#12467f",
    "text": "#eceff3",
    "answer": "#d9f0df",
    "answerink": "#14602e",
    "bar": "#2f7ed8",
    "floor": "#b9c2cf",
    "model": "#f3e8fb",
    "modelink": "#5b2a86",
}
DARK = {
    "page": "#161b22",
    "edge": "#343c47",
    "ink": "#e6ebf2",
    "soft": "#9aa6b6",
    "grid": "#43292d",
    "trace": "#e6ebf2",
    "code": "#173654",
    "codeink": "#a9d1fb",
    "text": "#272e38",
    "answer": "#173d25",
    "answerink": "#8fe0a9",
    "bar": "#4c97ea",
    "floor": "#566273",
    "model": "#35234a",
    "modelink": "#d7b6f5",
}


def millivolts(t: float) -> float:
    """A beat of lead II at ``t`` seconds: P, Q, R, S and T as bells of their place, width and height."""
    beats = ((0.20, 0.024, 0.13), (0.335, 0.009, -0.11), (0.36, 0.012, 1.15), (0.39, 0.011, -0.24), (0.62, 0.05, 0.31))
    return sum(height * math.exp(-((t - at) ** 2) / (2 * width**2)) for at, width, height in beats)


def code(frame: int) -> int:
    """A stand-in for the tokenizer: mean, slope and bend of a frame on a few levels each; like frames, like codes."""
    first, middle, last = (millivolts((frame + part) * 0.048) for part in (0, 0.5, 1))
    features = (first + middle + last) / 3, last - first, 2 * middle - first - last
    number = 0
    for value, size in zip(features, (15, 13, 13), strict=True):
        level = round((math.tanh(4 * value) + 1) / 2 * (size - 1))
        number = number * size + level
    return number


class Drawing:
    """SVG elements; colours are classes, so that one file serves light and dark pages."""

    def __init__(self):
        self.parts: list[str] = []

    def rect(self, x, y, width, height, kind, radius=4):
        self.parts.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}"/>'
        )

    def text(self, x, y, words, kind="ink", size=13, anchor="start", more=""):
        self.parts.append(
            f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{more}>'
            f"{escape(words)}</text>"
        )

    def path(self, data, kind, width=1.4):
        self.parts.append(f'<path class="{kind} line" d="{data}" stroke-width="{width}"/>')

    def stage(self, y, height, title, lines, room):
        """The words left of a drawing, and right of it the folder whose code does it."""
        top = y + height / 2 - 8 * len(lines) + 4
        self.text(24, top, title, size=15, more=' font-weight="600"')
        for number, line in enumerate(lines, 1):
            self.text(24, top + 17 * number, line, "soft", 12)
        for number, line in enumerate(room):
            self.text(RIGHT + 24, y + height / 2 + 4 + 16 * (number - (len(room) - 1) / 2), line, "soft mono", 12)

    def arrow(self, y, words):
        """Down from ``y`` over 26 px, with the step's name."""
        x = LEFT + 24
        self.path(f"M{x:.1f} {y:.1f}v18", "soft")
        self.path(f"M{x - 4.5:.1f} {y + 13:.1f}l4.5 5.5l4.5 -5.5", "soft")
        self.text(x + 14, y + 14, words, "soft", 12)


def draw() -> tuple[str, int]:
    """All elements, and the height of the picture."""
    d = Drawing()
    y = 24
    d.stage(y, 44, "Record file", ["any rate, unit, lead order"], ["data_provider/", "readers/"])
    kinds = ("WFDB", "DICOM", "EDF", "HL7 aECG", "MUSE", "HDF5", "CSV, NPY")
    step = (RIGHT - LEFT) / len(kinds)
    for number, kind in enumerate(kinds):
        d.rect(LEFT + number * step + 3, y + 7, step - 6, 30, "text")
        d.text(LEFT + (number + 0.5) * step, y + 27, kind, size=12, anchor="middle")
    d.arrow(y + 48, "read_record: leads by name, damage masked or named")

    y = 100
    d.stage(y, 112, "ECGRecord", ["float32 mV (12, T)", "leads I ... V6"], ["data_provider/", "record.py"])
    for frame in range(FRAMES + 1):
        d.path(f"M{LEFT + frame * FRAME:.1f} {y}v112", "grid", 1)
    for row in range(5):
        d.path(f"M{LEFT} {y + 28 * row}H{RIGHT}", "grid", 1)
    points = (f"{LEFT + t * FRAME * FRAMES:.1f} {y + 92 - 68 * millivolts(t * 1.008):.1f}" for t in _steps(420))
    d.path("M" + "L".join(points), "trace", 1.8)
    d.text(RIGHT - 6, y + 16, "one second of lead II", "soft", 11, "end")
    d.arrow(y + 116, "ECGTokenizer.encode (stage 1 trains it)")

    y = 244
    d.stage(y, 30, "Codes", ["uint16, one per frame"], ["ecg_tokenizer/", "cached on disk"])
    for frame in range(FRAMES):
        d.rect(LEFT + frame * FRAME + 1, y + 2, FRAME - 2, 26, "code", 3)
        d.text(LEFT + (frame + 0.5) * FRAME, y + 19, str(code(frame)), "codeink", 9, "middle")
    d.arrow(y + 34, "render: one place for training, evaluation, chat and serving")

    y = 308
    d.stage(y, 66, "Prompt", ["token ids and loss mask", "ECG first, question after"], ["model/prompt/"])
    chips = [("<|ecg_start|>", "text", "ink")]
    chips += [(f"<|ecg_{code(frame)}|>", "code", "codeink") for frame in (0, 1, 2)]
    chips += [("...", "code", "codeink"), (f"<|ecg_{code(20)}|>", "code", "codeink"), ("<|ecg_end|>", "text", "ink")]
    _chips(d, y + 2, chips)
    words = [("Question: Does this ECG show atrial fibrillation?", "text", "ink"), ("Answer:", "text", "ink")]
    _chips(d, y + 36, [*words, ("no", "answer", "answerink"), ("<end>", "answer", "answerink")])
    d.arrow(y + 70, "stage 2 supervises every ECG token, stage 3 the green ones")

    y = 408
    d.stage(y, 40, "Language model", ["a stock causal LM"], ["model/training/", "model/inference/"])
    d.rect(LEFT, y, RIGHT - LEFT, 40, "model", 6)
    line = "unmodified AutoModelForCausalLM: Llama, Qwen, Mistral, Gemma ..."
    d.text((LEFT + RIGHT) / 2, y + 25, line, "modelink", 13, "middle")
    d.arrow(y + 44, "answers with the ECG, without it, and with another patient's")

    y = 482
    d.stage(
        y,
        82,
        "Scores",
        ["always with their floors", "gap: score - best floor"],
        ["model/evaluation/", "utils/metrics/"],
    )
    for number, (words, percent) in enumerate(
        (("with the ECG", 91.1), ("no ECG", 38.5), ("another patient's ECG", 39.1), ("majority answer", 37.6))
    ):
        top = y + 2 + 20 * number
        d.text(LEFT + 148, top + 13, words, "ink" if not number else "soft", 12, "end")
        d.rect(LEFT + 158, top + 2, 3.4 * percent, 14, "floor" if number else "bar", 2)
        d.text(LEFT + 166 + 3.4 * percent, top + 13, f"{percent} %", "ink" if not number else "soft", 12)
    d.text(RIGHT, y + 74, "quickstart, exact match", "soft", 11, "end")
    return "\n".join(d.parts), 588


def _steps(count: int) -> list[float]:
    return [number / count for number in range(count + 1)]


def _chips(d: Drawing, y: float, chips: list[tuple[str, str, str]]) -> None:
    """A row of tokens, as wide together as the time axis; each in proportion to its letters."""
    gap = 4
    free = RIGHT - LEFT - gap * (len(chips) - 1)
    sizes = [len(words) + 3 for words, _, _ in chips]
    x = LEFT
    for (words, kind, ink), size in zip(chips, sizes, strict=True):
        width = free * size / sum(sizes)
        d.rect(x, y, width, 27, kind)
        d.text(x + width / 2, y + 18, words, f"{ink} mono" if words.startswith("<|") else ink, 11, "middle")
        x += width + gap


def style(colours: dict[str, str]) -> str:
    """CSS rules: the class of an element is the name of its colour."""
    rules = [f".{name}{{fill:{colour}}}" for name, colour in colours.items()]
    rules += [f".{name}.line{{fill:none;stroke:{colours[name]}}}" for name in ("soft", "grid", "trace")]
    return "".join(rules) + f".page{{stroke:{colours['edge']}}}"


def both() -> str:
    """Rules for light pages, and for dark ones where the reader prefers them."""
    return style(LIGHT) + "@media (prefers-color-scheme:dark){" + style(DARK) + "}"


def page(css: str) -> str:
    """The whole SVG with these rules."""
    body, height = draw()
    fonts = "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}"
    fonts += ".mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-label="From a record file to scores: millivolts, codes, prompt, language model, answer">\n'
        f'<style>{fonts}{css}</style>\n<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" '
        f'rx="10"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(page(both()))
