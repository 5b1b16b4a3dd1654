"""English statements of GE Marquette 12SL and Philips (as in MIMIC-IV-ECG), PTB-XL, its translations and the simulator.

Format: `lexicon.Lexicon`. Texts are normalised: lower case, no hyphens, no brackets, a comma for a spaced dash.
"""

from cardiolect.utils.metrics.statements.english_known import KNOWN
from cardiolect.utils.metrics.statements.lexicon import Lexicon

_BUNDLE = r"(?:bundle branch block|bbb)"
_SIDED = r"(?: sided?)? (?:bundle branch|leg|thigh|shin|limb) block"  # translations of Swedish and German
_LEFT_HYPERTROPHY = (
    r"(?:(?:left ventric(?:ular|le)|lv|left) hypertrophy|hypertrophy of (?:the )?(?:left ventricle|lv)|lvh)"
)
_ECG = r"(?:e[ck]g|electrocardiogram)"
_CHANGES = r"(?:changes?|abnormalit(?:y|ies)|abnrm)"
_ST_T = r"(?:st t|st and t|st & t|st|t)(?: wave| segment)?"
_DUE = r"(?:may be due to|possibly due to|probably due to|suggests?|, consider)"
_ISCHEMIA = r"(?:myocardial )?(?:injury ?/ ?)?ischa?emia"
_AXIS = r"(?:axis deviation|(?:electrical |electric |el )?(?:axis|shaft))"
_NONSPECIFIC = r"non ?(?:specific|diagnostic)"
_WHERE = rf"(?:{{walls}} )?(?:{_NONSPECIFIC} )?"
_LEADS = r"(?:,? (?:in (?:the )?)?{walls} leads?)?"
_SLIGHTLY = r"(?:(?:slightly|minimally|mildly|markedly|generally|also|now) )?"
_TYPE = (  # of a second-degree block
    r"(?:mobitz(?: type)?(?: i{1,2}| 1| 2)?|(?:type )?wenckebach(?: type| period\w*| phenomenon| block)?"
    r"|type (?:mobitz )?(?:[12]|i{1,2}))"
)
_ABNORMAL = r"abnorm(?:al)?"  # translations may keep the German "abnorm"
_EARLIER = r"(?:(?:old|previous|prior|recent|healed|remote|acute|evolving|chronic) )?"
# What is normal for practical purposes, or probably: less than "normal ECG", more than "nearly normal".
_PRACTICALLY = (
    r"(?:practically|essentially|virtually|basically|largely|mostly|grossly|broadly|effectively|more or less"
    r"|by and large|for (?:all )?practical purposes|probably|possibly|presumably|likely|borderline)"
)
_IS_NORMAL = r"(?:normal(?:ly)?|unremarkable|within normal limits)"
_PREMATURE = r"(?:complex|beat|contraction)(?:e?s)?"

