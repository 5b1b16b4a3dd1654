"""German statements of PTB-XL's reports. Format: `lexicon.Lexicon`; umlauts are written ae, oe, ue."""

from cardiolect.utils.metrics.statements.lexicon import Lexicon

_INCOMPLETE = r"(?:unvollstaendig\w*|inkomplett\w*|partiell\w*)"
_COMPLETE = r"(?:(?:vollstaendig|komplett|total)\w* )?"
_RIGHT_BUNDLE = r"(?:rechts ?schenkelblock\w*|rsbb?|rbbb)"
_LEFT_BUNDLE = r"(?:links ?schenkelblock\w*|lsbb?|lbbb)"
_LEFT_HYPERTROPHY = r"(?:links(?:herz|kammer|ventrikel|ventrikulaere )?hypertrophie\w*|lvh|lv hypertrophie)"
_ECG = r"(?:e[ck]g|elektrokardiogramm)"
_ST = r"st(?: ?strecken?)? ?"
_UNSPECIFIC = r"unspezifische?\w*"
_ABNORMAL = r"abnorm(?:al)?(?:e[srmn]?)?"  # PTB-XL's later reports say "abnorm"
_CAUSE = r",? ?(?:wahrscheinlich|moeglich\w*|vermutlich|eventuell)"
_SUPRAVENTRICULAR = r"supraventri[kc]ul\w*"
_LEAD = r"(?:v ?\d|av[rlf]|i{1,3}|[rlf])"
_MOBITZ = r"mobitz(?: ?(?:typ )?(?:[12]|i{1,2}))?"
_TYPE = rf"(?:,? ?(?:(?:vom )?typ )?(?:wenckebach(?: ?period\w*)?|{_MOBITZ}|typ (?:[12]|i{{1,2}})))"  # of an AV block
# What is normal for practical purposes, or at the limit: less than "normales EKG", more than "fast normales EKG".
_PRACTICALLY = r"(?:praktisch|im wesentlichen|weitgehend|im grossen und ganzen|noch|grenzwertig|gerade noch)"

