"""The training loop of stages 2 and 3: Hugging Face Trainer with DeepSpeed, weighted targets and packed rows."""

import json
import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import deepspeed
import torch
import transformers.trainer
from peft import PeftModel
from torch.utils.data import DataLoader, Dataset, SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from cardiolect.model.llm.ecg_language_model import inner_model
from cardiolect.model.training import attention
from cardiolect.model.training.batches import fill, make_batches
from cardiolect.model.training.deepspeed_config import splits_weights
from cardiolect.model.training.muon import muon
from cardiolect.model.training.objectives import positions_per_chunk, weighted_loss
from cardiolect.model.training.packing import collate, lay_out
from cardiolect.model.training.progress import LogCallback, Progress, trackers
from cardiolect.model.training.settings import TrainSettings
from cardiolect.model.training.workers import begin_worker, workers
from cardiolect.model.training.zero3 import gather_weights
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError
from cardiolect.utils.progress import progress
from cardiolect.utils.resume import FOLDER, Start, begin
from cardiolect.utils.schedule import make_schedule, set_own_rate
from cardiolect.utils.stopping import Signals, Stopped

# DeepSpeed calls it on every rank, about which users can do nothing.
warnings.filterwarnings("ignore", "`torch.distributed.all_gather_into_tensor` is deprecated", FutureWarning)

TOKENS = "tokens"  # in a batch: its number of tokens, padding aside
UNLOGGED = "unlogged_loss.json"  # in a saved step: the sum of losses since the last log entry, and its step


