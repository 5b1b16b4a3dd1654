"""Statements that no SCP code stands for: findings by name, and what is technical or administrative.

Patterns are of whole words, over sentences as `utils.metrics.statements.extraction.sentences` spells them.
"""

import re

_ECG = r"(?:e[ck]gs?|tracings?|traces?|electrocardiograms?|comparison)"

# Pattern -> name, which a section of the textbook bears; the longest match counts.
_TOPICS = {
    r"(?:poor|slow|slowed|abnormal|unusual) r(?: waves?)? progression"
    r"|(?:poor|slow|slowed) progression of r(?: waves?)?": "poor R wave progression",
    r"(?:abnormal |unusual )?(?:r(?: waves?)? progression, )?early (?:r wave )?transition"
    r"|r s transition(?: zone)? (?:\w+ ){0,4}to the right": "early R wave transition",
    r"(?:late|delayed) (?:r wave )?transition"
    r"|r s transition(?: zone)? (?:\w+ ){0,4}to the left": "late R wave transition",
    r"(?:indeterminate|undetermined) axis|difficult .{0,30}axis": "indeterminate axis",
    r"(?:abnormal )?extreme (?:qrs )?axis(?: deviation)?|right superior axis(?: deviation)?|northwest axis": (
        "extreme axis deviation"
    ),
    r"rsr'(?: ?\w?v?1?\w?)?|rsr": "rSr' in V1",
    r"tall r(?: waves?)?(?: in)? v[12](?: ?/ ?v?2)?": "tall R waves in V1 or V2",
    r"(?:tall|prominent|peaked|hyperacute) t(?: waves?)?": "tall T waves",
    r"(?:tall|prominent|peaked) p(?: waves?)?": "tall P waves",
    r"short pr(?: interval)?": "short PR interval",
    r"short qtc?(?: interval)?": "short QT interval",
    r"a ?v dissociation": "AV dissociation",
    r"accelerated idioventricular(?: rhythm)?": "accelerated idioventricular rhythm",
    r"(?:paroxysmal )?idioventricular(?: rhythm)?": "idioventricular rhythm",
    r"(?:(?:non ?)?sustained )?ventricular tachycardia|vt": "ventricular tachycardia",
    r"(?:broad|wide) (?:complex|qrs) tachycardia": "broad complex tachycardia",
    r"fusion (?:complexes|beats?)": "fusion complexes",
    r"(?:beats|complex(?:es)?) with aberrant (?:\w+ )?conduction"
    r"|aberrant complex(?:es)?": "beats with aberrant conduction",
    r"supraventricular escape (?:complexes|beats?)": "supraventricular escape complexes",
    r"(?:2:1 )?s ?a block": "SA block",
    r"(?:secondary )?(?:repol\w*|st t) (?:abnormality|abnrm|changes? secondary \w+)"
    r"|secondary (?:repol\w*|st t) changes?": "secondary repolarization abnormality",
    r"(?:normal )?early repol\w*(?: pattern)?": "early repolarization",
    r"(?:post operative |acute )?pericarditis": "pericarditis",
    r"qs (?:complexes|waves?|pattern)": "QS complexes",
    r"tiny r waves?": "tiny r waves",
    r"p (?:wave )?(?:broadening|widening)": "P wave widening",
    r"bifascicular block": "bifascicular block",
    r"trifascicular block": "trifascicular block",
    r"bundle branch block": "bundle branch block",
    r"a ?v block": "AV block",
    r"(?:rapid|uncontrolled) ventricular response": "rapid ventricular response",
    r"slow ventricular response": "slow ventricular response",
    r"(?<=rhythm is )junctional|(?<=rhythm is probably )junctional": "junctional rhythm",
    r"subendocardial infarct(?:ion)?": "subendocardial infarction",
    r"extensive infarct(?:ion)?": "extensive infarct",
    r"electrical alternans": "electrical alternans",
    r"delta waves?": "delta waves",
    r"s ?1 ?q ?3(?: ?t ?3)?(?: pattern)?|s lead i and q lead iii pattern": "S1Q3 pattern",
    r"(?:prominent )?u waves?": "U waves",
    r"(?:lv|left ventricular|left) (?:strain|load)": "left ventricular strain",
    r"(?:rv|right ventricular|right) (?:strain|load)": "right ventricular strain",
    r"failure to (?:sense|capture)(?: and/?(?: ?or)? ?(?:capture|sense))?": "failure to sense or capture",
    r"ventricular couplets?": "paired ventricular premature complexes",
    r"due to ventricular hypertrophy": "ventricular hypertrophy",
    **{
        rf"{name}(?: interval| duration)? {place} the normal range": f"{full} {place} the normal range"
        for name, full in (
            ("rr", "RR interval"),
            ("p", "P duration"),
            ("pr", "PR interval"),
            ("qrs", "QRS duration"),
            ("qt", "QT interval"),
            ("qt corrected", "QT corrected"),
        )
        for place in ("above", "below")
    },
}
TOPICS = [(re.compile(rf"(?<!\w)(?:{pattern})(?!\w)"), name) for pattern, name in _TOPICS.items()]

