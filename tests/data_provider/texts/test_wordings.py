"""Free wording becomes the trained question of the same meaning, or none if a word could change the meaning."""

import pytest

from cardiolect.data_provider.ecgqa import derived
from cardiolect.data_provider.simulator.questions import questions as simulated_questions
from cardiolect.data_provider.texts.numbers import QUANTITIES
from cardiolect.data_provider.texts.wordings import NEGATED, NO_ECG, SEVERAL, UNTRAINED, normal_form, understand

TRAINED = frozenset(
    {
        *(question.text for question in derived.questions()),
        *(question.text for question in simulated_questions()),
        *(quantity.question for quantity in QUANTITIES),
        "Does this ECG show any kind of noises in lead II?",
        "Report",
    }
)
SYMPTOM = "Does this ECG show symptoms of {}?"
AF, LBBB, RBBB, LVH = (
    SYMPTOM.format(name)
    for name in (
        "atrial fibrillation",
        "complete left bundle branch block",
        "complete right bundle branch block",
        "left ventricular hypertrophy",
    )
)
RHYTHM, RATE = "What rhythm-related symptoms does this ECG show?", "What is the heart rate?"
INFERIOR, ANTERIOR = (SYMPTOM.format(f"myocardial infarction in {wall} leads") for wall in ("inferior", "anterior"))
PVC, ANY_BEATS = "Does this ECG show ventricular extrasystoles?", "Does this ECG show any kind of extra systoles?"
NOISE, NOISES = "Does this ECG show any kind of noises?", "What kinds of noises does this ECG show?"
AXIS, QRS, QTC = (
    "What direction is this ECG deviated to?",
    "How long is the QRS complex?",
    "How long is the corrected QT interval?",
)
T_WAVE, LONG_QT = SYMPTOM.format("inverted t-waves"), SYMPTOM.format("long qt-interval")
ST, AVB = SYMPTOM.format("non-specific st depression"), SYMPTOM.format("first degree av block")

UNDERSTOOD = {
    AF: "Is there AF?|afib?|a-fib|AF|Is this atrial fibrillation?|Does the ECG show AF?|"
    "any signs of atrial fibrillation?|Is the patient in AF?|Can you see any afib on this tracing?|Could this be AF?|"
    "does this ecg show atrial fibrillation|"
    "Is there any evidence of atrial fibrillation on this ECG?|AF, yes or no?|Please tell me if there is AF|"
    "does this ecg show symptoms of ATRIAL FIBRILLATION",
    SYMPTOM.format("atrial flutter"): "flutter?|Is there atrial flutter?",
    RHYTHM: "What's the rhythm?|rhythm|Which rhythm is this?|What is the underlying rhythm?",
    SYMPTOM.format("sinus rhythm"): "Is this sinus rhythm?|NSR?|is it in sinus rhythm|normal sinus rhythm?",
    RATE: "rate?|heart rate|What's the heart rate?|HR|How fast is the heart beating?|tachycardia?|"
    "Is there bradycardia?|ventricular rate",
    "Does the rr interval of this ECG fall within the normal range?": "Is the heart rate normal?",
    SYMPTOM.format("sinus tachycardia"): "sinus tach?",
    QRS: "how wide is the QRS|QRS duration|qrs|How broad is the QRS complex?",
    "What range does the qrs duration of this ECG fall in?": "Is the QRS wide?|Broad QRS?",
    QTC: "QTc|QTc in ms?|what is the corrected QT?|How long is the QTc?",
    "Does the qt corrected of this ECG fall within the normal range?": "Is the QTc normal?",
    LONG_QT: "long QT?|Is the QT prolonged?|Is the QTc prolonged?",
    "How long is the PR interval?": "PR?|What is the PR interval?|PQ interval",
    "What range does the pr interval of this ECG fall in?": "Is the PR prolonged?|short PR?",
    AVB: "1st degree AV block?|first-degree heart block",
    AXIS: "axis?|what's the axis|Is there axis deviation?",
    "Does this ECG show left axis deviation?": "left axis deviation?|Is the axis left?",
    "Does this ECG show normal heart axis?": "Is the axis normal?",
    "What is the frontal axis in degrees?": "axis in degrees",
    LBBB: "LBBB?|left bundle branch block|Is there a complete LBBB?",
    RBBB: "RBBB|Do you see a right bundle branch block?",
    SYMPTOM.format("incomplete right bundle branch block"): "incomplete RBBB?|IRBBB",
    SYMPTOM.format("left anterior fascicular block"): "LAFB?|left anterior hemiblock",
    INFERIOR: "signs of old inferior infarct?|inferior MI?|old inferior myocardial infarction",
    ANTERIOR: "Is there an anterior wall infarction?|previous anterior MI",
    LVH: "LVH|Is there left ventricular hypertrophy?",
    SYMPTOM.format("voltage criteria (qrs) for left ventricular hypertrophy"): "voltage criteria for LVH?",
    SYMPTOM.format("left atrial overload/enlargement"): "LAE?|left atrial enlargement",
    ST: "ST depression?|Is there ST-segment depression?",
    T_WAVE: "T wave inversion|inverted T waves?|Any T-wave inversions?",
    SYMPTOM.format("low qrs voltages in the frontal and horizontal leads"): "low voltage?",
    SYMPTOM.format("q waves present"): "Q waves?|pathological Q waves",
    PVC: "PVCs?|any ventricular ectopy?|VES|premature ventricular contractions?",
    "Does this ECG show supraventricular extrasystoles?": "PACs?|premature atrial complexes",
    ANY_BEATS: "any extra beats?|extrasystoles?|ectopics?|premature beats?",
    "What kinds of extra systoles does this ECG show?": "What kind of extra beats?",
    NOISES: "is the signal quality ok|signal quality?|What kind of noise?",
    NOISE: "any noise?|Is it noisy?|artefacts?|Are there any artifacts in this recording?",
    "Does this ECG show baseline drift?": "baseline wander?",
    "Does this ECG show baseline drift in lead V1?": "baseline wander in V1?",
    "Does this ECG show any kind of noises in lead II?": "noise in lead II?",
    SYMPTOM.format("normal functioning artificial pacemaker"): "paced rhythm?|Is there pacing?",
    "Report": "is this ECG normal?|report|interpretation|What does this ECG show?|anything abnormal?|normal?|",
    "Which rhythm-related symptom does this ECG show, atrial fibrillation or atrial flutter?": "AF or flutter?",
    "Which rhythm-related symptom does this ECG show, sinus rhythm or atrial fibrillation?": "sinus rhythm or AF?",
}
TRAPS = {
    NO_ECG: "Is there a family history of AF?|Was AF treated?|Which drug for AF?|LAD stent?|"
    "What is the blood pressure?|Does the patient have diabetes?|Is she pregnant?|"
    "Which medication does the patient take?|"
    "How old is the patient?|bp?|what meds is he on?|"
    "troponin?|What is the ejection fraction?|Is there a history of LBBB?|Should I worry about the QTc?|"
    "Is the LVH caused by hypertension?|Does he have chest pain?|What is the risk of AF?|Is the patient male?",
    NEGATED: "no AF?|rule out AF|Isn't there AF?|Is AF absent?|without LVH?|not in sinus rhythm?|AF excluded?|"
    "There is no ST depression, right?|Has the AF resolved?|non-sinus rhythm?",
    SEVERAL: "bundle branch block?|any infarct?|MI?|heart attack?|T wave changes?|noise in V4?",
    UNTRAINED: "Is the PR interval depressed?|LAD?|AMI?|acute inferior infarct?|STEMI?|new LBBB?|paroxysmal AF?|"
    "ST depression in V4?|T wave inversion in V1-V3?|What is AF?|What is a QT interval?|What is the QRS complex?|"
    "Is there AF and LBBB?|Is AF rate controlled?|Does the patient have a pacemaker?|RVH?|VF?|Is there a QTc?|"
    "How high is the QRS?|long QT syndrome?|possible AF in the past?|Is the AF worse than before?|"
    "AV block?|ischaemia?|What is the atrial rate?|Why is there AF?|Tell me a joke|"
    "Is the rhythm regular?|ventricular fibrillation?|muscle artefact?|Is the T wave in aVR inverted?|"
    "没有AF?|нет AF|AF \u2260|AF != |房颤?|???|!|anterior MI age indeterminate",
}
GOOD = [(wording, target) for target, wordings in UNDERSTOOD.items() for wording in wordings.split("|")]
BAD = [(wording, reason) for reason, wordings in TRAPS.items() for wording in wordings.split("|")]


