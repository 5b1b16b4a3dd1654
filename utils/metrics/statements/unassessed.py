"""The words of cues that a finding was not assessed, in three languages: neither stated nor denied of this ECG.

In the rows of `cue_words`. What LBBB, pacing or a missing lead makes impossible to assess is unassessed; the reason
itself is stated: "ST elevation cannot be interpreted due to LBBB".
"""

from cardiolect.utils.metrics.statements.cue_words import Row

_CANNOT = r"(?:can ?not|can\W?t|(?:could|should|will|would|may)(?: not|n\W?t))"
_BE = r"(?:is|are|was|were|has been|have been|had been|being|be)"
_SURELY = r"(?:(?:be|been|\w+ly) ){0,2}"
_ASSESS = r"(?:assess|evaluate|diagnose|determine|interpret|analy[sz]e|measure|judge|comment on|test|ascertain)"
_ASSESSED = (
    r"(?:assess(?:ed|able)|evalua(?:ted|ble)|evaluatable|diagnos(?:ed|able)|determin(?:ed|able)|interpret(?:ed|able)"
    r"|analy[sz](?:ed|able)|measur(?:ed|able)|judged|commented on|tested|checked|examined|looked for|ascertained)"
)
_NOT_ASSESSED = rf"(?:{_CANNOT} {_SURELY}{_ASSESSED}|(?:{_BE} )?{_SURELY}not {_SURELY}{_ASSESSED})"
_OF_IT = (  # of a finding that is stated: "infarct of which the age cannot be determined"
    r"(?:ages?|dates?|causes?|origin|a?etiology|mechanism|types?|degree|grade|severity|significance|location|level"
    r"|rate|extent|duration|acuity|chronicity|timing)"
)
_STUDY = (
    r"(?:interpretation|analysis|detection|diagnosis|assessment|evaluation|measurement|criteri(?:a|on)|statement)s?"
)
_UNDONE = (
    r"(?:suspended|disabled|deferred|withheld|omitted|skipped|not (?:possible|performed|done|made|attempted|available"
    r"|feasible)|impossible)"
)
_UNSURE = (
    r"(?:off|switched off|turned off|limited|unreliable|invalid|not (?:\w+ly )?(?:reliable|valid|applicable|accurate)"
    r"|(?:may|might|do|does|did|can|could|will)(?: not|n\W?t) (?:apply|be (?:reliable|valid|applicable|accurate)))"
)

_ENGLISH: tuple[Row, ...] = (
    (
        "unassessed",
        ("forward",),
        (
            rf"(?:{_CANNOT}|(?:does|do|did)(?: not|n\W?t)|unable to|inability to) "
            rf"(?:\w+ly )?{_ASSESS}(?: (?:for|any|the|whether|if there is))*",
            rf"(?:preclud(?:es?|ing)|prevent(?:s|ing)?|hinders?|limit(?:s|ing)?) (?:the |any |further )*{_STUDY} of",
            rf"(?:{_CANNOT}|unable to|inability to|not (?:possible|able) to) (?:\w+ly )?(?:detect|confirm|identify"
            r"|establish|recogni[sz]e)",
            rf"{_NOT_ASSESSED} for",
            r"(?:not (?:assessed|assessable|evaluated|determined|interpreted|analy[sz]ed)|unassessable) ?:",
            r"(?:no|without(?: any)?) (?:assessment|evaluation|analysis|interpretation|testing|measurement) (?:of|for)",
            r"(?:please )?check(?:ing)?(?: \w+)? for",
            r"please (?:assess|evaluate|look|review|screen|examine)(?: \w+)? for",
            r"(?:(?:may|might|could|can|will) )?(?:mask|obscure|conceal|hide)(?:s|d)?(?: (?:an?|any|the|signs? of))*",
            r"(?:masking|obscuring|concealing|hiding)(?: (?:an?|any|the|signs? of))*",
        ),
    ),
    (
        "unassessed",
        ("backward",),
        (
            _NOT_ASSESSED,
            rf"(?:{_BE} )?(?:unassessable|uninterpretable|undiagnosable|unevaluable)",
            rf"(?:{_BE} )?{_UNDONE}",
            rf"(?<=\w )(?<!the ){_STUDY} (?:{_BE} )?(?:{_UNDONE}|{_UNSURE})(?!\w)",
            r"(?:may|might|do|does|did|will)(?: not|n\W?t) apply",
            r"(?:may|might|could|can|will) (?:\w+ly )?(?:be|have been|go) (?:missed|overlooked|undetected|masked"
            r"|obscured|hidden|concealed)",
            rf"(?:{_BE} )?(?:masked|obscured|hidden|concealed)(?= by)",
        ),
    ),
    (
        "unassessed",
        ("backward", "forward"),
        (rf"(?:{_BE} )?(?:not possible|not able|impossible|difficult|hard) to (?:be {_ASSESSED}|{_ASSESS})",),
    ),
    (
        None,
        ("forward",),
        (
            rf"(?:whose |the |its )?{_OF_IT}(?: of [\w ]{{1,20}})? {_NOT_ASSESSED}",
            rf"(?:{_CANNOT}|unable to|not possible to) {_ASSESS}(?: (?:the|its|their|any))? {_OF_IT}(?: of)?",
        ),
    ),
)

