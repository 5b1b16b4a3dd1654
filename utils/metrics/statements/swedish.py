"""Swedish statements of PTB-XL's reports. Format: `lexicon.Lexicon`; å is written aa, ä and ö are written ae and oe."""

from cardiolect.utils.metrics.statements.lexicon import Lexicon

_LEFT_HYPERTROPHY = r"vaenster ?kammark?hypertrofi"
_TYPE = r"(?:typ )?(?:wenckebach(?: ?period\w*)?|mobitz(?: ?(?:typ )?(?:[12]|i{1,2}))?|typ (?:[12]|i{1,2}))"
_PRACTICALLY = r"(?:praktiskt taget|i stort sett|vaesentligen|i huvudsak|i princip)"
_BEATS = r"(?:extrasystol\w*|extraslag)"

LEXICON = Lexicon(
    abbreviations={r"\bamplitudkrit\.": "amplitudkriterier"},
    walls={
        "AS": r"antero ?septal\w*",
        "AL": r"antero ?lateral\w*",
        "IL": r"infero ?lateral\w*",
        "IP": r"infero ?posterior\w*",
        "A": r"anterior\w*",
        "I": r"inferior\w*",
        "S": r"septal\w*",
        "L": r"(?:hoeg )?lateral\w*",
        "P": r"posterior\w*",
    },
    age=(r"(?:,? ?(?:aalder ej bestaem\w+|(?:(?:moejligen|sannolikt|troligen) )?(?:faersk|aeldre|gammal|akut)))?"),
    rules={
        "SR": (r"sinusrytm",),
        "SBRAD": (r"sinusbradykardi",),
        "STACH": (r"sinusta(?:ch|k)ykardi",),
        "SARRH": (r"sinus ?arr?h?yth?mi",),
        "AFIB": (r"foermaksflimmer(?: ?/ ?fladder)?(?: med hoeg kammarfrekvens)?",),
        "AFLT": (r"foermaksfladder",),
        "PACE": (r"pacemaker(?: ekg| rytm)?",),
        "PVC": (rf"ventrikulaera? {_BEATS}",),
        "PAC": (rf"(?:interpolerade )?supraventrikulaera? {_BEATS}",),
        "PRC(S)": (_BEATS,),
        "1AVB": (r"a ?v block i",),
        "2AVB": (rf"a ?v block ii(?:,? (?:av )?{_TYPE})*",),
        "3AVB": (r"a ?v block iii",),
        "CLBBB": (r"vaenster ?sidigt skaenkelblock", r"lbbb"),
        "ILBBB": (r"inkomplett vaenster ?sidigt skaenkelblock",),
        "CRBBB": (r"hoegersidigt skaenkelblock", r"rbbb"),
        "IRBBB": (r"inkomplett hoegersidigt skaenkelblock",),
        "LAFB": (r"vaenster (?:anteriort|fraemre) hemiblock",),
        "LPFB": (r"vaenster posteriort hemiblock",),
        "IVCD": (
            r"ospecifikt (?:inkomplett |komplett )?skaenkelblock",
            r"intraventrikulaert retledningshinder",
        ),
        "WPW": (r"wpw syndrom",),
        "LVH": (_LEFT_HYPERTROPHY,),
        "VCLVH": (rf"(?:maattliga )?amplitudkrit\w* foer {_LEFT_HYPERTROPHY}",),
        "RVH": (r"hoeger ?kammarhypertrofi",),
        "LAO/LAE": (r"hypertrofi av vaenster foermak",),
        "RAO/RAE": (r"hypertrofi av hoeger foermak",),
        "LVOLT": (r"laaga qrs amplituder(?: i extremitetsavledningarna)?",),
        "ABQRS": (r"avvikande qrs t foerlopp",),
        "MI*": (r"(?:{walls} )?infarkt{age}",),
        "MI*?": (r"qrs t foerlopp .{0,80}?(?P<s>{walls} myokardskada)",),
        "INJ*": (r"{walls} myokardskada",),
        "ISC*": (r"(?:{walls} )?ischemi\w*",),
        "ISC*?": (
            r"st t foeraendring {walls} saasom vid ischemi",
            r"(?:st t|st|t) (?:saenkning|foeraendring),? saasom vid {walls} (?:ischemi|myokardaffektion)",
        ),
        "INJ*?": (r"{walls} subendokardiell myokardaffektion",),
        "STE_": (r"st(?: t)? hoejning", r"ospecifik st t foeraendring hoejning"),
        "STD_": (r"st(?: t)? saenkning",),
        "NST_": (r"(?:ospecifik )?st(?: t)? foeraendring",),
        "NDT": (r"ospecifik t foeraendring",),  # as PTB-XL's annotators coded it
        "TAB_": (r"t foeraendring",),
        "LNGQT": (r"qt(?: tid)? foerlaeng\w+",),
        "NORM": (r"normalt ekg", r"ekg (?:aer )?normalt"),
        "NORM-": (r"(?:naestan|naera) normalt ekg",),
        "NORM?": (
            r"(?:eljest|i oevrigt) normalt ekg",
            r"inget saekert patologiskt",
            rf"{_PRACTICALLY} normalt(?: ekg)?",
            rf"ekg (?:aer )?{_PRACTICALLY} normalt",
        ),
        "LAD": (r"vaenster el axel",),
        "ALAD": (r"extrem vaenster el axel",),
        "RAD": (r"hoeger el axel",),
        "ARAD": (r"extrem hoeger el axel",),
        "": (
            r"svaarbestaemm?bar el axel",
            r"bifaskiculaert block",
            r"bifascikulaert block",
            r"p foerlaengd",
            r"vaenster (?:kammar)?belastning",
            r"regelbunden rytm",
            r"inga p vaag funna",
            r"supraventrikulaera? escape beats?",
            r"slag med avvikande impulsutbredning",
            r"som inte fanns paa ekg",
        ),
    },
    common_words=(
        r"ej|inte|ing(?:en|et|a)|utan|med|och|eller|paa|foer|vid|aer|av grad|grad|typ|naagon|moejlig\w*|sannolik\w*"
        r"|(?:antero ?|infero ?)?(?:inferior|anterior|lateral|septal|posterior)(?= (?:infarkt|ischemi|myokardskada))"
    ),
)