_ADMINISTRATIVE = (
    r"un ?confirmed",
    r"preliminary",
    r"not confirmed",
    r"(?:confirmed|reviewed|verified|signed|edited|overread) by",
    r"(?:over ?read|review|attention|signature) (?:is )?(?:advised|required|needed|recommended)|review advised",
    r"un ?best(?:ae)?(?:tigt\w*|ti\w*|t)?|4\.46",
    r"(?:report|interpretation|analysis)s? (?:was |is )?(?:made|done|performed) without",
    r"without knowing",
    r"(?:patient'?s? )?(?:age|sex|gender)(?: and (?:age|sex|gender))? (?:is |was )?(?:not"
    r" (?:entered|known|given|available|specified)|unknown|missing)",
    r"(?:unknown|missing) (?:age|sex|gender)",
    r"assumed to be",
    r"(?:age|date) (?:is )?(?:undetermined|indeterminate|uncertain|unknown)$",
    r"(?:arm|limb|leg|chest|precordial|lead|electrode|cable|v\d)s?\b.{0,30}(?:revers\w+|misplac\w+|interchange\w*|switch\w*"
    r"|swap\w*|transpos\w+)",
    r"(?:revers\w+|misplac\w+|interchange\w*|missing|loose|disconnected) (?:\w+ )?(?:lead|electrode|cable)s?",
    r"dextrocardia or",
    r"(?:lead|electrode)s? (?:is |are )?(?:off|missing|unsuitable|not \w+|failure|fault\w*|problems?|loose)",
    r"(?:only|based on|from) (?:the )?(?:available )?(?:leads|av|v\d)",
    r"(?:data|signal|tracing|technical|recording|e[ck]g) quality",
    r"poor (?:quality|tracing|data|signal|technical)",
    r"technical\w*",
    r"base ?line (?:wander\w*|drift\w*|shift\w*|instability|artifacts?)",
    r"(?:wandering|unstable) base ?line",
    r"arti?e?facts?|noise|noisy|interference|(?:muscle|somatic|patient) (?:tremor|movement|motion)",
    r"(?:pacer|pacemaker|pacing|spike) detection",
    r"no further (?:analysis|interpretation|rhythm analysis)",
    r"(?:cannot|unable to|could not|can not|not) (?:be )?(?:analy[sz]ed?|interpreted?|determined?|measured?)",
    r"(?:analysis|interpretation|measurements?)\b.{0,30}(?:suspended|not possible|unreliable|impossible|error|limited"
    r"|questionable|may be (?:incorrect|affected|inaccurate))",
    r"obscures? (?:further )?(?:analysis|interpretation)",
    r"uninterpretable|unsatisfactory|unreadable|(?:inadequate|insufficient) (?:data|signal|tracing)",
    r"all (?:12|twelve) leads are missing",
    rf"no (?:previous|prior|old|earlier|other|available) (?:\w+ )?{_ECG}",
    rf"(?:previous|prior) {_ECG} (?:not|un)\w*",
    r"(?:compared?|comparison) (?:to|with)\b",
    rf"(?:when|since) (?:compared|(?:the )?(?:previous|prior|last) {_ECG})",
    r"(?:no|without)(?: significant| interval| serial| major)* changes?(?: (?:found|since|from|compared)|$)",
    r"not significantly changed",
    r"serial (?:changes|comparison)",
    r"(?:suggest|please|advise|recommend)\w* (?:repeat|ignore|clinical|exclude)",
    r"(?:repeat|follow up)(?: \w+)? (?:suggested|advised|recommended|required)",
    r"clinical correlation",
    r"trace only requested",
    r"(?:pediatric|paediatric|adult) (?:e[ck]g )?(?:analysis|criteria|interpretation)",
    r"holter monitor",
    r"(?:standard|calibration|gain|filter|paper speed)\b.{0,20}(?:half|double|mm|setting|not)",
    r"test (?:e[ck]g|patient|pattern)",
    r"un ?edited",
    r"incomplete analysis|missing data",
    r"standard (?:12|twelve) lead",
    r"warning",
    r"(?:report|e[ck]g|tracing) (?:is )?unsuitable",
    r"repeat if",
)
ADMINISTRATIVE = re.compile(rf"(?<!\w)(?:{'|'.join(_ADMINISTRATIVE)})")
_NO_P = re.compile(r"(?<!\w)(ir)?regular rhythm, no (?:definite )?p waves? (?:found|seen)")


def topics_in(sentence: str) -> list[tuple[int, int, str]]:
    """Start, end and name of the findings without a code in a sentence; of overlapping ones the longest."""
    found = [(m.start(), m.end(), name) for pattern, name in TOPICS for m in pattern.finditer(sentence)]
    found += [
        (m.start(), m.end(), f"{'ir' if m[1] else ''}regular rhythm without P waves") for m in _NO_P.finditer(sentence)
    ]
    kept: list[tuple[int, int, str]] = []
    for start, end, name in sorted(found, key=lambda one: (one[0] - one[1], one[0])):
        if all(end <= other[0] or start >= other[1] for other in kept):
            kept.append((start, end, name))
    return sorted(kept)