LEXICON = Lexicon(
    abbreviations={
        r"supraventr\.": "supraventricular",
        r"intraventr\.": "intraventricular",
        r"\bneg\.": "neg",
        r"\bpath\.": "pathological ",
        r"(?<!supra)(?<!intra)\bventr?\.": "ventricular",
        r"\bresp\.": "respiratory",
        r"\bchalk\.": "criteria",
        r"\be\.g\.": "such as",
        r"\bvs\b\.?": "versus",
        r"\bw/o\b": "without",
        r"\bc/w\b": "consistent with",
        r"\bh/o\b": "history of",
        r"\bpart\.": "partial",
        r"\bant\.": "anterior",
        r"\binf\.": "inferior",
        r"\blat\.": "lateral",
        r"\bsept\.": "septal",
    },
    walls={
        "ILP": r"infero ?postero ?lateral(?:ly)?",
        "AS": r"antero ?septal(?:ly)?|ant/septal",
        "AL": r"antero ?lateral(?:ly)?",
        "IL": r"infero ?lateral(?:ly)?",
        "IP": r"infero ?posterior",
        "PL": r"postero ?lateral",
        "A": r"anterior|ant",
        "I": r"inferior",
        "S": r"septal",
        "L": r"(?:high )?lateral",
        "P": r"posterior",
    },
    age=(
        r"(?:,? ?(?:age (?:is )?(?:undetermined|indeterminate|unknown|uncertain|not determinable)"
        r"|of (?:uncertain|undetermined|indeterminate) age"
        r"|(?:possibly|probably|likely|perhaps) (?:old|older|acute|recent|new|chronic|fresh)"
        r"|old|acute|recent|chronic)| probable old)?"
    ),
    rules={
        # rhythm
        "SR": (r"sinus rhythm", r"nsr", r"sr"),
        "SR? SVARR?": (r"sinus or ectopic atrial rhythm",),
        "SBRAD": (r"sinus bradycardia",),
        "STACH": (r"sinus tachycardia",),
        "SARRH": (r"sinus arr?h?ythmia", r"respiratory arrhythmia"),
        "AFIB": (r"atrial fibrillation", r"a ?fib", r"af"),
        "AFLT": (
            r"atrial flutter",
            r"a ?flutter",
            r"atrial flutter (?:with \w+ ventricular response )?with (?:\d:\d|variable) a ?v (?:block|conduction)",
        ),
        "SVTAC": (
            r"supraventricular tachycardia",
            r"svt",
            r"(?:ectopic )?atrial tachycardia",
            r"junctional tachycardia",
        ),
        "PSVT": (r"paroxysmal supraventricular tachycardia", r"psvt"),
        "SVARR": (
            r"supraventricular arrhythmia",
            r"ectopic atrial (?:rhythm|bradycardia)",
            r"wandering (?:atrial )?pacemaker",
            r"(?:accelerated )?junctional (?:escape )?(?:rhythm|bradycardia)",
        ),
        "PACE": (
            r"(?:normal(?:ly)? functioning )?(?:artificial|electronic) pacemaker",
            r"pacemaker(?: rhythm| ecg| ekg)?",
            r"(?:atrial|ventricular|demand|dual chamber|a ?v|sequential)(?: sequential| atrial| ventricular)*"
            r" ?(?:pacing|paced)(?: rhythm| complex(?:es)?)?",
            r"paced rhythm",
        ),
        "PVC": (
            rf"ventricular premature {_PREMATURE}",
            rf"premature ventricular {_PREMATURE}",
            r"(?:pvc|vpc|vpb)s?",
            r"ventricular (?:extra ?systoles?|extra strokes?|extra beats?|ectop\w+)",
        ),
        "PVC?": (r"(?:pvcs?|ventricular premature complex(?:es)?) or aberrant\w*(?: ventricular)? conduct\w+",),
        "PAC": (
            rf"(?:atrial|supraventricular) premature {_PREMATURE}",
            rf"premature (?:atrial|supraventricular) {_PREMATURE}",
            r"(?:pac|apc|apb)s?",
            r"(?:supraventricular|atrial) (?:es|extra ?systoles?|extra strokes?|extra beats?|ectop\w+)",
            r"aberrantly conducted supraventricular complex(?:es)?",
        ),
        "PRC(S)": (rf"premature {_PREMATURE}", r"extra ?systoles?", r"ectopic beats?"),
        "BIGU": (r"bigemin\w+",),
        "TRIGU": (r"trigemin\w+",),
        # conduction
        "1AVB": (
            r"(?:1st|first) degree (?:a ?v|heart) ?(?:heart )?block",
            r"a ?v block,? (?:1st degree|first degree|[1i])(?: grades?| degree)?",
        ),
        "2AVB": (
            r"(?:2nd|second) degree (?:a ?v|heart) ?(?:heart )?block",
            r"a ?v block,? (?:2nd degree|second degree|2|ii)(?: grades?| degree)?",
            rf"(?:2nd|second) degree (?:a ?v|heart) ?block(?:,? (?:of )?{_TYPE})+",
            rf"a ?v block,? (?:2nd degree|second degree|2|ii)(?: grades?| degree)?(?:,? (?:of )?{_TYPE})+",
            r"(?:2|3|4):1 a ?v block",
            r"(?:high grade|high degree|advanced) a ?v block",
            r"(?:type )?(?:mobitz|wenckebach)(?: type| period\w*| phenomenon| block)?(?: i{1,2}| 1| 2)?",
        ),
        "3AVB": (
            r"(?:3rd|third) degree (?:a ?v|heart) ?(?:heart )?block",
            r"a ?v block,? (?:3rd degree|third degree|3|iii)(?: grades?| degree)?",
            r"(?:complete|total) (?:a ?v|heart) block",
        ),
        "LPR": (
            r"(?:prolonged|long) pr(?: interval)?",
            r"pr(?: interval)? (?:is )?(?:prolong\w+|above the normal range)",
        ),
        "CLBBB": (rf"(?:complete )?(?:left {_BUNDLE}|lbbb|left{_SIDED})",),
        "ILBBB": (rf"(?:incomplete|inc|partial) (?:left {_BUNDLE}|lbbb|left{_SIDED})", r"ilbbb"),
        "CRBBB": (rf"(?:complete )?(?:right {_BUNDLE}|rbbb|right{_SIDED})",),
        "IRBBB": (rf"(?:incomplete|inc|partial) (?:right {_BUNDLE}|rbbb|right{_SIDED}|rsb)", r"irbbb"),
        "LAFB": (r"left anterior (?:fascicular|hemi) ?block", r"lafb", r"lahb"),
        "LPFB": (r"left posterior (?:fascicular|hemi) ?block", r"lpfb", r"lphb"),
        "IVCD": (
            rf"(?:{_NONSPECIFIC} )?(?:iv|intra ?ventricular) (?:conduction )?(?:defect|delay|dis\w+|block)(?: block)?",
            r"ivcd",
            rf"{_NONSPECIFIC}{_SIDED}",
            r"intraventricular (?:performance|line) (?:disorder|disturbance)",
        ),
        "WPW": (r"wpw(?: syndrome)?", r"wolff? parkinson white(?: syndrome)?", r"(?:ventricular )?pre ?excitation"),
        # hypertrophy and voltage
        "LVH": (_LEFT_HYPERTROPHY, r"due to (?P<s>(?:ventricular )?hypertrophy)"),
        "LVH RVH": (r"biventricular hypertrophy",),
        "VCLVH": (
            rf"(?:minimal |moderate )?(?:amplitude|voltage) criteria(?: qrs)? for {_LEFT_HYPERTROPHY}",
            rf"{_LEFT_HYPERTROPHY}(?: suggested)? by voltage(?: criteria)?(?: only)?",
            rf"voltages are high in \w+ leads suggesting {_LEFT_HYPERTROPHY}",
            rf"(?:chest|limb) lead voltages suggest(?: possible)? {_LEFT_HYPERTROPHY}",
        ),
        "RVH": (r"(?:right ventricular|rv|right) hypertrophy", r"rvh"),
        "SEHYP": (r"septal hypertrophy",),
        "LAO/LAE": (
            r"left atrial (?:enlargement|abnormality|overload|hypertrophy|dilat\w+)(?: ?/ ?enlargement)?",
            r"lae",
            r"lao",
            r"atrial overload left",
            r"hypertrophy of the left atrium",
        ),
        "RAO/RAE": (
            r"right atrial (?:enlargement|abnormality|overload|hypertrophy|dilat\w+)(?: ?/ ?enlargement)?",
            r"rae",
            r"rao",
            r"atrial overload right",
            r"hypertrophy of the right atrium",
        ),
        "LAO/LAE RAO/RAE": (r"biatrial (?:enlargement|abnormality|overload|hypertrophy)",),
        "LVOLT": (
            r"low (?:limb lead |qrs )*(?:voltages?|amplitudes?)(?:,? (?:in )?[\w ]*leads)?",
            r"(?:peripheral )?low voltage",
        ),
        "HVOLT": (r"high (?:v lead |chest lead |limb lead |qrs )*(?:voltages?|amplitudes?)", r"voltages are high"),
        "HVOLT?": (r"voltages (?:in \w+ leads )?(?:are )?at (?:about )?(?:the )?upper limits?(?: of normal)?",),
        # QRS
        "QWAVE": (rf"{_WHERE}q waves?(?: present)?{_LEADS}",),
        "ABQRS": (
            rf"{_ABNORMAL} qrs(?: t)?",
            rf"qrs(?: t)? (?:is )?{_ABNORMAL}",
            rf"(?:{_ABNORMAL}|deviating|aberrant) qrs t course",
        ),
        # infarction, injury, ischaemia
        # the name of AMI in PTB-XL's list, as ECG-QA and the simulator write it
        "AMI": (r"(?:acute )?myocardial infarction in anterior leads{age}",),
        "MI*": (
            r"(?:{walls} )?(?:myocardial )?(?:infarct|infarction|infarcts|mi){age}",
            rf"{_EARLIER}{{walls}} wall (?:myocardial )?(?:infarct|infarction|mi){{age}}",
            r"(?:myocardial )?(?:infarct|infarction) (?:in|of) (?:the )?{walls} (?:leads|wall){age}",
            r"(?:{walls} )?st elevation (?:mi|myocardial infarction)",
            r"(?:{walls} )?n?stemi",
            r"q waves?\b.{0,80}?(?P<s>{walls} myocardial (?:injury|damage))",
        ),
        "IMI": (r"imi",),
        "MI*?": (
            rf"qrs t (?:{_ABNORMAL}|course) .{{0,80}}?(?P<s>{{walls}} myocardial (?:injury|damage))",
            rf"{{walls}} {_ST_T} {_CHANGES} suggest (?:myocardial )?infarct",
        ),
        "STE_ MI*?": (r"{walls} st elevation, (?:consider|possible|probable)(?: acute)? infarct",),
        "INJ*": (
            r"{walls} (?:myocardial |subendocardial )?(?:injury|damage)",
            r"{walls} subendocardial (?:infarct|infarction){age}",
            r"subendocardial injury in {walls} leads",
        ),
        "INJ*?": (rf"t {_ABNORMAL}, (?:likely|probably) {{walls}} myocardial (?:damage|injury)",),
        "ISC*": (
            rf"(?:{{walls}} )?{_ISCHEMIA}(?: in {{walls}} leads)?",
            r"non ?specific ischa?emic",
            r"ischa?emic in {walls} leads",
            r"ischa?emic heart disease",
            r"ischa?emic(?: st t| st| t)?(?: wave)? changes(?: in {walls} leads)?",
        ),
        "ISC*?": (
            rf"(?:{{walls}} )?{_ST_T} {_CHANGES} ?{_DUE} {_ISCHEMIA}",
            rf"(?:abnormal t|(?:repol|t) abnrm) ?(?:suggests|, consider) {_ISCHEMIA}(?:,? {{walls}})?",
            r"(?:st t|st|t) (?:lowering|decrease|changes?),? (?:such )?as (?:in|with) {walls} ischemia",
            r"t changes?,? (?:such )?as in {walls} myocardial infarction",
        ),
        "STD_ ISC*?": (r"st (?:segment )?depression in {walls} leads suggests ischa?emia",),
        "ISC*? LVH?": (
            rf"(?:{{walls}} )?{_ST_T} {_CHANGES} may be due to hypertrophy and/or ischemia",
            r"may be due to hypertrophy and/or ischemia",
        ),
        # ST segment, T wave, QT
        "STE_": (
            rf"{_WHERE}st (?:segment )?(?:elevations?|elev|lifting){_LEADS}",
            rf"st segments? (?:is|are) {_SLIGHTLY}elevated",
        ),
        "STD_": (
            rf"{_WHERE}st (?:segment |junctional )?depression(?: is non ?specific)?{_LEADS}",
            rf"st segments? (?:is|are) {_SLIGHTLY}depressed",
            r"st t (?:lowering|decrease|depression)",
        ),
        "NST_": (
            rf"{_WHERE}(?:st t|st and t|st & t|st)(?: wave| segment)? {_CHANGES}(?: are non ?specific)?{_LEADS}",
            rf"(?P<s>st & t {_ABNORMAL})(?!,? (?:likely|probably|possibly|wahrsch|moegl))",
            r"non ?specific repol\w* \w+",
        ),
        "NT_": (
            rf"{_NONSPECIFIC} t(?: wave)? (?:changes?|flattening)(?: or slight inversion)?{_LEADS}",
            rf"{_WHERE}t(?: wave)? changes? (?:are|is) (?:non ?specific|borderline(?: abnormal)?)",
            rf"{_WHERE}t(?: wave)? changes? may be normal for age",
        ),
        "NDT": (rf"{_NONSPECIFIC} (?:abnormal t|t(?: wave)? (?:abnormalit(?:y|ies)|abnrm))(?: waves?)?{_LEADS}",),
        "TAB_": (
            rf"{_WHERE}t(?: wave)? {_CHANGES}(?: are abnormal)?{_LEADS}",
            rf"{_ABNORMAL} t(?: waves?)?",
            rf"t(?: waves? (?:are|is))? {_ABNORMAL}",
        ),
        "INVT": (
            rf"{_WHERE}(?:inverted|neg(?:ative)?) t(?: waves?)?{_LEADS}",
            r"t(?: waves?)? neg(?:ative)?",
            rf"{_WHERE}t(?: wave)? inversions?{_LEADS}",
            r"t(?: waves?)? inverted",
            r"t waves? .{0,80}?(?P<s>inverted)",
            r"t waves? (?:is|are) (?P<s>negative)",
            r"t changes? (?P<s>negative)",
        ),
        "LOWT": (
            r"low amplitude t(?: waves?)?",
            r"flat t(?: waves?)?",
            r"t wave flattening",
            r"t waves? .{0,80}?(?P<s>(?:low or )?flat)",
            r"t waves? are (?:\w+ )?(?P<s>low)",
            r"t(?: changes?)?:? .{0,80}?(?P<s>flat) (?:in )?v\d",
        ),
        "LNGQT": (
            r"(?:prolonged|long) qtc?(?: interval)?",
            r"qtc?(?: interval)? (?:is )?prolong\w+",
            r"qt corrected above the normal range",
        ),
        "DIG": (r"digitalis(?: effect)?", r"digoxin(?: effect)?"),
        "EL": (r"electrolyte (?:disturbance|abnormalit(?:y|ies)|imbalance)s?", r"(?:hypo|hyper)(?:k|c)al(?:c)?a?emia"),
        "ANEUR": (r"(?:ventricular )?aneurysm",),
        # the whole ECG
        "NORM": (
            rf"normal(?:ly)? {_ECG}",
            rf"{_ECG} (?:is |was |appears |looks )?(?:completely |entirely |otherwise )?(?:normal|unremarkable)",
            rf"(?:unremarkable|healthy) {_ECG}",
            r"(?:normal|unremarkable) (?:tracing|study)",
            r"no (?:ecg )?abnormalit(?:y|ies) (?:detected|seen|found|identified)",
            r"within normal limits",
            r"(?:team|location|position|layer) type normal (?P<s>normal)$",
        ),
        "NORM?": (
            rf"otherwise (?:normal(?:ly)?|unremarkable|within normal limits)(?: {_ECG}| tracing| study)?",
            rf"(?:{_ECG}|tracing) (?:is |was )?otherwise (?:normal|unremarkable|within normal limits)",
            r"(?:otherwise )?no (?:definite|significant|certain) (?:pathology|abnormalit(?:y|ies))",
            r"nothing safe pathological",
            rf"{_PRACTICALLY} (?:an? )?{_IS_NORMAL} (?:{_ECG}|tracing|study)",
            rf"(?:{_ECG}|tracing) (?:is |was |appears |looks )?{_PRACTICALLY} {_IS_NORMAL}",
            rf"^{_PRACTICALLY} {_IS_NORMAL}$",
            rf"{_IS_NORMAL} (?:{_ECG}|tracing),? for (?:all )?practical purposes",
        ),
        "NORM-": (
            rf"{_ABNORMAL} (?:{_ECG}|tracing)",
            rf"(?:{_ECG}|tracing) (?:is |was )?{_ABNORMAL}",
            rf"(?:{_ECG}|tracing) (?:(?:is|was|does|did)(?: not|n\W?t)|not) (?:\w+ ){{0,2}}?(?:normal"
            rf"|unremarkable|within normal limits)",
            rf"not (?:a |an |entirely |completely )*normal(?: {_ECG})?",
            rf"(?:near(?:ly)?|almost|not quite) (?:a )?normal(?: {_ECG}| tracing| study)?",
            r"summary: (?:normal )?abnormal",
            rf"pathological ?{_ECG}",
            r"pathological$",
        ),
        # axis
        "MID": (
            r"normal (?:heart |electrical |qrs )?axis",
            r"axis is normal",
            r"(?:team|location|position|layer) type normal",
        ),
        "LAD": (
            r"left axis deviation",
            rf"left {_AXIS}",
            r"left (?:type|position)",
            r"(?<!lima )(?<!lima to )lad(?! (?:and (?:lcx|cx|rca|circumflex)|territory|artery|distribution|territories"
            r"|disease|stent|lesion|stenosis|occlusion|graft|bypass|(?:\w+ )?(?:ischa?emi\w+|infarct\w*|n?stemi|mi)))",
            r"qrs axis superior to 30 degrees",
        ),
        "ALAD": (rf"(?:marked|abnormal|severe|extreme) left {_AXIS}", r"hyperex\w+ left type"),
        "AXL": (r"leftward axis", r"borderline left axis deviation"),
        "RAD": (r"right axis deviation", rf"right {_AXIS}", r"right type", r"rad"),
        "ARAD": (rf"(?:marked|abnormal|severe|extreme) right {_AXIS}", r"hyperex\w+ right type"),
        "SAG": (r"sagittal (?:axis|type)",),
        "AXR": (r"rightward axis", r"borderline right axis deviation", r"steep (?:type|slope)"),
        # recognised, without a code
        "": KNOWN,
    },
    common_words=(
        r"no|not|without|with|and|or|the|of|is|are|was|were|possible|probabl[ey]|degree|grade|type|seen|present|suggests?"
        r"|evidence|normal ecg"
    ),
)
