"""The questions of chains as examples, each with the gold answers before it."""

from cardiolect.data_provider.examples import INSTRUCT_TASK, Example, RecordRef
from cardiolect.data_provider.texts.reasoning.form import Chain


def examples_of(chain: Chain, ref: RecordRef, condensed: bool = False) -> list[Example]:
    """One example per step of `Chain.steps`; earlier questions have their gold answers, whatever a model answered.

    condensed: earlier questions come without their options.
    """
    history = list(chain.exchanges(condensed))
    return [
        Example(
            sample_id=f"{chain.chain_id}:{turn}",
            records=(ref,),
            task=INSTRUCT_TASK,
            question=step.asked,
            answers=(step.answer,),
            question_type=step.kind,
            background=ref.background,
            history=tuple(history[:turn]),
        )
        for turn, step in enumerate(chain.steps)
    ]
