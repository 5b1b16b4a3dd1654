"""What a probe has found, as text."""

from collections.abc import Mapping

from cardiolect.ecg_tokenizer.fidelity.judging import AT_THRESHOLDS

NAME, CELL = 20, 26
NOT_KINDS = ("records", "classes")


def auroc_table(found: Mapping[str, dict], seconds: Mapping[str, float], dims: Mapping[str, int]) -> str:
    """Mean AUROCs, a line for each representation, a column for each probe."""
    lines = [f"{'mean AUROC':{NAME}}" + "".join(f"{column:>{CELL}}" for column in found) + f"{'dims':>8}{'ms/ECG':>8}"]
    for kind in dims:
        cells = "".join(f"{_cell(result, kind, 'auroc'):>{CELL}}" for result in found.values())
        lines.append(f"{kind:{NAME}}{cells}{dims[kind]:8}{1000 * seconds[kind]:8.1f}")
    return "\n".join(lines) + "\n"


def threshold_tables(found: Mapping[str, dict]) -> str:
    """The other figures, a table for each probe."""
    lines = []
    for column, result in found.items():
        heads = "".join(f"{name.replace('_', ' '):>{CELL}}" for name in AT_THRESHOLDS)
        lines += ["", f"{column:{NAME}}{heads}"]
        for kind in _kinds(result):
            lines.append(f"{kind:{NAME}}" + "".join(f"{_cell(result, kind, name):>{CELL}}" for name in AT_THRESHOLDS))
    return "\n".join(lines) + "\n"


def class_tables(found: Mapping[str, dict]) -> str:
    """The figures of each class, a table for each probe and representation."""
    lines = []
    for column, result in found.items():
        for kind in _kinds(result):
            classes = result[kind]["by_class"]
            names = [name for name in ("auroc", *AT_THRESHOLDS) if name in next(iter(classes.values()))]
            heads = "".join(f"{'AUROC' if name == 'auroc' else name.replace('_', ' '):>{CELL}}" for name in names)
            lines += [f"{column}, {kind}", f"{'class':{NAME}}{'recordings':>12}{heads}"]
            for label, figures in classes.items():
                cells = "".join(f"{_figure(figures, name):>{CELL}}" for name in names)
                lines.append(f"{label:{NAME}}{figures['recordings']:12}{cells}")
            lines.append("")
    return "\n".join(lines)


def remarks(found: Mapping[str, dict], classes: list[str]) -> str:
    """Which classes do not count, and where."""
    lines = []
    for column, result in found.items():
        judged = result.get("classes", [])
        if missing := [name for name in classes if name not in judged]:
            lines.append(
                f"{column}: {len(judged)} of {len(classes)} classes; all or none of the training or test recordings "
                f"have {_some(missing)}"
            )
        first = result[_kinds(result)[0]]["by_class"] if judged else {}
        without = [name for name, figures in first.items() if "f1" in figures and figures["f1"] is None]
        if without:
            lines.append(
                f"{column}: no threshold for {_some(without)}: all or none of the validation recordings have it"
            )
    return "".join(f"{line}\n" for line in lines)


def identification_table(found: Mapping[str, dict]) -> str:
    """Whether recordings of the same person are found, against chance."""
    names = {"rank_1": "rank-1", "auroc": "AUROC", "eer": "equal error rate"}
    lines = [
        f"\nsame person? {found['pairs']} pairs of recordings of {found['patients']} patients, among "
        f"{found['recordings']} recordings",
        " " * NAME + "".join(f"{title:>{CELL}}" for title in names.values()),
        f"{'chance':{NAME}}" + "".join(f"{100 * found['chance'][name]:>{CELL}.1f}" for name in names),
    ]
    for kind, figures in found.items():
        if isinstance(figures, dict) and kind != "chance":
            lines.append(
                f"{kind:{NAME}}"
                + "".join(f"{_with_interval(figures[name], figures[f'{name}_ci95']):>{CELL}}" for name in names)
            )
    return "\n".join(lines) + "\n"


def pairs_table(found: Mapping[str, dict]) -> str:
    """Whether ECGs find their reports again, and reports their ECGs, against chance."""
    directions = {"reports_of_ecgs": "reports of ECGs", "ecgs_of_reports": "ECGs of reports"}
    lines = [f"\nfound again among {found['pairs']} pairs with {found['distinct_reports']} distinct reports, per cent"]
    for name, figures in found.items():
        for key, title in directions.items() if isinstance(figures, dict) else ():
            each = figures[key]
            low, high = (100 * bound for bound in each["recall_1_ci95"])
            cells = [
                f"first {cut}: {100 * each[f'recall_{cut}']:.1f} (chance {100 * each[f'chance_{cut}']:.1f})"
                for cut in (1, 5, 10)
                if f"recall_{cut}" in each
            ]
            cells[0] += f" [{low:.1f}, {high:.1f}], always the commonest {100 * each['constant_1']:.1f}"
            lines.append(f"{name:{NAME}}{title}: {'; '.join(cells)}")
    return "\n".join(lines) + "\n"


def _kinds(result: Mapping) -> list[str]:
    return [kind for kind in result if kind not in NOT_KINDS]


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _cell(result: Mapping, kind: str, name: str) -> str:
    if not result:
        return "no class to judge"
    return _figure(result[kind], name) if kind in result else "-"


def _figure(figures: Mapping, name: str) -> str:
    return _with_interval(figures[name], figures["ci95" if name == "auroc" else f"{name}_ci95"])


def _with_interval(value: float | None, interval: list[float] | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + (f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "")