class ECGTrainer(Trainer):
    """Trainer whose loss is the mean over the weighted targets of the *global* batch.

    It does not depend on the number of ranks or on accumulation.
    """

    def __init__(self, settings: TrainSettings, chunk: int | None, run: "RunCallback", **kwargs):
        super().__init__(callbacks=[run], **kwargs)
        self.settings, self.run = settings, run
        self.progress = Progress(self.model, settings)
        self.add_callback(self.progress)
        self.remove_callback(PrinterCallback)
        if launch.is_main():
            self.add_callback(LogCallback(settings.output_dir))
        self.chunk = chunk  # see `weighted_loss`
        self.loss_is_scaled_for_ga = True  # by the weight of the whole accumulated batch, below

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        if self.optimizer is None and self.settings.optimizer == "muon":
            self.optimizer = muon(self.model, self._token_tables(), self.settings.muon_learning_rate, self.args)
        super().create_optimizer(model)
        if self.settings.row_rate != self.settings.learning_rate:
            rows = self._token_rows()
            chosen = {id(parameter) for name, parameter in self.model.named_parameters() if name in rows}
            set_own_rate(self.optimizer, chosen, self.settings.row_rate)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer=None) -> torch.optim.lr_scheduler.LRScheduler:
        if self.lr_scheduler is None:
            self.warmup, schedule = self.settings.warmup(num_training_steps), self.settings.schedule
            self.lr_scheduler = make_schedule(schedule, optimizer or self.optimizer, num_training_steps, self.warmup)
            self._created_lr_scheduler = True  # Trainer.train then makes a new one for every run
        return self.lr_scheduler

    def _token_tables(self) -> set[int]:
        tables = (self.model.get_input_embeddings(), self.model.get_output_embeddings())
        return {id(table.weight) for table in tables if table is not None}

    def _token_rows(self) -> set[str]:
        """Names of the parameters that hold rows of embedding and head: whole tables, or the adapters of ECG rows."""
        tables = self._token_tables()
        return {name for name, p in self.model.named_parameters() if id(p) in tables or "token_adapter" in name}

    def get_train_dataloader(self) -> DataLoader:
        loader = super().get_train_dataloader()
        # Accelerate iterates over the loader inside, and makes one of the outer one's arguments for a resumed epoch.
        for each in (loader, getattr(loader, "base_dataloader", loader)):
            each.worker_init_fn = begin_worker
        return loader

    def _get_train_sampler(self, train_dataset=None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # `Batches` are in random order

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> torch.Tensor:
        weights = [batch["loss_weights"][:, 1:] for batch in batch_samples]
        totals = (sum(each.sum() for each in weights), sum((each > 0).sum() for each in weights))
        tokens = sum(batch.pop(TOKENS) for batch in batch_samples)
        totals = torch.stack([*totals, torch.tensor(tokens, device=weights[0].device)]).to(device)
        if launch.world_size() > 1:
            totals = self.accelerator.gather(totals).reshape(-1, len(totals)).sum(0)
        self.progress.count(totals[[2, 1]])
        return totals[0]

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss, _ = self._weighted_loss(model, inputs)
        # Ranks average their gradients, but the normaliser is global already.
        return loss / num_items_in_batch * launch.world_size()

    def _weighted_loss(self, model, inputs) -> tuple[torch.Tensor, torch.Tensor]:
        return weighted_loss(model, self.model.get_output_embeddings(), inputs, self.chunk)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs | self.progress.since_last_log() if "loss" in logs else logs, start_time)

    @torch.no_grad()
    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval") -> dict[str, float]:
        """Validation loss: mean over all supervised tokens of all ranks, every row counted once; {} after a signal."""
        self.model.eval()
        rows = range(launch.rank(), len(self.eval_dataset), launch.world_size())
        sums = torch.zeros(2, dtype=torch.float64)
        batches = self._eval_batches(rows)
        most = max(launch.gather(len(batches)))  # with ZeRO-3, every pass is a joint one of all ranks
        for k in progress(range(most), desc="validation", leave=False, disable=not launch.is_main()):
            if self.run.signalled():
                self.control.should_save = True
                return {}  # the cluster grants a minute or two, which saving needs; see `_validate_if_missed`
            mine = batches[k] if k < len(batches) else []
            batch = self.data_collator([[self.eval_dataset[i] for i in mine or [0]]])
            batch.pop(TOKENS)
            with self.compute_loss_context_manager():
                loss = self._weighted_loss(self.model, self._prepare_inputs(batch))
            if mine:
                sums += torch.stack(loss).double().cpu()
        total = self.accelerator.reduce(sums.to(self.args.device), "sum")
        metrics = {f"{metric_key_prefix}_loss": (total[0] / total[1].clamp(min=1e-9)).item()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _eval_batches(self, rows: Sequence[int]) -> list[list[int]]:
        lengths, batches = self.eval_dataset.lengths(), self.train_dataset
        if batches.tokens:
            rows = sorted(rows, key=lengths.__getitem__)
        return list(fill(rows, lengths, batches.size, batches.tokens, batches.padded))

    def _determine_best_metric(self, metrics: dict[str, float], trial) -> bool:
        # Transformers saves if this is true; besides each new best, what `RunCallback` asks for.
        better = bool(metrics) and super()._determine_best_metric(metrics, trial)
        self.control.should_training_stop |= self.out_of_patience()
        return better or self.control.should_save

    def out_of_patience(self) -> bool:
        """Whether as many validations as PATIENCE have passed since the best one; known to saved steps as well."""
        best = self.state.best_global_step or 0
        since = [e for e in self.state.log_history if "eval_loss" in e and e["step"] > best]
        return 0 < self.settings.patience <= len(since)

    def _run_epoch(self, **arguments) -> None:
        self._validate_if_missed()
        if self.state.global_step < self.state.max_steps and not self.out_of_patience():
            super()._run_epoch(**arguments)
        else:  # resumed after the last step, which Transformers would repeat
            self.control.should_training_stop = True

    def _finalize_training(self, *arguments):
        self._validate_if_missed()  # resumed after the last step of the last epoch
        return super()._finalize_training(*arguments)

    def _validate_if_missed(self) -> None:
        """Do the validation of this step that a signal to an earlier run has prevented."""
        step, due = self.state.global_step, self.state.global_step % self.settings.eval_steps == 0
        validated = any("eval_loss" in e and e["step"] == step for e in self.state.log_history)
        if not step or validated or not (due or step >= self.state.max_steps):
            return
        self._determine_best_metric(self._evaluate(None, None), None)
        if self.run.signal:  # again; the step is saved already
            self.run.on_save(self.args, self.state, self.control)
        if self.state.best_global_step == step:
            self.state.best_model_checkpoint = str(Path(self.args.output_dir) / f"checkpoint-{step}")

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Only make the folder: the weights of a saved step are in DeepSpeed's state, and need not be there twice."""
        Path(output_dir or self.args.output_dir).mkdir(parents=True, exist_ok=True)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        loss = self.accelerator.gather(self._tr_loss).mean().item()
        if launch.is_main():
            (Path(output_dir) / UNLOGGED).write_text(json.dumps([loss, self._globalstep_last_logged]))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        if checkpoint is not None and (file := Path(checkpoint) / UNLOGGED).is_file():
            loss, self._globalstep_last_logged = json.loads(file.read_text())
            self._tr_loss += loss

    def get_decay_parameter_names(self, model) -> list[str]:
        # Weight decay would change the rows of text tokens, which must stay as they are. Magnitudes (DoRA) start at the
        # lengths of the weights, not at 0.
        rows = self._token_rows()
        kept = super().get_decay_parameter_names(model)
        return [name for name in kept if name not in rows and "lora_magnitude_vector" not in name]


class RunCallback(TrainerCallback):
    """Sets the training set's epoch, asks for saves, and ends the run after a save if a signal asks for it.

    begin: called when training begins, so that nothing of an earlier run is lost before.
    """

    def __init__(self, settings: TrainSettings, rows: Dataset, begin: Callable[[], None], signals: Signals):
        self.rows, self.begin, self.signals = rows, begin, signals
        self.save_steps = settings.save_steps or settings.eval_steps
        self.signal: str | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        self.begin()
        if state.best_global_step:  # the folder may have been moved since
            state.best_model_checkpoint = str(Path(args.output_dir) / f"checkpoint-{state.best_global_step}")

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.rows.set_epoch(int(state.epoch or 0))  # the same rows in a resumed run

    def on_step_end(self, args, state, control, **kwargs):
        control.should_save |= state.global_step % self.save_steps == 0 or state.global_step >= state.max_steps
        if self.signalled():
            control.should_save, control.should_evaluate = True, False

    def on_evaluate(self, args, state, control, **kwargs):
        control.should_save |= self.signalled()

    def signalled(self) -> bool:
        """Whether any rank has received a signal; all ranks must ask."""
        self.signal = self.signal or self.signals.on_any_rank()
        return self.signal is not None

    def on_save(self, args, state, control, **kwargs):
        if self.signal:
            launch.barrier()  # the step is complete once the main rank is here
            raise Stopped(
                f"stopped by {self.signal} after saving step {state.global_step}; RESUME=auto goes on after it"
            )


def train(
    model: torch.nn.Module,
    train_rows: Dataset,
    valid_rows: Dataset,
    pad_id: int,
    settings: TrainSettings,
    start: Start,
) -> dict:
    """Train ``model`` in place, up to its best validation loss, and return the losses.

    Saved steps are in OUTPUT_DIR/resume. With ZeRO-3, only the main rank's model is whole afterwards, in host memory.
    Raises `Stopped` after a signal, once a step is saved, and `UserError` if no validation has a finite loss.
    """
    # Compile no ops at first use: they need a C++ compiler, and a run killed while compiling leaves a lock in the
    # user's cache on which every later run waits for ever. Gloo does the work of these ops.
    deepspeed.ops.__compatible_ops__ = {}
    # Saved steps leave out a frozen language model, also that inside of a model that embeds ECGs.
    transformers.trainer._is_peft_model = lambda model: (
        isinstance(inner_model(model), PeftModel) or not any(p.requires_grad for p in inner_model(model).parameters())
    )
    device = choose_device(settings.device)
    on_cpu = device.type == "cpu"
    arguments = TrainingArguments(
        output_dir=str(settings.output_dir / FOLDER),
        per_device_train_batch_size=1,  # an item of `Batches` is a whole batch
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        num_train_epochs=settings.train_epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clipping,
        adam_beta2=0.99,
        eval_strategy="steps",
        eval_steps=settings.eval_steps,
        save_strategy="best",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=settings.verbose_steps,
        disable_tqdm=True,  # see `LogCallback`
        report_to=trackers(settings),
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "fp16",
        use_cpu=on_cpu,
        deepspeed=str(settings.deepspeed_config),
        seed=settings.seed,
        remove_unused_columns=False,
        label_names=["input_ids"],
        use_cache=True,  # Transformers writes this into the model's config, which is saved; training itself uses none
        dataloader_pin_memory=not on_cpu,
        dataloader_num_workers=settings.workers,  # forked in every epoch, after `Batches.set_epoch`
    )
    # With ZeRO-3 every call of the head is a joint one of all ranks, whose numbers of targets differ.
    chunk = None if splits_weights(settings.deepspeed_config) else positions_per_chunk(model, device)
    inner = inner_model(model)
    stock = inner.get_base_model() if isinstance(inner, PeftModel) else inner
    by_rows = attention.supports_rows(stock)
    if by_rows:
        stock.set_attn_implementation(attention.NAME)
    # Packed questions differ in length from row to row: one attention call per row costs more than their padding.
    padded = train_rows.shares_prefix or not by_rows
    make = partial(lay_out if by_rows else collate, pad_id=pad_id if padded else None)
    batches = make_batches(train_rows, valid_rows, settings, padded)
    begin_run = partial(begin, settings, start) if launch.is_main() else lambda: None
    with Signals() as signals:
        trainer = ECGTrainer(
            settings,
            chunk,
            RunCallback(settings, batches, begin_run, signals),
            model=model,
            args=arguments,
            train_dataset=batches,
            eval_dataset=valid_rows,
            data_collator=partial(_only_batch, collate=make),
        )
        hook = model.register_state_dict_post_hook(_drop_frozen)
        with workers():
            result = trainer.train(resume_from_checkpoint=str(start.step) if start.step else None)
        hook.remove()
    if splits_weights(settings.deepspeed_config):
        gather_weights(model)
        unset_hf_deepspeed_config()  # or a model that the main rank loads would be split, and wait for the other ranks
    if by_rows:
        stock.set_attn_implementation("sdpa")
    losses = [e["loss"] for e in trainer.state.log_history if "loss" in e]
    best = trainer.state.best_metric
    if best is None or not math.isfinite(best):
        raise UserError(
            f"training diverged: no validation in {result.global_step} steps has a finite loss, so nothing is saved; "
            "lower LEARNING_RATE and start over with RESUME=false"
        )
    early = trainer.out_of_patience() and result.global_step < trainer.state.max_steps
    if early and launch.is_main():
        print(f"PATIENCE: stopped at step {result.global_step}, {settings.patience} validations after the best")
    return {
        "steps": result.global_step,
        "warmup_steps": trainer.warmup,
        "epochs": trainer.state.epoch,
        "sequences": {
            "per_epoch": len(train_rows),
            "batches_per_epoch": len(batches),
            "unused_by_epoch": batches.unused(math.ceil(trainer.state.epoch)),
        },
        "train_loss": losses[-1] if losses else result.training_loss,
        "valid_loss": best,
        "best_step": _step_of(trainer.state.best_model_checkpoint),
        "stopped_early": early,
        **trainer.progress.figures(),
        "loss_curve": losses,
    }


def _drop_frozen(model: torch.nn.Module, state: dict, prefix: str, metadata: dict) -> None:
    """Remove what is frozen and DeepSpeed does not leave out itself.

    That is second names of tied weights, and what bitsandbytes adds to quantised ones, which it refuses to load.
    """
    first = {name for name, _ in model.named_parameters()}
    own = {name for named in (model.named_parameters, model.named_buffers) for name, _ in named(remove_duplicate=False)}
    for name in [key for key in state if key.removeprefix(prefix) not in own]:
        del state[name]
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if not parameter.requires_grad and name not in first:
            state.pop(prefix + name, None)


def _only_batch(items: Sequence[list], collate: Callable) -> dict:
    """What `collate` makes of the rows of an item of `Batches`, and how many tokens they are."""
    (rows,) = items
    return {**collate(rows), TOKENS: sum(map(len, rows))}


def _step_of(checkpoint: str | None) -> int | None:
    return int(checkpoint.rsplit("-", 1)[1]) if checkpoint else None
