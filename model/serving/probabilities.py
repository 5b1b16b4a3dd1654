"""Log-probabilities of the tokens of an answer, which ``transformers serve`` does not give."""

from collections.abc import Callable
from typing import Any

import torch


class Probabilities:
    """Reads the tokens that ``transformers serve`` generates for the requests that ask for their probabilities."""

    def __init__(self, generation_state: Any):
        """generation_state: of `transformers.cli.serving`; its managers are watched from now on."""
        self._asked: dict[str, int] = {}
        self._found: dict[str, list[dict]] = {}
        get_manager = generation_state.get_manager

        def watched_manager(*arguments: Any, **options: Any) -> Any:
            manager = get_manager(*arguments, **options)
            if not getattr(manager, "watched", False):
                manager.generate_non_streaming, manager.watched = self._watched(manager), True
            return manager

        generation_state.get_manager = watched_manager

    def ask(self, request_id: str, alternatives: int) -> None:
        """Compute those of a request. alternatives: how many of every token."""
        self._asked[request_id] = alternatives

    def take(self, request_id: str) -> list[dict] | None:
        """Those of a request that was answered, as in OpenAI's ``logprobs.content``; None if it failed."""
        self._asked.pop(request_id, None)
        return self._found.pop(request_id, None)

    def _watched(self, manager: Any) -> Callable:
        generate = manager.generate_non_streaming

        async def generate_and_remember(model, processor, inputs, gen_config, request_id):
            answer = await generate(model, processor, inputs, gen_config, request_id=request_id)
            if (alternatives := self._asked.pop(request_id, None)) is not None:
                prompt, generated = inputs["input_ids"][0], answer[2]
                self._found[request_id] = await manager.async_submit(
                    log_probabilities, model, processor, gen_config, prompt, generated, alternatives
                )
            return answer

        return generate_and_remember


@torch.inference_mode()
def log_probabilities(
    model: Any, tokenizer: Any, gen_config: Any, prompt: torch.Tensor, generated: torch.Tensor, alternatives: int
) -> list[dict]:
    """Each generated token up to the end of the answer, with its log-probability and the most probable ones.

    prompt, generated: ids ``(tokens,)``. Tokens that are never generated (``suppress_tokens``, those of ECGs) are left
    out of the distribution; temperature is not applied.
    """
    logits = model(input_ids=torch.cat([prompt, generated])[None]).logits[0, len(prompt) - 1 : -1].float()
    if gen_config.suppress_tokens:
        logits[:, gen_config.suppress_tokens] = -torch.inf
    found, ids = logits.log_softmax(-1), generated.tolist()
    ends = gen_config.eos_token_id
    ends = {ends} if isinstance(ends, int) else set(ends or ())

    def entry(position: int, token: int) -> dict:
        before = tokenizer.decode(ids[:position])  # some tokenizers decode a first token without its space
        text = tokenizer.decode([*ids[:position], token])[len(before) :]
        return {"token": text, "logprob": float(found[position, token]), "bytes": list(text.encode())}

    content = []
    for position, token in enumerate(ids):
        if token in ends:
            break
        best = found[position].topk(alternatives).indices.tolist()
        top = [entry(position, other) for other in best]
        content.append(entry(position, token) | {"top_logprobs": top})
    return content