def test_what_people_ask_is_the_trained_question_of_the_same_meaning():
    assert len(GOOD) > 80 and set(UNDERSTOOD) <= TRAINED
    found = {wording: understand(wording, TRAINED).question for wording, _ in GOOD}
    assert found == dict(GOOD)


def test_what_changes_the_meaning_is_refused_with_its_reason():
    assert len(BAD) > 50
    found = [
        (wording, reading.question, reading.reason) for wording, _ in BAD for reading in [understand(wording, TRAINED)]
    ]
    assert found == [(wording, None, reason) for wording, reason in BAD]


def test_trained_questions_stay_as_they_are():
    assert {question: understand(f" {question} ", TRAINED).question for question in TRAINED} == {q: q for q in TRAINED}


def test_only_what_was_trained_is_understood():
    assert understand("AF?", {LVH}).question is None and understand("report", {LVH}).question is None
    assert understand("PVCs?", {SYMPTOM.format("ventricular premature complex")}).question.endswith(
        "premature complex?"
    )
    assert understand("heart rate?", TRAINED - {RATE}).question is None  # a range of RR intervals could be misread


def test_a_word_for_several_findings_names_them_all():
    walls = {SYMPTOM.format(f"myocardial infarction in {wall} leads") for wall in ("inferior", "anterior", "lateral")}
    assert walls <= set(understand("old infarct?", TRAINED).nearest) <= TRAINED
    assert {LBBB, RBBB} <= set(understand("bundle branch block?", TRAINED).nearest)
    assert set(understand("any artefact in V4?", TRAINED).nearest) == {
        f"Does this ECG show {noise} in lead V4?" for noise in ("baseline drift", "static noise", "burst noise")
    }


@pytest.mark.parametrize(
    ("wording", "near"),
    [
        ("no AF?", AF),
        ("acute inferior infarct?", INFERIOR),
        ("heart attack in the inferior wall?", INFERIOR),
        ("bundle branch block?", LBBB),
        ("atrial fibrillaton", AF),
        ("ST depression in V4?", ST),
    ],
)
def test_a_refusal_names_what_may_have_been_meant(wording, near):
    nearest = understand(wording, TRAINED).nearest
    assert near in nearest and len(nearest) <= 3


def test_the_normal_form_is_stable():
    wordings = [wording for wording, _ in GOOD + BAD]
    assert [normal_form(normal_form(each)) for each in wordings] == [normal_form(each) for each in wordings]
