"""ECG-QA's question templates (arXiv 2306.15681): number, types and wording, for labels and simulator alike.

Template numbers are those whose answer list in ``answers_for_each_template.csv`` fits. Wordings that could not be
verified against the published files imitate their style.
"""

from dataclasses import dataclass

VERIFY, CHOOSE, QUERY = "single-verify", "single-choose", "single-query"
COMPARISON_QUERY = "comparison_irrelevant-query"
NOISE_IN_LEAD, ANY_NOISE_IN_LEAD = 26, 28
ANY_NOISE, ANY_EXTRASYSTOLE = "any kind of noises", "any kind of extra systoles"


@dataclass(frozen=True)
class Template:
    """wording: the question with ``{}`` for each attribute it names."""

    question_type: str
    attribute_type: str
    wording: str

    def text(self, *attributes: str) -> str:
        """The question about these attributes."""
        return self.wording.format(*attributes)


TEMPLATES: dict[int, Template] = {
    1: Template(VERIFY, "scp_code", "Does this ECG show symptoms of {}?"),
    4: Template(CHOOSE, "scp_code", "Which diagnostic symptom does this ECG show, {} or {}?"),
    5: Template(QUERY, "scp_code", "What diagnostic symptoms does this ECG show?"),
    7: Template(QUERY, "scp_code", "What rhythm-related symptoms does this ECG show?"),
    10: Template(CHOOSE, "scp_code", "Which rhythm-related symptom does this ECG show, {} or {}?"),
    20: Template(VERIFY, "heart_axis", "Does this ECG show {}?"),
    21: Template(CHOOSE, "heart_axis", "Which cardiac axis does this ECG show, {} or {}?"),
    22: Template(QUERY, "heart_axis", "What direction is this ECG deviated to?"),
    23: Template(VERIFY, "stage_of_infarction", "Does this ECG show {}?"),
    25: Template(QUERY, "stage_of_infarction", "What stage of myocardial infarction does this ECG show?"),
    NOISE_IN_LEAD: Template(VERIFY, "noise", "Does this ECG show {} in lead {}?"),
    27: Template(VERIFY, "noise", "Does this ECG show {}?"),
    ANY_NOISE_IN_LEAD: Template(VERIFY, "noise", "Does this ECG show any kind of noises in lead {}?"),
    29: Template(VERIFY, "noise", "Does this ECG show {}?"),
    30: Template(CHOOSE, "noise", "Which noise does this ECG show, {} or {}?"),
    32: Template(QUERY, "noise", "What kinds of noises does this ECG show?"),
    35: Template(VERIFY, "extra_systole", "Does this ECG show {}?"),
    36: Template(VERIFY, "extra_systole", "Does this ECG show {}?"),
    37: Template(CHOOSE, "extra_systole", "Which kind of extra systole does this ECG show, {} or {}?"),
    38: Template(QUERY, "extra_systole", "What kinds of extra systoles does this ECG show?"),
    39: Template(VERIFY, "numeric_feature", "Does the {} of this ECG fall within the normal range?"),
    40: Template(CHOOSE, "numeric_feature", "Which range does the {} of this ECG fall in, {} or {}?"),
    41: Template(QUERY, "numeric_feature", "What range does the {} of this ECG fall in?"),
    42: Template(QUERY, "numeric_feature", "What numeric features of this ECG fall {}?"),
    68: Template(
        COMPARISON_QUERY,
        "numeric_feature",
        "What numeric features of the second ECG now have become normal as compared to the first ECG?",
    ),
    69: Template(
        COMPARISON_QUERY,
        "numeric_feature",
        "What numeric features of the second ECG are now considered abnormal values as compared to the first ECG?",
    ),
    70: Template(
        COMPARISON_QUERY,
        "numeric_feature",
        "What numeric features of the second ECG are still abnormal as compared to the first ECG?",
    ),
}
