"""The words of statements and texts in one spelling, for retrieval and for comparing what they are about."""

import re

# Whole words, in the spelling of `utils.metrics.statements.extraction.sentences` -> as texts write them.
_SPELLINGS = {
    r"a[ /]?v(?= (?:block|dissociation|junction|conduction))": "av",
    r"s a(?= block)": "sa",
    r"1st": "first",
    r"2nd": "second",
    r"3rd": "third",
    r"lvh": "left ventricular hypertrophy",
    r"rvh": "right ventricular hypertrophy",
    r"lv": "left ventricular",
    r"rv": "right ventricular",
    r"rbbb": "right bundle branch block",
    r"lbbb": "left bundle branch block",
    r"bbb": "bundle branch block",
    r"lafb|lahb|left anterior hemi ?block": "left anterior fascicular block",
    r"lpfb|lphb|left posterior hemi ?block": "left posterior fascicular block",
    r"iv(?= conduction)": "intraventricular",
    r"ivcd": "intraventricular conduction disturbance",
    r"af|a ?fib": "atrial fibrillation",
    r"svt": "supraventricular tachycardia",
    r"(?:pvc|vpc|vpb)s?": "ventricular premature complex",
    r"(?:pac|apc|apb)s?": "atrial premature complex",
    r"lae": "left atrial enlargement",
    r"rae": "right atrial enlargement",
    r"lad": "left axis deviation",
    r"rad": "right axis deviation",
    r"wpw": "wpw syndrome",
    r"mi": "infarct",
    r"qrs(?= (?:voltage|amplitude)s?)": "",
    r"st elev": "st elevation",
    r"infarcts?|infarctions?": "infarct",
    r"ischaemi(?:a|c)|ischemic": "ischemia",
    r"ant/septal": "anteroseptal",
    r"inferior ?/ ?lateral": "inferolateral",
    r"repol\w*": "repolarization",
    r"abnrm|abnormalit(?:y|ies)": "abnormality",
    r"non ?specific": "nonspecific",
    r"non ?diagnostic": "nondiagnostic",
    r"hypokal[ae]+mia": "hypokalemia",
    r"hyperkal[ae]+mia": "hyperkalemia",
    r"hypocalc[ae]+mia": "hypocalcemia",
    r"hypercalc[ae]+mia": "hypercalcemia",
}
_SPELLED = [(re.compile(rf"(?<!\w)(?:{written})(?!\w)"), words) for written, words in _SPELLINGS.items()]
_STOP = re.compile(
    r"an?|and|any|are|as|at|be|by|for|from|ha[sv]e?|in|is|its?|leads?|may|myocardial|o[fnr]|segments?|th[ae]n?|that|their"
    r"|there|these|this|to|wall|was|were|which|with"
)
_PLURAL = re.compile(r"(?<=complex)es$|(?<=[a-z]{3}[a-hj-rtv-z])s$")  # not "less", "sinus", "axis", "QRS"


def words(text: str) -> list[str]:
    """The words of a text in lower case, abbreviations spelt out, without plurals and words that say nothing."""
    plain = re.sub(r"(?<=\d)[.](?=\d)", "_", text.casefold()).replace("-", " ")
    plain = re.sub(r"[^\w/:' ]|(?<!\d):(?!\d)", " ", plain)
    for pattern, spelt in _SPELLED:
        plain = pattern.sub(spelt, plain)
    return [_PLURAL.sub("", word) for word in re.split(r"[\s/]+", plain) if word and not _STOP.fullmatch(word)]
