"""The model card of a checkpoint: README.md, with the metadata that model hubs read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader

from cardiolect.data_provider.corpora.provenance import UNKNOWN
from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG
from cardiolect.model.evaluation.floors import floors
from cardiolect.model.evaluation.notes import mix_of_answers, rule_of_means
from cardiolect.model.evaluation.tables import QUESTION_MEANS, means_of_questions
from cardiolect.model.evaluation.verdict import gaps, score_name, seen_alarm, verdict
from cardiolect.model.llm.checkpoint_folder import read_info
from cardiolect.model.llm.plain_text import plain_text_in_words
from cardiolect.model.prompt.tasks import TASKS

QUESTION = "Does this ECG show symptoms of atrial fibrillation?"


def model_card(
    info: Mapping[str, Any],
    stock: bool,
    results: Sequence[Mapping[str, Any]] = (),
    name: str = "",
    licence: str = UNKNOWN,
) -> str:
    """The text of a checkpoint's README.md.

    info: cardiolect.json. stock: whether it is a complete model that reads ECGs on stock servers. results: from
    `read_result`, each shown with floors, gap and interval; if training has seen their patients, or if that is not
    known, they are not in the metadata. licence: of the weights, as model hubs spell it.
    """
    settings = info.get("settings", {})
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"heading": _heading, "score_name": score_name, "plain_text_in_words": plain_text_in_words}
    text = environment.get_template("card.md").render(
        info=info,
        settings=settings,
        stock=stock,
        embedded="projector" in info,
        name=name,
        question=QUESTION,
        corpora=info.get("corpora", ()),
        texts=list(dict.fromkeys(f"`{Path(path).name}`" for path in settings.get("train_data", ()))),
        results=[
            dict(
                r,
                alarm=seen_alarm(r),
                question_means={
                    label: {
                        name: (mean, r["verify_means"][name][f"{score}_ci95"])
                        for name, mean in means_of_questions(r, score).items()
                    }
                    for score, label in QUESTION_MEANS.items()
                    if means_of_questions(r, score)
                },
                rule_of_means=rule_of_means(r) if "verify_means" in r else "",
                mix=mix_of_answers(r),
                title=_title(r),
                gaps=[dict(g, verdict=verdict(r, g)) for g in gaps(r)],
            )
            for r in results
        ],
    )
    data = ModelCardData(
        license=licence,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["ecg", "electrocardiogram", "cardiolect"],
        model_name=name or "ECG language model",
        # Hubs show them without the warning.
        eval_results=[m for result in results if not seen_alarm(result) for m in _metrics(result)] or None,
    )
    joined = text.replace("\\\n", "")  # line breaks within the template only
    return f"---\n{data.to_yaml()}\n---\n\n{joined.rstrip()}\n"


def _title(result: Mapping[str, Any]) -> str:
    """What was asked about which recordings; balanced and complete sets of questions are told apart."""
    files = ", ".join("/".join(Path(path).parts[-3:-1]) for path in result["settings"].get("test_data") or ())
    point = result["settings"].get("operating_point")
    notes = [f"from {files}" if files else "", f"{point} operating point" if "operating_point" in result else ""]
    listed = "; ".join(note for note in notes if note)
    return f"{TASKS[result['task']].title} on {_data_of(result)}" + (f" ({listed})" if listed else "")


def write_card(checkpoint: Path) -> None:
    """Write the card of a saved checkpoint, without results, into its folder."""
    info = read_info(checkpoint)
    adapters = (checkpoint / "adapter_config.json").is_file()
    (checkpoint / "README.md").write_text(model_card(info, stock=not adapters and "projector" not in info))


def _metrics(result: Mapping[str, Any]) -> list[EvalResult]:
    """The main score with the ECG and of every floor, and the gaps, in percent."""
    score, data, task = score_name(result["score"]), _data_of(result), TASKS[result["task"]]
    metric = score.replace(" ", "_")
    rows = [
        (metric, f"{score}, {_heading(name)}", result["conditions"][name][result["score"]])
        for name in (WITH_ECG, *floors(result["conditions"]))
    ]
    rows += [("signal-use-gap", f"signal-use gap of {score_name(gap['of'])}", gap["value"]) for gap in gaps(result)]
    return [
        EvalResult(task.pipeline_tag, data, data, metric, round(100 * value, 2), task_name=task.title, metric_name=name)
        for metric, name, value in rows
    ]


def _data_of(result: Mapping[str, Any]) -> str:
    """The names of the corpora on which a result was measured."""
    return ", ".join(Path(root).name for root in result["settings"].get("data_root", ())) or UNKNOWN


def _heading(condition: str) -> str:
    return CONDITIONS[condition].heading
