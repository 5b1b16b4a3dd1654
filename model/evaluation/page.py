"""A result as one self-contained HTML page, without scripts or external resources."""

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from matplotlib.figure import Figure

from cardiolect.data_provider.ecgqa.scp_statements import NAMES
from cardiolect.model.evaluation.breakdown import FEWEST, FEWEST_PATIENTS
from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG, colours
from cardiolect.model.evaluation.floors import floors
from cardiolect.model.evaluation.lengths import lengths_line
from cardiolect.model.evaluation.notes import (
    chance_of_groups,
    chance_of_questions,
    mix_of_answers,
    retrieval_lines,
    rule_of_means,
)
from cardiolect.model.evaluation.number_tables import number_figures, numbers_note
from cardiolect.model.evaluation.operating_point import operating_point_line
from cardiolect.model.evaluation.paper_table import table_of
from cardiolect.model.evaluation.samples import Sample
from cardiolect.model.evaluation.selective_table import LABELS
from cardiolect.model.evaluation.table_rows import interval
from cardiolect.model.evaluation.tables import (
    QUESTION_MEANS,
    corpora_line,
    means_of_questions,
    seen_line,
    training_line,
)
from cardiolect.model.evaluation.verdict import gaps, score_name, seen_alarm, verdict, warnings
from cardiolect.model.prompt.tasks import TASKS
from cardiolect.utils.charts import draw_reliability, draw_scores, draw_selective

PAGE = "result.html"
MOST_GROUPS = 100  # of one kind; groups.txt has them all
CALIBRATIONS = {
    "calibration": "all closed questions",
    "calibration_of_same": "yes-or-no questions as asked",
    "calibration_at_prevalence": "the same at the data set's prevalence",
}
FILES = {  # of the scores, by style: label, ending and kind
    "csv": ("CSV", "csv", "text/csv"),
    "latex": ("LaTeX", "tex", "application/x-tex"),
    "markdown": ("Markdown", "md", "text/markdown"),
}
OPEN_GROUPS = ("question_type", "attribute_type")


@dataclass(frozen=True)
class PageExample:
    """One sample with the pictures of its ECGs. right: None if answers of its task are not right or wrong."""

    sample: Sample
    pictures: Sequence[Figure]
    right: bool | None


def render_page(result: Mapping[str, Any], examples: Sequence[PageExample] = ()) -> str:
    """The HTML page of a result, with ``examples`` of its samples."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    environment.filters["score_name"] = score_name
    names = list(result["conditions"])
    checkpoint = result.get("checkpoint", {})
    task, settings = TASKS[result["task"]], result["settings"]
    # Not if all texts with the ECG were cut off.
    reliability = [
        (words, _picture(draw_reliability(result[key][WITH_ECG]["bins"])))
        for key, words in CALIBRATIONS.items()
        if WITH_ECG in result.get(key, {})
    ]
    alarm = seen_alarm(result)
    page = environment.get_template("page.html").render(
        r=result,
        title=f"{task.units.capitalize()}: {Path(settings.get('checkpoint', '')).as_posix() or 'evaluation'}",
        asked_about=corpora_line(result.get("data", {}).get("corpora", ())),
        units=task.units,
        names=names,
        question_means={
            label: (means, {name: result["verify_means"][name][f"{score}_ci95"] for name in means})
            for score, label in QUESTION_MEANS.items()
            if (means := means_of_questions(result, score))
        },
        rule_of_means=rule_of_means(result),
        mix=mix_of_answers(result),
        chance_of_questions=chance_of_questions(result),
        numbers_note=numbers_note(result),
        operating_point_line=operating_point_line(result),
        number_figures=number_figures,
        number_interval=interval,
        selective_labels=LABELS,
        selective_picture=_selective_picture(result),
        calibrations=CALIBRATIONS,
        floors=floors(names),
        conditions=CONDITIONS,
        gaps=[(gap, verdict(result, gap)) for gap in gaps(result)],
        bars=_bars(result),
        fewest=f"{FEWEST} samples of {FEWEST_PATIENTS} patients",
        groups={key: _largest(groups) for key, groups in result.get("groups", {}).items()},
        chance={key: chance_of_groups(groups) for key, groups in result.get("groups", {}).items()},
        open_groups=OPEN_GROUPS,
        reliability=reliability,
        examples=[
            {
                "sample": e.sample,
                "pictures": [_picture(figure) for figure in e.pictures],
                "mark": {True: "right", False: "wrong", None: ""}[e.right],
            }
            for e in examples
        ],
        drawn=_drawn(result, examples),
        downloads=_downloads(result),
        alarm=alarm,
        warnings=[each for each in warnings(result) if each != alarm],
        seen_line=seen_line(result.get("seen", {})),
        lengths_line=lengths_line(result.get("data", {}).get("lengths", {})),
        retrieval_lines=retrieval_lines(result),
        exact_match=task.exact_match,
        code_names=NAMES,
        provenance=[
            *(
                (f"checkpoint, {key.replace('_', ' ')}", value)
                for key, value in checkpoint.items()
                if value is not None and not isinstance(value, dict | list)  # the settings are below
            ),
            *([("checkpoint, trained on", training_line(trained))] if (trained := checkpoint.get("corpora")) else []),
            *((f"data, {key.replace('_', ' ')}", json.dumps(value)) for key, value in result.get("data", {}).items()),
            ("predictions, SHA-256", result["predictions"]["sha256"]),
            ("versions", ", ".join(f"{name} {version}" for name, version in result["versions"].items())),
        ],
    )
    return _with_contents(page)


def _with_contents(page: str) -> str:
    """The page with a list of its headings, each a link."""
    heads: list[tuple[str, str]] = []

    def anchored(found: re.Match) -> str:
        anchor = re.sub(r"\W+", "-", found[1].lower())
        heads.append((anchor, found[1]))
        return f'<h2 id="{anchor}">{found[1]}</h2>'

    page = re.sub(r"<h2>(.*?)</h2>", anchored, page)
    links = " · ".join(f'<a href="#{anchor}">{head}</a>' for anchor, head in heads)
    return page.replace("<!-- contents -->", f'<nav aria-label="Contents">{links}</nav>', 1)


def _downloads(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Label, name and data URL of the scores as files for a paper, see `paper_table`."""
    name = Path(result["settings"].get("output_dir", "")).name or "scores"
    files = []
    for style, (label, ending, kind) in FILES.items():
        text = base64.b64encode(f"{table_of(result, name, style)}\n".encode()).decode()
        files.append((label, f"{name}.{ending}", f"data:{kind};charset=utf-8;base64,{text}"))
    return files


