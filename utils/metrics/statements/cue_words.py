"""The words of cues: what denies a statement, makes it uncertain or places it in the past, in three languages.

Each row is the status that a cue gives (None if it only looks like a cue), the directions it reaches in, to be tried in
turn, and its patterns, each of whole words unless it begins with a lookaround. `cues` compiles them.
"""

from cardiolect.utils.metrics.statements.lexicon import Status

Row = tuple[Status | None, tuple[str, ...], tuple[str, ...]]
_FORWARD, _BACKWARD, _BOTH = ("forward",), ("backward",), ("both",)
_EITHER, _EITHER_BACK_FIRST = ("forward", "backward"), ("backward", "forward")

_NOT = r"(?: not|n\W?t)"
_BE = r"(?:is|are|was|were|has been|have been|had been|being|be)"
_SEEN = (
    r"(?:present|seen|evident|detect(?:ed|able)|found|identif(?:ied|iable)|appreciated|observed"
    r"|demonstra(?:ted|ble)|visible"
    r"|apparent|noted|recorded|recogni[sz]ed|confirmed|documented|discern(?:ed|ible)|met|fulfilled"
    r"|satisfied|there|shown"
    r"|supported|established)"
)
_SURELY = r"(?:\w+ly )?"
_ECG = r"(?:e[ck]g|electrocardiogram|tracing|trace|study|recording|report|examination|exam)s?"
_EARLIER_ECG = rf"(?:(?:previous|prior|last|earlier|old|older|preceding|former|yesterday'?s) (?:\w+ )?{_ECG})"
_OF_DATE = r"(?: (?:of|from|dated|on) [\w/:]+)?"
_GOOD = (
    r"(?:definite|clear|ecg|electrocardiographic|convincing|obvious|specific|significant|real|good"
    r"|strong|further|other|new"
    r"|diagnostic|voltage|sufficient|acute|reliable|certain)"
)
_THE = r"(?:(?:the|a|an|his|her|their|any) )?"
_INFARCT = r"(?:\w+ ){0,3}(?:(?:infarct|n?stemi)\w*|mi)(?!\w)"  # an earlier one is still seen, as an old infarct

