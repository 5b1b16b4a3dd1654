"""A training step of LoRA without new token rows, with PEFT's adapters of new rows, and with those of `RowAdapter`.

    python -m bench.lora_step [--rows 129883] [--width 256] [--threads 2]

A random Llama; loss and gradients of one packed batch, the three models' steps in turns, and a pass over one token as
in generation with adapters that are not merged. Ratios are to the model without new rows.
"""

import time
from collections.abc import Callable

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from bench.harness import benchmark_parser, report
from cardiolect.model.llm.row_adapters import use_row_adapters
from cardiolect.model.training.objectives import weighted_loss
from cardiolect.utils.command_line import run_command
from cardiolect.utils.device import keep_freed_memory

NEW = 1627  # rows of an ECG tokenizer: start, end, codes


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--rows", type=int, default=129_883, help="rows of embedding and head, new ones included")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=512, help="tokens of a batch, half of them supervised")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each model")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as training does
    table = []
    for tied in (True, False):
        models = {
            "no new rows": adapted(arguments, tied, rows=False),
            "PEFT": adapted(arguments, tied, rows=True),
            "ours": use_row_adapters(adapted(arguments, tied, rows=True)),
        }
        ids = torch.randint(arguments.rows, (1, arguments.tokens), generator=torch.Generator().manual_seed(0))
        ids[:, ::2] = arguments.rows - 1 - ids[:, ::2] % NEW
        batch = {"input_ids": ids, "loss_weights": torch.arange(arguments.tokens)[None] % 2.0}
        losses = {name: step(model, batch) for name, model in models.items()}
        steps = fastest(models, arguments.steps, lambda model: step(model, batch))  # noqa: B023
        tokens = fastest(models, 3 * arguments.steps, next_token)
        for name in models:
            row = {"head": "tied" if tied else "untied", "model": name, "loss": losses[name]}
            for what, found in (("step", steps), ("token", tokens)):
                row |= {f"ms per {what}": found[name], f"ratio of {what}": found[name] / found["no new rows"]}
            table.append(row)
    notes = f"{arguments.rows} rows x {arguments.width}, {NEW} of them new; {arguments.tokens} tokens, fp32"
    report("lora_step", table, arguments.out, notes)


def adapted(arguments, tied: bool, rows: bool) -> PeftModel:
    """A random Llama of two layers with LoRA on its projections, and adapters of its last rows as PEFT makes them."""
    torch.manual_seed(0)
    width = arguments.width
    sizes = dict(hidden_size=width, intermediate_size=3 * width, num_hidden_layers=2, num_attention_heads=4)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=arguments.rows, tie_word_embeddings=tied, **sizes))
    new = list(range(arguments.rows - NEW, arguments.rows))
    tables = {"model.embed_tokens": new} if tied else {"model.embed_tokens": new, "lm_head": new}
    targets = ["q_proj", "v_proj", "up_proj", "down_proj"]
    return get_peft_model(model, LoraConfig(target_modules=targets, trainable_token_indices=tables if rows else None))


def fastest(models: dict[str, PeftModel], times: int, call: Callable[[PeftModel], object]) -> dict[str, float]:
    """Milliseconds of each model's fastest call after the first; they take turns, because the machine may be busy."""
    found = {name: [] for name in models}
    for _ in range(times + 1):
        for name, model in models.items():
            start = time.perf_counter()
            call(model)
            found[name].append(1000 * (time.perf_counter() - start))
    return {name: min(values[1:]) for name, values in found.items()}


@torch.inference_mode()
def next_token(model: PeftModel) -> None:
    model(input_ids=torch.tensor([[1]]))


def step(model: PeftModel, batch: dict) -> float:
    loss, weight = weighted_loss(model, model.get_output_embeddings(), batch)
    (loss / weight).backward()
    model.zero_grad(set_to_none=True)
    return (loss / weight).item()


if __name__ == "__main__":
    run_command(main)