def _largest(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The `MOST_GROUPS` groups with the most samples, in their order."""
    kept = set(sorted(groups, key=lambda group: -groups[group]["n"])[:MOST_GROUPS])
    return {group: cell for group, cell in groups.items() if group in kept}


def _drawn(result: Mapping[str, Any], examples: Sequence[PageExample]) -> str:
    seed = result["settings"].get("seed")
    if not TASKS[result["task"]].exact_match:
        return f"{len(examples)} samples, drawn at random (SEED={seed})."
    counted = result.get("in_exact_match", result["samples"])
    right = round(result["conditions"][WITH_ECG]["em"] * counted)
    hits = sum(example.right is True for example in examples)
    return (
        f"Drawn at random (SEED={seed}): {hits} of the {right} right answers and {len(examples) - hits} of the "
        f"{counted - right} wrong ones."
    )


def _bars(result: Mapping[str, Any]) -> str:
    labels = {name: CONDITIONS[name].heading for name in result["conditions"]}
    if TASKS[result["task"]].exact_match:
        groups = {
            f"all ({result.get('in_exact_match', result['samples'])})": {
                name: row["em"] for name, row in result["conditions"].items()
            }
        }
        for key in OPEN_GROUPS:
            for group, cell in result.get("groups", {}).get(key, {}).items():
                groups[f"{group.replace('_', ' ')} ({cell['n']})"] = cell["em"]
    else:
        groups = {
            score: {name: row[score] for name, row in result["conditions"].items()}
            for score in result["conditions"][WITH_ECG]
            if all(0 <= row[score] <= 1 for row in result["conditions"].values())
        }
    ends = result.get("ci95", {})
    whiskers = {group: ends.get(group, {}) for group in groups}
    if "em" in ends:
        whiskers[next(iter(groups))] = ends["em"]

    def named(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        return {group: {labels[name]: value for name, value in row.items()} for group, row in rows.items()}

    return _picture(draw_scores(named(groups), colours(labels), intervals=named(whiskers)))


def _selective_picture(result: Mapping[str, Any]) -> str:
    curves = {LABELS[name]: found["curve"] for name, found in result.get("selective", {}).items()}
    return _picture(draw_selective(curves)) if curves else ""


def _picture(figure: Figure) -> str:
    """A data URL. Lines on paper need few colours, which makes the page small."""
    from PIL import Image

    raw, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=110)
    Image.open(raw).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(packed, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode()