_ENGLISH: tuple[Row, ...] = (
    (
        "absent",
        _FORWARD,
        (
            r"no(?: longer)?",
            r"(?:not|never)",
            rf"no (?:{_GOOD} ){{0,2}}(?:evidence|signs?|indications?|suggestion|features|criteria|proof)"
            r"(?: (?:at all|whatsoever))?(?: (?:of|for|to suggest|suggest\w*(?: of)?|indicat\w+(?: of)?|that))?",
            r"nothing (?:to (?:suggest|indicate)|suggest\w*(?: of)?)",
            r"none of",
            r"without(?: (?:any )?(?:evidence|signs?) of)?",
            r"(?:absence|lack|loss|exclusion|resolution|disappearance) of",
            r"(?:lacks?|lacking|devoid of|denie[sd])",
            r"(?:negative|neg|insufficient(?: criteria| evidence)?) for",
            r"free (?:of|from)",
            r"(?:rules|ruling|excludes|excluding) out",
            r"excludes",
            r"nor",
            r"neither",
            r"(?:fails?|failed|failing) to (?:show|meet|reveal|demonstrate|support|satisfy|reach)",
            rf"(?:does|do|did|is|are|was|were|has|have){_NOT}(?: (?!{_SEEN})\w+){{0,2}}? (?:show|have|any"
            rf"|suggest\w*|consistent with)",
            r"(?:does|do|did|is|are|was|were|has|have)n\W?t",
            r"(?:rather than|instead of|as opposed to|in lieu of|in place of)",
            r"(?:(?:argu\w+|speaks?|evidence) )?against",
            r"inconsistent with",
            r"(?:i |we )?doubt(?: that| this is| there is)?",
            r"unlikely to (?:be|have|represent)",
            r"(?:pseudo|mimic\w*|simulat(?:es|ing))",
            r"non(?= ?ischa?emic)",
            r"(?:negative|not seen|not present|absent|none|excluded|ruled out) ?:",
        ),
    ),
    (
        "absent",
        _BACKWARD,
        (
            rf"(?:(?:is|are|was|were|has|have|had|does|do|did|can|could){_NOT}|can ?not)(?: been"
            rf"| be)? (?:\w+ly )?{_SEEN}",
            rf"(?:{_BE} )?{_SURELY}not (?:\w+ly )?{_SEEN}",
            rf"(?:{_BE} )?(?:now )?(?:excluded|ruled out|r/o'?d)",
            r"(?:is|are|would be|seems?|appears?) (?:very |most |highly )?unlikely",
            rf"(?:{_BE} )?no longer {_SEEN}",
            rf"(?:{_BE} )?never (?:been )?{_SEEN}",
            rf"(?:{_BE} )?(?:lacking|missing)",
            r"(?:is|are|was|were) not$",
            rf"(?:{_BE} )?(?:negligible|isoelectric)",
        ),
    ),
    (
        "absent",
        _EITHER_BACK_FIRST,
        (
            rf"(?:{_BE} )?(?:now )?absent",
            r"(?:(?:is|are|has|have|had|was|were) )?(?:now |since |completely |largely )*(?:resolved"
            r"|gone|disappeared|subsided"
            r"|vanished|ceased|terminated|regressed|normali[sz]ed|cleared|suppressed)",
            r"(?:very |highly )?unlikely",
            r"ruled out for",
            rf"(?:{_BE} )?(?:{_SEEN} )?in (?:no|none of the|none of) leads?",
        ),
    ),
    (
        "possible",
        _EITHER,
        (
            r"(?:possible|possibly|probable|probably|(?:most )?likely|suspected|presumed|presumably"
            r"|maybe|questionable|doubtful)",
            r"(?:rule out|r/o)",
            r"(?:is|are) (?:most )?likely",
            r"equivocal(?: for)?",
        ),
    ),
    ("possible", _BOTH, (r"(?:versus|and ?/ ?or)",)),
    (
        "possible",
        _FORWARD,
        (
            r"consider(?:ing)?",
            rf"(?:can ?not|can\W?t|could{_NOT}|unable to|(?:does|do|did){_NOT}"
            rf"|not possible to) {_SURELY}(?:rule out|exclude)",
            r"(?:strongly )?suggest(?:s|ed|ing|ion of|ive of)?",
            r"(?:suspicious|suspicion|concern(?:s|ing)?|worrisome) (?:of|for|about)",
            r"suspect(?:s|ing)?",
            r"(?:may|might|could) (?:\w+ly |also |well )?(?:be|indicate|represent|reflect|suggest"
            r"|mean|signify|have|point to)",
            r"(?:possibility|probability|likelihood|chance|question) of",
            r"borderline",
            r"query",
            r"perhaps",
            r"potential(?:ly)?",
            r"favou?r(?:s|ing)?",
            r"with(?: or |/)without",
            r"(?:evaluate for|assess for|look for|correlate for)",
            r"(?:suggest )?(?:to )?exclude",
            r"such as in",
            r"as in",
            r"accord with",
            r"(?:differential(?: diagnosis)?(?: includes?| is| of)?|ddx)",
            r"(?:(?<= )|^)\?(?= ?\w)",
        ),
    ),
    (
        "possible",
        _BACKWARD,
        (
            rf"(?:can ?not|can\W?t|could{_NOT}) {_SURELY}be {_SURELY}(?:excluded|ruled out|dismissed)",
            r"(?:should|must|needs? to|has to|have to|ought to|to) be (?:considered|excluded|ruled out|suspected)",
            r"(?:is|are|remains?) (?:still )?(?:a )?(?:likely|possible|possibility|suspected|doubtful"
            r"|uncertain|questionable"
            r"|equivocal|probable)(?: cause)?",
            rf"(?:{_BE} )?(?:not|neither confirmed nor) {_SURELY}(?:excluded|ruled out)",
            r"(?:may|might|could) be (?:present|considered|suspected)",
            r"(?:is )?(?:in question|favou?red)",
            r"(?<=\S)\?",
            r" \?$",
        ),
    ),
    (
        "past",
        _EITHER,
        (
            r"(?:(?:was|were|has been|had been) )?(?:previously|formerly)(?! ?(?:,|$))",
            rf"(?:previous|prior|former|past)(?! {_INFARCT})",
            rf"{_EARLIER_ECG}{_OF_DATE},? (?:which |that )?(?:had )?(?:showed|shows|shown|revealed|had"
            rf"|demonstrated|displayed|was"
            r"|read|recorded|with)",
            rf"{_EARLIER_ECG}{_OF_DATE} ?:",
        ),
    ),
    (
        "past",
        _FORWARD,
        (
            r"(?:(?:past|family|medical|clinical|known|remote|personal) )*(?:history|hx|h/o"
            r"|pmh)(?: (?:significant )?(?:of|for"
            r"|includes|with))?",
            rf"(?:s/p|status post)(?! {_INFARCT})",
            r"(?:patient|pt|he|she) (?:was|had been)(?: \w+ly)? in",
            r"(?:was|had been)(?: \w+ly)? in(?= (?:an? )?(?:\w+ )?(?:atrial|a ?fib|af|svt|vt|flutter|\w+ rhythm"
            r"|\w+cardia|bigeminy|trigeminy)(?!\w))",
            r"used to (?:be|have|show)",
            r"(?:at )?(?:\w+ )?risk (?:of|for)(?: developing)?",  # not yet in this ECG
            r"prone to(?: (?:bouts?|episodes?) of)?",
            r"(?:clinical )?(?:indication|reason for (?:\w+ )?(?:exam\w*|study|test|e[ck]g|referral)) ?:",
            r"(?:(?:has|have|had) )?(?:replac(?:es|ed|ing)|superseded)(?! by)",
            r"(?:converted|cardioverted|reverted|changed|conversion|change) (?:from|of)",
            r"(?:after|following|post|since) (?:\w+ )?(?:cardioversion|ablation|conversion"
            r"|termination)(?: (?:of|for|from))?",
        ),
    ),
    (
        "past",
        _BACKWARD,
        (
            r"(?:(?:has|have|had|been|is|was|are|were|now) )*(?:(?:replaced|superseded) by"
            r"|(?:\w+ly )?(?:converted|reverted"
            r"|cardioverted|changed)(?: back)?(?: in)? ?to)",
            r"(?:(?:has|have|had) )?(?:given|gave) way to",
            rf"(?:(?:which )?(?:was|were|had been) )?(?:{_SEEN} )?(?:on|in|at) {_THE}{_EARLIER_ECG}",
            # not after a comma, which names what is new: "LBBB, not seen on prior ECG"
            rf"(?<=\w )(?:(?:was|were|had been|is|are) )?not {_SEEN} (?:on|in|at) {_THE}{_EARLIER_ECG}(?!\w)",
        ),
    ),
    (
        "past",
        _EITHER_BACK_FIRST,
        (
            rf"(?:(?:was|were|had been) )?(?:{_SEEN} )?(?:previously|formerly|in the past|earlier"
            rf"|on earlier tracings?)(?= ?(?:,|$)),?",
            r"(?:by|in(?: the| his| her)?(?: past| medical)*) (?:history|hx)",
            r"historically",
        ),
    ),
    (
        None,
        _FORWARD,
        (
            r"(?:not|no) (?:(?:significant|significantly|interval|major|important|real|definite"
            r"|acute) ){0,2}changes?d?",
            r"without (?:(?:significant|interval|any) ){0,2}change",
            r"no (?:significant )?(?:difference|evolution|progression)",
            r"(?:is |are )?not evident$",
            r"not known",
            r"(?:probably|probable|possibly|possible|may be) (?:a )?normal(?: variant"
            r"| for age)?(?! e(?:[ck]g|lectro)| axis)",
            r"no p ?(?:waves?|vaag)(?: \w+)?",
            r"suggest repeat",
            rf"no (?:previous|prior|earlier|old) (?:{_ECG}|comparison)",
            rf"{_EARLIER_ECG}{_OF_DATE}",
            rf"(?:as|also|again|unlike|like|similar|unchanged|same|not|still)(?: \w+){{0,2}} (?:on|in"
            rf"|at|from|to|with|since) {_THE}"
            rf"{_EARLIER_ECG}",
            rf"(?:chang(?:e|es|ed)|unchanged|compar\w+|difference|similar|same|identical|as)(?: \w+)?"
            rf" (?:from|to|with|since|as|in|on|at) {_THE}(?:{_EARLIER_ECG}{_OF_DATE}"
            rf"|(?:previous|prior|before|earlier|last)(?: (?:ones?|time))?(?= ?(?:$|[,:])))",
            rf"as (?:previously|before|earlier|formerly)(?: {_SEEN}| described| reported| mentioned)?",
            r"not (?:only|just|merely)",
            r"no further",
            r"(?:no|without(?: any| a)?|beyond) (?:doubt|question)(?: of| that)?(?: (?:this|it|there) is)?",
            r"of (?:doubtful|uncertain|equivocal) significance",
        ),
    ),
)