_BEURTEILT = (
    r"(?:beurteil|bewert|auswert|diagnostizier|bestimm|mess|interpretier|abgrenz)bar\w*|(?:beurteilt|bewertet"
    r"|ausgewertet|diagnostiziert|bestimmt|gemessen|interpretiert|untersucht|geprueft)(?: werden)?"
)
_SICHER = r"(?:(?:mehr|sicher|eindeutig|ausreichend|verwertbar|genau|zuverlaessig|\w+lich) )*"

_GERMAN: tuple[Row, ...] = (
    (
        "unassessed",
        ("backward",),
        (
            rf"(?:(?:ist|sind|war|waren|wurden?|kann|koennen|konnten?) )?{_SICHER}nicht {_SICHER}(?:{_BEURTEILT})",
            rf"(?:laesst|lassen|liess|liessen) sich {_SICHER}nicht {_SICHER}"
            r"(?:beurteilen|bewerten|auswerten|diagnostizieren|bestimmen|messen|interpretieren)",
            r"(?:(?:ist|sind) )?(?:nur )?(?:schwer|schlecht|eingeschraenkt|kaum) (?:beurteil|bewert|auswert)bar",
        ),
    ),
    (
        "unassessed",
        ("forward",),
        (
            r"(?:nicht (?:beurteilbar|beurteilt|bewertbar|bewertet|auswertbar|untersucht)) ?:",
            r"(?:keine|ohne) (?:beurteilung|bewertung|auswertung)(?: (?:von|der|des|einer?|eines))?",
            r"bitte (?:auf|um pruefung auf|pruefen auf)",
        ),
    ),
)

_SWEDISH: tuple[Row, ...] = (
    (
        "unassessed",
        ("backward",),
        (
            r"(?:kan |gaar )?(?:ej|inte)(?: saekert)? (?:att )?"
            r"(?:bedoemas?|vaerderas?|utvaerderas?|diagnosti[sc]eras?|maetas?|analyseras?|tolkas?|bedoembar\w*"
            r"|bedoem[dt]a?|vaerderbar\w*|utvaerderbar\w*|utvaerdera[dt]|tolkningsbar\w*|tolkbar\w*|maetbar\w*)",
            r"(?:aer )?svaarbedoem[dt]a?",
        ),
    ),
    ("unassessed", ("forward",), (r"(?:ej|inte) (?:bedoem[dt]|bedoembar\w*|utvaerdera[dt]) ?:",)),
)

UNASSESSED = (*_ENGLISH, *_GERMAN, *_SWEDISH)
