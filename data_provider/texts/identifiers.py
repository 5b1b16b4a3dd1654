"""Whether free text may identify a patient or a reader: names after their titles, dates, long numbers, addresses.

Machine statements and reports are free text, in which anything may stand. The patterns ask for a cue ("Dr", "confirmed
by", "MRN", "born") or for the form of a date or number, as de-identification by rules does (Neamatullah et al. 2008,
doi 10.1186/1472-6947-8-32). A name without a cue is not found: texts with names need a de-identification of their own.
"""

import re

MARK = "[identifying]"  # in the place of what was masked
_MONTH = (
    r"(?:jan(?:uary|uar|uari)?|feb(?:ruary|ruar|ruari)?|mar(?:ch|s)?|m(?:ä|ae|a)rz|apr(?:il)?|ma[ij]|may(?=,?\s+\d)|june?i?|july?i?"
    r"|aug(?:ust|usti)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
# What may confirm a finding other than a person: "confirmed by echo", "confirmed by a physician".
_NOBODY = (
    r"(?:an?|the|his|her|your|two|further|other|any|echo\w*|ultraso\w*|mri|ct|x|voltage|repeat\w*|clinical\w*|criteria"
    r"|previous|prior|serial|comparison|follow|history|physicians?|doctors?|cardiologists?|readers?|computer\w*|machine"
    r"|software|algorithms?|leads?|v\d|i{1,3}|av[rlf])"
)
_ANY_CASE = (
    r"\d{5,}",  # a number of a patient, recording or case
    r"(?<![\d.])\d{1,4}([./-])\d{1,2}\1(?:\d{4}|\d{2})(?!\d|\.\d)",  # 12.03.1992, 3/12/92, 1992-03-12
    rf"\b\d{{1,2}}(?:\.|st|nd|rd|th)?\s*(?:of\s+)?{_MONTH}\b\.?,?(?:\s+\d{{2,4}})?",  # 12th of March, 12 Mar 1992
    rf"\b{_MONTH}\b\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b,?(?:\s+\d{{4}})?",  # March 12, 1992
    rf"\b{_MONTH}\b\.?,?\s+(?:19|20)\d\d\b",  # March 1992
    r"(?<!\d)\d{3}[-. /]\d{3,4}[-. ]\d{4}(?!\d)",  # a phone number
    r"[\w.+-]+@[\w-]+\.\w|\bhttps?:|\bwww\.",
    r"\b(?:mr|mrs|dr|drs|prof|professor|doktor|herrn?|frau|sir|madam)\b\.?(?=\s+\w|\s*$)",
    rf"\b(?:confirmed|reviewed|verified|signed|edited|over-?read|read|interpreted|reported|referred|ordered|validated"
    rf"|approved|authori[sz]ed|dictated|transcribed)\s+(?:\w+ly\s+)?by\b:?\s+(?!{_NOBODY}\b)\w",
    rf"\b(?:befundet|best(?:ä|ae)tigt|unterschrieben|validiert|vidimiert|granskad|signera[dt]|bekr(?:ä|ae)fta[dt])\s+"
    rf"(?:von|durch|av)\b:?\s+(?!{_NOBODY}\b)\w",
    r"\b(?:mrn|ssn|dob|pid|date of birth|geburtsdatum|personnummer)\b",
    r"\b(?:patienten?|pat|pt|case|fall|record|visit|accession|order)(?:'s)?[ .-]*(?:id|nr|no|number|nummer|name)\b"
    r"[\s.:#]*\w*\d|\b(?:patient(?:en)?(?:'s)?[ .-]*)?(?:name|namn)\s*:\s*\w|\b(?:id|mrn)\s*[:#]\s*\w",
    r"\b(?:born|geboren|f(?:ö|oe)dd)\b|\bgeb\.",
)
_AS_WRITTEN = (
    r"(?<![\d ])\s*\b(?:Ms|Miss|Hr|Fr|Fru)\.?\s+[A-ZÄÖÜÅ][a-zäöüåß]+",  # not "120 ms"
    r"\b(?:[Pp]atient|[Pp]at|[Pp]t)\b\.?:?\s+[A-ZÄÖÜÅ][a-zäöüåß]+,?\s+[A-ZÄÖÜÅ][a-zäöüåß]+",  # patient John Smith
)
_PATTERNS = (
    re.compile("|".join(f"(?:{p})" for p in _ANY_CASE if "\\1" not in p), re.IGNORECASE),
    *(re.compile(p) for p in _ANY_CASE if "\\1" in p),
    re.compile("|".join(_AS_WRITTEN)),
)


def may_identify(text: str) -> bool:
    """Whether a text has a name with a title or cue, a date, a number of five digits or more, an address or `MARK`."""
    return MARK in text or any(pattern.search(text) for pattern in _PATTERNS)


def mask_identifiers(text: str) -> str:
    """A text with `MARK` in the place of titles, cues, dates, numbers and addresses; names after them are left.

    To be used before a text is cut at full stops, which would cut "Mr. Smith" and "3. March 1992"; then drop the
    sentences that have a mark.
    """
    for pattern in _PATTERNS:
        text = pattern.sub(MARK, text)
    return text