_SICHER = r"(?:(?:sicher|eindeutig|gewiss|\w+lich) )?"
_VOR_EKG = r"(?:vor ?(?:e[ck]g|befund\w*|aufnahme)|(?:vorherigen|frueheren|letzten|alten) (?:e[ck]g|befund\w*))s?"

_GERMAN: tuple[Row, ...] = (
    (
        "absent",
        _FORWARD,
        (
            r"kein\w*(?: sicher\w*| eindeutig\w*)?(?: (?:anhalt|hinweis|zeichen"
            r"|anzeichen)\w*)?(?: (?:fuer|auf|einer?|eines))?",
            r"(?:ohne|nicht|weder|noch)",
            r"(?:statt|anstatt|anstelle)(?: (?:von|eine[rs]?|des|der))?",
            r"(?:spricht |sprechen )?gegen",
        ),
    ),
    (
        "absent",
        _BACKWARD,
        (
            r"(?:ist |sind |wurde )?(?:ausgeschlossen|unwahrscheinlich)",
            rf"(?:(?:ist|sind|war|waren|wurden?) )?{_SICHER}nicht (?:mehr |sicher |eindeutig )*(?:in [\w ,]{{1,30}}? )?"
            r"(?:vorhanden|nachweisbar|erkennbar|sichtbar|zu sehen|zu erkennen|gesehen|nachgewiesen)",
            rf"(?:besteh\w*|bestand\w*|lieg\w*|lag(?:en)?|find\w* sich|zeig\w* sich|(?:laesst|lassen) sich) "
            rf"{_SICHER}nicht"
            r"(?: mehr| sicher| eindeutig)*(?: (?:vor|nachweisen|erkennen|darstellen|feststellen|bestaetigen))?"
            r"(?= ?(?:$|,)| in | im | und | aber | jedoch )",
            r"(?:ist |sind )?(?:fehlt|fehlen|verschwunden|rueckgebildet)",
        ),
    ),
    ("absent", _EITHER_BACK_FIRST, (r"in kein\w+ (?:der )?ableitung\w*",)),
    (
        "possible",
        _EITHER,
        (
            r"(?:wahrscheinlich|vermutlich|fraglich|fragl|eventuell|zweifelhaft\w*)",
            r"(?:zum )?ausschluss(?: eine\w+| von)?",
        ),
    ),
    ("possible", _EITHER_BACK_FIRST, (r"moeglich",)),
    (
        "possible",
        _FORWARD,
        (
            r"(?:verdacht|verdaechtig) auf",
            r"(?:moeglich|wahrscheinlich|vermutlich|fraglich)e[rsnm]?",
            r"moeglicherweise",
            r"am ehesten",
            r"dd",
            r"hinweise? auf",
            r"wie bei",
            r"nicht auszuschliessende?\w*",
            r"mit oder ohne",
        ),
    ),
    (
        "possible",
        _BACKWARD,
        (
            rf"(?:(?:ist|sind|kann|koennen|laesst sich|lassen sich) )?{_SICHER}nicht (?:sicher )?"
            r"(?:auszuschliess?en|ausschliess?en|ausgeschlossen(?: werden)?)",
            r"(?:ist |sind )?zu erwaegen",
        ),
    ),
    (
        "past",
        _EITHER,
        (
            r"(?:war |bestand |waren )?(?:zuvor|vormals|ehemals|anamnestisch\w*|frueher(?= (?:vorhof|sinus|\w*block)))",
            rf"im {_VOR_EKG}",
        ),
    ),
    ("past", _EITHER_BACK_FIRST, (r"in der (?:vor)?(?:anamnese|geschichte)",)),
    ("past", _FORWARD, (r"zustand nach(?! (?:\w+ ){0,3}\w*(?:infarkt|stemi))",)),
    ("past", _BACKWARD, (r"(?:wurde |ist )?(?:abgeloest|ersetzt) durch", r"(?:ist |jetzt )?konvertiert (?:in|zu)")),
    (
        None,
        _FORWARD,
        (
            rf"(?:wie|unveraendert\w*|gegenueber|vergleich\w*|verglichen|seit|identisch\w*|aehnlich)"
            rf"(?: (?:schon|bereits|auch|im|in|zum|zu|mit|dem|den|der|einem)){{0,3}} {_VOR_EKG}",
            r"wie (?:zuvor|vorher|frueher|bisher|vorbeschrieben)",
        ),
    ),
)

