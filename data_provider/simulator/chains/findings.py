"""Whether a simulated ECG meets a criterion of ECG-Reasoning-Benchmark, and in which leads."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cardiolect.data_provider.ecgqa.findings import LBBB, UNSPECIFIC_DELAY
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.chains import beat_waves as waves
from cardiolect.data_provider.simulator.chains.beat_waves import Criterion, judge
from cardiolect.data_provider.simulator.chains.facts import Facts
from cardiolect.data_provider.simulator.varied.heart import SINUS

INFERIOR, LATERAL = ("II", "III", "aVF"), ("I", "aVL", "V5", "V6")


class Found(NamedTuple):
    """met: None if it is open. leads: whether each lead shows it, if it is about leads; own: those that it names."""

    met: bool | None
    leads: dict[str, bool | None]
    own: tuple[str, ...] = ()


Finding = Callable[[Facts], Found]


def find(criterion: str, facts: Facts) -> Found:
    """Judge a criterion, by its text in the table of wordings. KeyError if it is not known here."""
    return _FINDINGS[criterion](facts)


def _in_leads(leads: Sequence[str], least: int, *criteria: Criterion) -> Finding:
    """At least so many of the leads; criteria: one for all of them, or one for each."""
    of_lead = dict(zip(leads, criteria if len(criteria) > 1 else criteria * len(leads), strict=True))

    def met(facts: Facts) -> Found:
        shown = {lead: judge(of_lead.get(lead, criteria[-1]), facts.leads[lead]) for lead in LEADS}
        states = [shown[lead] for lead in leads]
        if states.count(True) >= least:
            return Found(True, shown, tuple(leads))
        possible = states.count(True) + states.count(None) >= least
        return Found(None if possible else False, shown, tuple(leads))

    return met


def _above(limit: float, margin: float, value: Callable[[Facts], float]) -> Finding:
    return lambda facts: Found(_side(value(facts), limit, margin), {})


def _side(value: float, limit: float, margin: float) -> bool | None:
    return None if abs(value - limit) <= margin else value > limit


def _axis(low: float, high: float) -> Finding:
    def met(facts: Facts) -> Found:
        ends = [_side(axis_of(facts), low, 3.0), _side(high, axis_of(facts), 3.0)]
        return Found(False if False in ends else None if None in ends else True, {})

    return met


def axis_of(facts: Facts) -> float:
    """The QRS axis in degrees, from -180 to 180."""
    return (facts.truth.measures["axis"] + 180) % 360 - 180


def _lbbb(facts: Facts) -> Found:
    kind = facts.condition.conduction
    return Found(None if kind == UNSPECIFIC_DELAY else kind == LBBB, {})


def _conducted(facts: Facts) -> Found:
    """Every P wave is followed by a QRS complex in sinus rhythm, as it is simulated; other rhythms have no P."""
    return Found(True if facts.condition.rhythm == SINUS else None, {})


def _premature(facts: Facts) -> Found:
    """Premature beats of a regular rhythm; in an irregular one, nobody can tell."""
    irregular = facts.condition.rhythm != SINUS or "SARRH" in {*facts.truth.codes, *facts.truth.open}
    early = any(beat.kind != "normal" for beat in facts.beats[1:])
    if irregular or (facts.truth.ectopy and not early):
        return Found(None, {})
    return Found(early, {})


def _premature_prolonged(facts: Facts) -> Found:
    kind = next(beat.kind for beat in facts.beats[1:] if beat.kind != "normal")
    longer = facts.qrs_seconds(kind) - facts.condition.qrs
    return Found(None if 0.01 < longer < 0.03 else longer >= 0.03, {})


def largest(facts: Facts, value: float) -> float:
    """A voltage in mV, in the largest normal beat of the recording."""
    return value * max(beat.size for beat in facts.beats if beat.kind == "normal")


def _sokolow(facts: Facts) -> float:
    return largest(facts, facts.leads["V1"].s + max(facts.leads["V5"].r, facts.leads["V6"].r))


def _cornell_product(facts: Facts) -> float:
    return (facts.leads["aVL"].r + facts.leads["V3"].s) * facts.condition.qrs


_PREMATURE = "QRS prolongation in the premature beat compared to normal beats"
_FINDINGS: dict[str, Finding] = {
    "Presence of ST-segment depression in anterior leads": _in_leads(
        ("V2", "V3", "V4"), 2, waves.st_depressed(0.1), *[waves.st_depressed(0.07)] * 2
    ),
    "Presence of ST-segment depression in inferior leads": _in_leads(INFERIOR, 2, waves.st_depressed(0.07)),
    "Presence of ST-segment depression in lateral leads": _in_leads(LATERAL, 2, waves.st_depressed(0.07)),
    "Presence of inverted T waves in anterior leads": _in_leads(("V2", "V3", "V4"), 2, waves.t_inverted),
    "Presence of inverted T waves in inferior leads": _in_leads(INFERIOR, 2, waves.t_inverted),
    "Presence of inverted T waves in lateral leads": _in_leads(LATERAL, 2, waves.t_inverted),
    "Presence of ST-segment elevation in anterior leads": _in_leads(LEADS[6:10], 2, waves.st_elevated(0.1)),
    "Presence of ST-segment elevation in inferior leads": _in_leads(INFERIOR, 2, waves.st_elevated(0.1)),
    "Presence of ST-segment elevation in lateral leads": _in_leads(LATERAL, 2, waves.st_elevated(0.1)),
    "Presence of pathological Q waves in anterior leads": _in_leads(LEADS[6:10], 2, waves.pathological_q(0.075)),
    "Presence of pathological Q waves in inferior leads": _in_leads(INFERIOR, 2, waves.pathological_q(None)),
    "Presence of pathological Q waves in lateral leads": _in_leads(LATERAL, 2, waves.pathological_q(None)),
    "Prolongation of the QRS duration": _above(0.120, 0.001, lambda facts: facts.condition.qrs),
    "Presence of a dominant S wave in leads V1 and V2": _in_leads(("V1", "V2"), 2, waves.dominant_s),
    "Presence of a positive monophasic QRS complex without a Q wave in lateral leads": _in_leads(
        ("I", "aVL", "V6"), 2, waves.monophasic_r
    ),
    "Presence of a notched R wave in lateral leads": _in_leads(LATERAL, 1, waves.notched_r),
    "Presence of a broad monophasic R wave with a prolonged R wave peak time in leads V5 and V6": _in_leads(
        ("V5", "V6"), 1, waves.late_r_peak
    ),
    "Presence of an RSR' pattern in leads V1 and V2": _in_leads(("V1", "V2"), 1, waves.rsr),
    "Presence of a broad monophasic R wave or qR pattern in lead V1": _in_leads(("V1",), 1, waves.broad_r_or_q_r),
    "Presence of a slurred S wave in lateral leads": _in_leads(LATERAL, 2, waves.slurred_s),
    "Evidence of consistent 1:1 atrioventricular conduction": _conducted,
    "Prolongation of the PR interval": _above(0.200, 0.001, lambda facts: facts.condition.pr),
    "Presence of left bundle branch block": _lbbb,
    "Presence of left axis deviation": _axis(-90.0, -30.0),
    "Presence of right axis deviation": _axis(90.0, 180.0),
    "Presence of a qR pattern in leads I and aVL": _in_leads(("I", "aVL"), 1, waves.q_r),
    "Presence of an rS pattern in leads II, III, and aVF": _in_leads(INFERIOR, 1, waves.r_s),
    "Presence of an rS pattern in leads I and aVL": _in_leads(("I", "aVL"), 1, waves.r_s),
    "Presence of a qR pattern in leads II, III, and aVF": _in_leads(INFERIOR, 1, waves.q_r),
    "R wave amplitude in lead aVL > 1.1mV": _above(1.1, 0.05, lambda facts: largest(facts, facts.leads["aVL"].r)),
    "Sum of S amplitude in V1 and R amplitude in V5/V6 > 3.5mV": _above(3.5, 0.15, _sokolow),
    "Cornell Product ((R amplitude in aVL + S amplitude in V3) x QRS duration) > 0.244mV*s": _above(
        0.244, 0.024, _cornell_product
    ),
    "Presence of an LV strain pattern in lateral leads": _in_leads(LATERAL, 1, waves.strain),
    "Presence of premature beats": _premature,
    f"Absence of significant {_PREMATURE}": _premature_prolonged,  # the question is whether it is prolonged
    f"Presence of significant {_PREMATURE}": _premature_prolonged,
}
