"""From predictions to scores: exact match of answers, overlap of reports, floors, and the signal-use gap."""

from collections.abc import Sequence

import numpy as np

from data_provider.examples import Example
from data_provider.simulator.reports import findings_in, load_true_findings
from data_provider.simulator.truth import ABNORMAL, NORMAL
from data_provider.simulator.truth import UNREMARKABLE as NOT_DIAGNOSES
from model.rendering import answer_text
from model.settings import EvalSettings
from utils.metrics import (
    MajorityAnswers,
    Scores,
    bootstrap_score,
    definition,
    exact_match_by,
    find_wordnet,
    finding_scores,
    verify_scores,
)

HEADINGS = {
    "with_ecg": "with ECG",
    "no_ecg": "no ECG",
    "other_ecg": "other ECG",
    "majority": "majority",
    "majority_per_question": "maj./question",
}


def score(
    examples: Sequence[Example],
    predictions: dict[str, list[str]],
    margins: dict[str, list[float]],
    settings: EvalSettings,
    info: dict,
) -> dict:
    """All scores of one evaluation as a JSON-ready dict; fractions of 1.

    predictions: condition -> one text per example. margins: condition -> how much more likely than "no" each answer
    begins with "yes" (difference of logits); empty where that is not known. info: of the checkpoint; brings the
    majority answers of training.
    """
    chosen = definition(settings.metrics)
    shared = {
        "task": settings.tasktype,
        "samples": len(examples),
        "derived": sum(e.provenance == "derived" for e in examples),
        "records": len({i for e in examples for i in e.record_ids}),
        "patients": len({patient for e in examples for patient in e.patients}),
        "metrics": {"name": chosen.name, "source": chosen.source, "quirks": list(chosen.quirks)},
        "settings": settings.model_dump(mode="json"),
        "ecg_tokenizer_fingerprint": info.get("ecg_tokenizer_fingerprint"),
        "checkpoint_data_fingerprint": info.get("data_fingerprint"),
        "versions": info.get("versions"),
    }
    if settings.tasktype != "qa":
        return {**shared, **_score_reports(examples, predictions, settings)}
    verify = {
        name: verify_scores([e.question for e in examples], [e.answers for e in examples], texts, margins.get(name))
        for name, texts in predictions.items()
    }
    return {**shared, **_score_answers(examples, predictions, settings, info), "verify": verify}


def _score_answers(examples, predictions, settings, info) -> dict:
    predictions = dict(predictions)
    if "majority_answers" in info:
        majority = MajorityAnswers.from_json(info["majority_answers"])
        for name, level in (("majority", "template"), ("majority_per_question", "question")):
            predictions[name] = [answer_text(majority.predict(e, level)) for e in examples]
    chosen = definition(settings.metrics)
    conditions, scored = {}, {}
    for name, texts in predictions.items():
        rows = [
            {
                "prediction": t,
                "answers": e.answers,
                "question_type": e.question_type,
                "attribute_type": e.attribute_type,
            }
            for t, e in zip(texts, examples, strict=True)
        ]
        scored[name] = chosen.score_answers(texts, [e.answers for e in examples])
        conditions[name] = {**scored[name].values, **exact_match_by(rows, match=chosen.match)}
    result = {
        "metric": f"exact match, METRICS={chosen.name}",
        "notes": scored["with_ecg"].notes,
        "conditions": conditions,
    }
    if len(scored) > 1:
        result["gap"] = _gap(chosen.answer_score, scored, [e.patients for e in examples], settings)
    return result


def _score_reports(examples, predictions, settings) -> dict:
    references = [e.answers[0] for e in examples]
    chosen = definition(settings.metrics)
    scored = {name: chosen.score_texts(texts, references) for name, texts in predictions.items()}
    result = {
        "metric": f"METRICS={chosen.name}",
        "notes": scored["with_ecg"].notes,
        "wordnet": find_wordnet().source,
        "conditions": {name: scores.values for name, scores in scored.items()},
    }
    truths = load_true_findings(settings.data_root[0]) if len(settings.data_root) == 1 else None
    if truths is not None:
        truth = [truths[e.records[0].record_id] for e in examples]
        for name, texts in predictions.items():
            found = finding_scores([findings_in(text) for text in texts], truth)
            result["conditions"][name]["finding_f1"] = found["macro_f1"]
            rows = [
                row["f1"]
                for finding, row in found["per_finding"].items()
                if finding not in {*NOT_DIAGNOSES, NORMAL, ABNORMAL}
            ]
            result["conditions"][name]["diagnosis_f1"] = float(np.mean(rows))
            result.setdefault("findings", {})[name] = found
    if len(scored) > 1:
        patients = [e.patients for e in examples]
        result["gap"] = {"of": chosen.text_score, **_gap(chosen.text_score, scored, patients, settings)}
    return result