LEXICON = Lexicon(
    abbreviations={
        r"\bv\.? ?a\.": "verdacht auf",
        r"\bz\. ?n\.": "zustand nach",
        r"\bz\. ?a\.": "zum ausschluss",
        r"(?<=block )([123]|i{1,3})\. ?(?=(?:oder|und|mit|typ|or|and|eller|och|med)\b)": r"\1",
        r"\bfragl\.": "fragliche",
        r"\bunbest\.": "unbestimmt",
        r"\binkompl?\.": "inkompletter",
        r"\bunvollst\.": "unvollstaendiger",
        r"\bkompl\.": "kompletter",
        r"\bunspez\.": "unspezifische",
        r"\bwahrsch\.": "wahrscheinlich",
        r"\bevtl?\.": "eventuell",
        r"\bmoegl\.": "moeglich",
        r"\bbzw\.": "oder",
        r"\bindiff\.": "indiff",
        r"\bges\.": "gesichert",
        r"\b([123]|i{1,3})\. ?(?=grad)": r"\1 ",
    },
    walls={
        "ILP": r"infero ?postero ?lateral\w*",
        "AS": r"antero ?septal\w*",
        "AL": r"antero ?lateral\w*",
        "IL": r"infero ?lateral\w*",
        "IP": r"infero ?posterior\w*",
        "PL": r"postero ?lateral\w*",
        "A": r"anterior\w*",
        "I": r"inferior\w*",
        "S": r"septal\w*",
        "L": r"(?:hoch ?)?lateral\w*",
        "P": r"posterior\w*",
    },
    age=(
        r"(?:,? ?(?:alter (?:ist )?(?:unbestimmt|unbekannt|unklar|nicht bestimmbar)|unbestimmten alters"
        r"|(?:wahrscheinlich|moeglicherweise|vermutlich|eventuell) (?:alt|aelter|frisch|akut|neu)"
        r"|alt|frisch|akut|chronisch))?"
    ),
    rules={
        "SR": (r"sinus ?rh?y?th?mus",),
        "SBRAD": (r"sinus ?br\w?adykardie",),
        "STACH": (r"sinus ?tach[yi]kardie",),
        "SARRH": (r"sinus ?arrh?ythmie", r"respiratorische arrh?ythmie"),
        "AFIB": (
            r"(?:(?:tachykardes|bradykardes|normokardes) )?vorhofs?flimmern(?: ?/ ?flattern)?(?: normokard)?",
            r"vhf",
            r"absolute arrh?ythmie",
        ),
        "AFLT": (r"vorhofs?flattern",),
        "SVTAC": (rf"{_SUPRAVENTRICULAR} tach[yi]kardie", r"vorhoftachykardie"),
        "PSVT": (rf"paroxysmale {_SUPRAVENTRICULAR} tach[yi]kardie",),
        "SVARR": (
            rf"{_SUPRAVENTRICULAR} arrh?ythmie",
            r"wandernder (?:vorhof)?schritt?macher",
            r"(?:knoten|vorhof)rhythmus",
            r"beschleunigter (?:a ?v|knoten) ?rhythmus",
        ),
        "PACE": (r"(?:herz)?schrittmacher ?(?:ekg|rhythmus|stimulation)?", r"pacemaker(?: ekg| rhythmus)?"),
        "PVC": (r"ventri[kc]ul\w* extrasystol\w*", r"ves"),
        "PAC": (rf"(?:interponierte )?{_SUPRAVENTRICULAR} extrasystol\w*", r"sves", r"vorhofs? ?(?:es|extrasystol\w*)"),
        "PRC(S)": (r"extrasystol\w*", r"a ?v es"),
        "BIGU": (r"bigemin\w+",),
        "TRIGU": (r"trigemin\w+",),
        "1AVB": (r"a ?v block(?:ierung)? (?:1|i|ersten)(?: grade?s?)?", r"(?:1|i) gradiger a ?v block"),
        "2AVB": (
            rf"a ?v block(?:ierung)? (?:2|ii|zweiten)(?: grade?s?)?{_TYPE}*",
            rf"(?:2|ii) gradiger a ?v block{_TYPE}*",
            rf"(?:a ?v block(?:ierung)? )?{_TYPE}{_TYPE}*",
        ),
        "3AVB": (
            r"a ?v block(?:ierung)? (?:3|iii|dritten)(?: grade?s?)?",
            r"(?:3|iii) gradiger a ?v block",
            r"totaler a ?v block",
        ),
        "LPR": (r"p[qr] ?(?:zeit|dauer|intervall)? ?verlaenger\w+", r"verlaengerte?s? p[qr](?: zeit| intervall)?"),
        "CLBBB": (rf"{_COMPLETE}{_LEFT_BUNDLE}", rf"{_COMPLETE}schenkelblock,? {_COMPLETE}links"),
        "ILBBB": (
            rf"{_INCOMPLETE} {_LEFT_BUNDLE}",
            rf"{_INCOMPLETE} schenkelblock links",
            rf"schenkelblock {_INCOMPLETE} links",
        ),
        "CRBBB": (rf"{_COMPLETE}{_RIGHT_BUNDLE}", rf"{_COMPLETE}schenkelblock,? {_COMPLETE}rechts"),
        "IRBBB": (
            rf"{_INCOMPLETE} {_RIGHT_BUNDLE}",
            rf"{_INCOMPLETE} schenkelblock rechts",
            rf"schenkelblock {_INCOMPLETE} rechts",
        ),
        "LAFB": (
            r"(?:links ?)?(?:anterior\w*|vorder\w*) (?:hemi|faszikel)block",
            r"schenkelblock links ant(?:erior\w*)?",
            r"lahb",
        ),
        "LPFB": (
            r"(?:links ?)?(?:posterior\w*|hinter\w*) (?:hemi|faszikel)block",
            r"schenkelblock links post(?:erior\w*)?",
            r"lphb",
        ),
        "IVCD": (
            rf"(?:{_UNSPECIFIC} )?intraventri[kc]ul\w* (?:erregungs)?(?:aus)?(?:leitungs|leistungs|breitungs)\w+",
            rf"{_UNSPECIFIC} (?:intraventri[kc]ul\w* )?(?:schenkel)?block\w*",
            r"intraventri[kc]ul\w* block\w*",
        ),
        "WPW": (r"wpw(?: syndrom)?", r"praeexzitation\w*", r"delta ?wellen?"),
        "LVH": (_LEFT_HYPERTROPHY, r"kammerhypertrophie lvh"),
        "VCLVH": (rf"(?:maessige )?(?:amplituden|voltage) ?kriterien fuer {_LEFT_HYPERTROPHY}",),
        "RVH": (r"rechts(?:herz|kammer)?hypertrophie\w*", r"rechtsventrikulaere hypertrophie\w*", r"rvh"),
        "SEHYP": (r"septumhypertrophie", r"septale hypertrophie"),
        "LAO/LAE": (
            r"p (?:sinistro ?\w+|mitrale)",
            r"vorhofs?ueberlastung links",
            r"(?:links?|linke\w* )vorhofs?(?:ueber)?(?:belastung|lastung|hypertrophie)",
            r"vorhofsueberbelastung links",
            r"linksatriale \w+",
        ),
        "RAO/RAE": (
            r"p (?:dextro ?\w+|pulmonale)",
            r"vorhofs?ueberlastung rechts",
            r"(?:rechts?|rechte\w* )vorhofs?(?:ueber)?(?:belastung|lastung|hypertrophie)",
            r"rechtsatriale \w+",
        ),
        "LVOLT": (r"(?:periphere )?nieder ?(?:spannung|voltage)\w*",),
        "HVOLT": (r"hoch ?(?:spannung|voltage)\w*",),
        "QWAVE": (
            r"(?:pathologisch\w* |tiefe\w* )?q ?(?:zacken?|wellen?)",
            rf"(?P<s>q) (?:in|ueber) {_LEAD}(?!\w)",
        ),
        "ABQRS": (rf"qrs(?: t)? {_ABNORMAL}", rf"{_ABNORMAL} qrs(?: komplex)?"),
        "MI*": (
            r"(?:{walls} )?(?:myokard)?infarkt\w*{age}",
            r"(?:myokard)?infarkt {walls}{age}",
            r"zustand nach (?:{walls} )?(?:myokard)?infarkt\w*",
        ),
        "MI*?": (
            rf"(?:qrs(?: t)? {_ABNORMAL}|myokardschaden(?: moeglich| nicht auszuschliessen)?) "
            r"(?:[\w,]+ ){0,8}?(?P<s>{walls} myokardschaden)",
        ),
        "ASMI": (r"vorderwand ?infarkt\w*{age}",),
        "IMI": (r"hinterwand ?infarkt\w*{age}",),
        "LMI": (r"seitenwand ?infarkt\w*{age}",),
        "INJ*": (r"{walls} myokardschaden",),
        "INJ*?": (
            rf"t {_ABNORMAL}{_CAUSE} {{walls}} myokardschaden",
            r"{walls} innenschicht ?s? ?schaden",
            r"{walls} myokard,? (?:oder )?perikardschaden",
        ),
        "ISC*": (r"(?:{walls} )?(?:myokard|innenschicht)?ischaemi\w+",),
        "ISC*?": (
            rf"(?:st & t|st|t) {_ABNORMAL}{_CAUSE} {{walls}} ischaemie",
            r"(?P<s>{walls} ischaemie) oder (?:links|rechts)(?:herz)?belastung",
        ),
        "STE_": (
            rf"{_ST}(?:an)?hebung\w*",
            rf"{_ST}elevation\w*",
            rf"{_UNSPECIFIC} {_ABNORMAL} st(?: t)? (?:an)?hebung\w*",
        ),
        "STD_": (rf"(?:{_UNSPECIFIC} {_ABNORMAL} )?{_ST}(?:ab)?senkung\w*",),
        "NST_": (
            rf"(?:{_UNSPECIFIC} )?{_ST}(?:t )?veraenderung\w*",
            rf"(?P<s>(?:st & t|st) {_ABNORMAL})(?!{_CAUSE})",
            rf"(?:{_UNSPECIFIC} )?(?:erregungsrueckbildungs|repolarisations)st\w+",
        ),
        "NT_": (rf"{_UNSPECIFIC} t(?: wellen)? ?veraenderung\w*",),
        "NDT": (rf"{_UNSPECIFIC} {_ABNORMAL} t(?: wellen?)?",),
        "TAB_": (
            r"t(?: wellen)? ?veraenderung\w*",
            rf"{_ABNORMAL} t(?: wellen?)?",
            rf"t(?: wellen?)? {_ABNORMAL}(?: in {{walls}} ableitungen)?"
            r"(?:,? {walls} ableitungen)?(?:,? {walls} ableitungen)?",
        ),
        "INVT": (
            r"t(?: wellen?)? neg\w*",
            r"neg\w* t(?: wellen?)?",
            r"t(?: wellen)? ?inversion\w*",
            r"t veraenderung\w* (?P<s>neg\w*)",
        ),
        "LOWT": (
            r"flache?\w* t(?: wellen?)?",
            r"t(?: wellen?)? ?(?:flach|abgeflacht|abflachung)\w*",
            r"t veraenderung\w* .{0,80}?(?P<s>flach)",
        ),
        "LNGQT": (r"qt(?: zeit| intervall)? ?verlaenger\w+", r"(?:verlaengerte?|lange)\w* qt(?: zeit| intervall)?"),
        "DIG": (r"digitalis\w*", r"glykosid\w*"),
        "EL": (r"elektrolyt\w*", r"hyp(?:o|er)kali?aemie"),
        "ANEUR": (r"(?:ventrikel|herzwand)?aneurysma",),
        "NORM": (
            rf"normal(?:es)? {_ECG}",
            rf"{_ECG} normal",
            r"normalbefund",
            rf"unauffaelliges {_ECG}",
            r"lagetyp normal (?P<s>normal)$",
            rf"{_ABNORMAL} (?P<s>normal)$",
        ),
        "NORM?": (
            rf"(?:{_ECG} )?wahrscheinlich normal(?:es {_ECG})?",
            rf"sonst (?:normal|unauffaellig)(?:es)?(?: {_ECG})?",
            rf"{_PRACTICALLY} (?:normal|unauffaellig)es {_ECG}",
            rf"{_ECG} (?:ist )?{_PRACTICALLY} (?:normal|unauffaellig)",
            rf"^{_PRACTICALLY} (?:normal|unauffaellig)$",
        ),
        "NORM-": (
            rf"(?:fast|nahezu|beinahe|annaehernd) normal(?:es)? {_ECG}",
            rf"patholog\w* ?{_ECG}",
            rf"{_ECG} pathologisch",
            rf"{_ECG} (?:ist )?nicht normal",
            r"pathologisch$",
        ),
        "MID": (
            r"lagetyp(?: in anbetracht des alters)? normal",
            r"indiff\w* ?typ",
            r"normaltyp",
            r"mittel ?lagetyp",
            r"mlt",
        ),
        "LAD": (r"link\w?s? ?(?:lage)?t[yp]{2,4}", r"linkslage", r"llt"),
        "ALAD": (r"ueberdrehter link\w*t\w*", r"link\w*t\w* ueberdreht"),
        "RAD": (r"rechts ?(?:lage)?typ", r"rechtslage"),
        "ARAD": (r"ueberdrehter rechts\w*t\w*", r"rechts\w*t\w* ueberdreht"),
        "AXR": (r"steil ?(?:typ|lage)", r"slt"),
        "SAG": (r"sagittal ?typ", r"s1 ?s2 ?s3 ?typ"),
        "": (
            r"a ?v block",
            r"schenkelblock",
            r"p verbreiterung",
            r"bifaszikulaerer block",
            r"r s uebergang",
            r"(?:schlechte|langsame|verzoegerte|fehlende) r progression",
            r"links(?:herz)?belastung",
            r"rechts(?:herz)?belastung",
            rf"(?P<s>(?:st & t|st) {_ABNORMAL}){_CAUSE}",
            r"oder perikardschaden",
            rf"(?:lagetyp in anbetracht des alters|e[ck]g) {_ABNORMAL}",
            r"schwierig bestimmbare\w* (?:(?:qrs|el) )?achse",
            r"(?:un)?regelmaessiger rhythmus(?:,? keine p welle\w* (?:erkannt|gefunden))?",
            r"supraventri[kc]ul\w* ersatzsystol\w*",
            r"grenzbefund",
            r"in v ableitungen nach (?:rechts|links) verschoben",
            r"(?:4\.46 ?)?unbest\w*(?: b\w*)?",
            r"4\.46(?: u\w*)?",
            r"ventri[kc]ul\w+ tachykardie",
            r"idioventri[kc]ul\w*",
            r"p cardiale",
        ),
    },
    common_words=(
        r"kein\w*|nicht|ohne|mit|und|oder|bei|der|die|das|ist|sind|im|zum|fuer|sonst|jetzt|neue?s?|links|rechts|grade?s"
        r"|typ|(?:bi|tri)geminus|moeglich\w*|wahrscheinlich|verdacht|zustand|periodik|extrasystole"
    ),
)