_SWEDISH: tuple[Row, ...] = (
    (
        "absent",
        _FORWARD,
        (
            r"ing(?:en|et|a)(?: (?:saeker\w*|tecken|haallpunkt\w*))*(?: (?:paa|till|foer))?",
            r"(?:utan|ej|inte)(?: laengre)?",
            r"varken",
            r"(?:utesluter|kan(?: saekert)? utesluta)",
            r"(?:istaellet foer|snarare aen|talar emot)",
        ),
    ),
    (
        "absent",
        _BACKWARD,
        (
            r"kan uteslutas",
            r"uteslut(?:as|en|et|na)",
            r"saknas",
            r"foersvunn\w+",
            r"(?:(?:ses|syns|foereligger|finns|foerekommer) )?(?:saekert )?(?:ej|inte)(?: laengre| saekert)?"
            r"(?= ?(?:$|,)| i | paa | vid | och | men )",
            r"(?:kan )?(?:ej|inte)(?: laengre| saekert)? (?:ses|paavisas|identifieras|noteras|paavisad|sedd)",
        ),
    ),
    (
        "possible",
        _FORWARD,
        (
            r"oevervaeg",
            r"misstanke om",
            r"misstaenkt",
            r"saasom vid",
            r"(?:moejlig|sannolik|trolig|tveksam)\w*",
            r"(?:(?:kan (?:ej|inte)(?: saekert)?|foer att|att) )?utesluta",
            r"med eller utan",
        ),
    ),
    ("possible", _BACKWARD, (r"boer oevervaegas", r"kan (?:ej|inte)(?: \w+)? uteslutas")),
    (
        "past",
        _EITHER,
        (r"tidigare(?! (?:\w+ ){0,2}\w*infarkt)", r"(?:foerut|anamnes paa|i anamnesen)"),
    ),
    ("past", _FORWARD, (r"(?:tillstaand efter|status efter)(?! (?:\w+ ){0,2}\w*infarkt)",)),
    (
        None,
        _FORWARD,
        (
            r"(?:jaemfoer\w+ med|jmf med|sedan|som|liksom|likt|mot|gentemot|fraan|oefoeraendra\w+)"
            r"(?: (?:paa|vid|det|ett))* (?:tidigare|foeregaaende|foerra)"
            r"(?: (?:e[ck]g|registrering\w*|undersoekning\w*))?",
        ),
    ),
)

WORDS = (*_ENGLISH, *_GERMAN, *_SWEDISH)