def _gap(score: str, conditions: dict[str, Scores], patients: list[tuple[str, ...]], settings: EvalSettings) -> dict:
    """Signal-use gap: the score with the ECG less the best floor, with a bootstrap interval over patients."""
    floors = [name for name in conditions if name != "with_ecg"]
    interval = bootstrap_score(
        score,
        conditions,
        patients,
        lambda values: values["with_ecg"] - max(values[name] for name in floors),
        n_resamples=settings.bootstrap_resamples,
        seed=settings.seed,
    )
    best = max(floors, key=lambda name: conditions[name].values[score])
    return {"value": interval.value, "ci95": [interval.low, interval.high], "best_floor": best}


def scores_table(result: dict) -> str:
    """The scores for a terminal, percent."""
    names = list(result["conditions"])
    lines = [
        f"{result['task']}: {result['samples']} samples of {result['records']} recordings, "
        f"{result['patients']} patients; {result['metric']}; percent",
        _row("", [HEADINGS[name] for name in names]),
    ]
    if result["derived"]:
        lines.insert(1, f"{result['derived']} samples are derived from labels: they compare with no published score")
    if result["task"] == "qa":
        first = result["conditions"]["with_ecg"]
        lines.append(_row(f"all ({first['n']})", [result["conditions"][n]["em"] for n in names]))
        for key in (k for k, value in first.items() if isinstance(value, float) and k not in ("em", "em_macro")):
            lines.append(_row(key, [result["conditions"][n][key] for n in names]))
        for key in ("em_by_type", "em_by_attribute"):
            for kind, cell in sorted(first.get(key, {}).items()):
                values = [result["conditions"][n][key][kind]["em"] for n in names]
                lines.append(_row(f"{kind} ({cell['n']})", values))
    else:
        for key in result["conditions"]["with_ecg"]:
            lines.append(_row(key, [result["conditions"][n].get(key) for n in names]))
    lines += [f"{key}: {note}" for key, note in result["notes"].items()]
    if result.get("verify", {}).get("with_ecg"):
        rows = {name: found.values() for name, found in result["verify"].items()}
        means = [np.mean([row["balanced_accuracy"] for row in rows[n]]) if n in rows else None for n in names]
        lines.append(_row(f"balanced accuracy ({len(rows['with_ecg'])} questions)", means))
    if "gap" in result:
        gap, (low, high) = result["gap"], result["gap"]["ci95"]
        interval = "" if low is None else f" [{100 * low:.1f}, {100 * high:.1f}] (95 %, over patients)"
        lines.append(
            f"signal-use gap: {100 * gap['value']:+.1f} points{interval} against the best floor, "
            f"{HEADINGS[gap['best_floor']]}"
        )
    return "\n".join(lines)


def verify_table(result: dict) -> str:
    """Yes-or-no questions one by one for a terminal, percent; "" where there are none."""
    with_ecg, *floors = result["verify"].items()
    if not with_ecg[1]:
        return ""
    lines = [
        "yes-or-no questions: sensitivity, specificity with 95 % intervals, balanced accuracy (50: guessing); percent",
        f"{'yes':>5}{'no':>6}{'sensitivity':>18}{'specificity':>18}{'balanced':>10}{'AUROC':>8}"
        + "".join(f"{HEADINGS[name]:>12}" for name, _ in floors) + "  question",
    ]  # fmt: skip
    for question, row in with_ecg[1].items():
        cells = [
            f"{100 * row[key]:.0f} [{100 * row[key + '_ci95'][0]:.0f}, {100 * row[key + '_ci95'][1]:.0f}]"
            for key in ("sensitivity", "specificity")
        ]
        ranked = f"{100 * row['auroc']:.0f}" if "auroc" in row else "-"
        lines.append(
            f"{row['yes']:5}{row['no']:6}{cells[0]:>18}{cells[1]:>18}{100 * row['balanced_accuracy']:10.0f}{ranked:>8}"
            + "".join(f"{100 * floor[question]['balanced_accuracy']:12.0f}" for _, floor in floors) + f"  {question}"
        )  # fmt: skip
    return "\n".join(lines)


def _row(label: str, cells: Sequence[str | float | None]) -> str:
    texts = [c if isinstance(c, str) else "-" if c is None else f"{100 * c:.1f}" for c in cells]
    return f"{label:38}" + "".join(f"{text:>15}" for text in texts)
