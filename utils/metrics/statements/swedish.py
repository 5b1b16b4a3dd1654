"""Swedish statements, which a part of PTB-XL's reports is in. Format: `lexicon.Lexicon`; a with ring comes as aa."""

from utils.metrics.statements.lexicon import Lexicon

_LEFT_HYPERTROPHY = r"vaenster ?kammarhypertrofi"
_BEATS = r"(?:extrasystol\w*|extraslag)"

LEXICON = Lexicon(
    abbreviations={},
    walls={
        "AS": r"antero ?septal\w*", "AL": r"antero ?lateral\w*", "IL": r"infero ?lateral\w*",
        "IP": r"infero ?posterior\w*", "A": r"anterior\w*", "I": r"inferior\w*", "S": r"septal\w*",
        "L": r"(?:hoeg )?lateral\w*", "P": r"posterior\w*",
    },
    age=(
        r"(?:,? ?(?:aalder ej bestaem\w+|(?:(?:moejligen|sannolikt|troligen) )?(?:faersk|aeldre|gammal|akut)))?"
    ),
    rules={
        "SR": (r"sinusrytm",),
        "SBRAD": (r"sinusbradykardi",),
        "STACH": (r"sinusta(?:ch|k)ykardi",),
        "SARRH": (r"sinusarr?[yh]+t?h?mi",),
        "AFIB": (r"foermaksflimmer",),
        "AFLT": (r"foermaksfladder",),
        "PACE": (r"pacemaker(?: ekg| rytm)?",),
        "PVC": (rf"ventrikulaera? {_BEATS}",),
        "PAC": (rf"(?:interpolerade )?supraventrikulaera? {_BEATS}",),
        "PRC(S)": (_BEATS,),
        "1AVB": (r"a ?v block i",),
        "2AVB": (r"a ?v block ii",),
        "3AVB": (r"a ?v block iii",),
        "CLBBB": (r"vaenster ?sidigt skaenkelblock",),
        "ILBBB": (r"inkomplett vaenster ?sidigt skaenkelblock",),
        "CRBBB": (r"hoegersidigt skaenkelblock",),
        "IRBBB": (r"inkomplett hoegersidigt skaenkelblock",),
        "LAFB": (r"vaenster anteriort hemiblock",),
        "LPFB": (r"vaenster posteriort hemiblock",),
        "IVCD": (r"ospecifikt skaenkelblock",),
        "WPW": (r"wpw syndrom",),
        "LVH": (_LEFT_HYPERTROPHY,),
        "VCLVH": (rf"amplitudkrit\w* foer {_LEFT_HYPERTROPHY}",),
        "RVH": (r"hoeger ?kammarhypertrofi",),
        "LAO/LAE": (r"hypertrofi av vaenster foermak",),
        "RAO/RAE": (r"hypertrofi av hoeger foermak",),
        "LVOLT": (r"laaga qrs amplituder",),
        "ABQRS": (r"avvikande qrs t foerlopp",),
        "MI*": (r"(?:{walls} )?infarkt{age}", r"qrs t foerlopp .{0,80}?(?P<s>{walls} myokardskada)"),
        "INJ*": (r"{walls} myokardskada",),
        "ISC*": (r"(?:{walls} )?ischemi\w*",),
        "ISC*?": (
            r"st t foeraendring {walls} saasom vid ischemi",
            r"(?:st t|st|t) (?:saenkning|foeraendring),? saasom vid {walls} (?:ischemi|myokardaffektion)",
        ),
        "STE_": (r"st hoejning",),
        "STD_": (r"st(?: t)? saenkning",),
        "NST_": (r"(?:ospecifik )?st(?: t)? foeraendring",),
        "NDT": (r"ospecifik t foeraendring",),  # PTB-XL's annotators coded it so
        "TAB_": (r"t foeraendring",),
        "LNGQT": (r"qt foerlaengning",),
        "NORM": (r"normalt ekg",),
        "NORM?": (r"(?:eljest|i oevrigt) normalt ekg", r"inget saekert patologiskt"),
        "LAD": (r"vaenster el axel",),
        "ALAD": (r"extrem vaenster el axel",),
        "RAD": (r"hoeger el axel",),
        "ARAD": (r"extrem hoeger el axel",),
        "": (
            r"svaarbestaemm?bar el axel", r"bifaskiculaert block", r"bifascikulaert block", r"p foerlaengd",
            r"vaenster (?:kammar)?belastning", r"regelbunden rytm", r"inga p vaag funna",
            r"supraventrikulaera? escape beats?", r"som inte fanns paa ekg",
        ),
    },
)  # fmt: skip
