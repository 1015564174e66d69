"""The training loop: one run from settings to a run directory with model, logs and metrics."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch import Tensor

from eval.analysis import analyse
from eval.breakdowns import Evidence
from eval.evaluate import evaluate
from eval.results import read_id_list, read_pair_list, write_results
from features.store import RegionStore
from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import atomic_path, write_json
from vqa_gs.data.glove import load_glove
from vqa_gs.data.questions import QuestionSet
from vqa_gs.models import MODELS, RegionModel
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.training.batches import Batcher, Plan, read_ahead
from vqa_gs.training.config import RunConfig, SplitConfig
from vqa_gs.training.examples import (
    TrainingData,
    load_training_data,
    make_examples,
    read_split,
    region_statistics,
    require_images,
)
from vqa_gs.training.inference import answers_by_id, predict_labels
from vqa_gs.training.run_dir import Averages, CsvLog, RunDirectory
from vqa_gs.training.step import TrainingStep

_LOGGED = ["loss", "answer_loss", "gs_loss", "gs_cosine"]


def computes_bf16(device: torch.device) -> bool:
    """Returns whether the hardware multiplies bfloat16 matrices faster than float32 ones."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    capability = torch.backends.cpu.get_cpu_capability()
    flags = Path("/proc/cpuinfo")
    return "AVX512" in capability and flags.exists() and "avx512_bf16" in flags.read_text()


def make_accelerator(config: RunConfig) -> Accelerator:
    """Returns accelerate's helper for the run's device and precision."""
    cpu = config.training.device == "cpu" or not torch.cuda.is_available()
    if config.training.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("training.device is cuda, but no CUDA device is there", mend="use auto or cpu")
    device = torch.device("cpu" if cpu else "cuda")
    # On a CPU, bf16 pays for large products only; a small model loses more to the conversions than it gains.
    large = device.type == "cuda" or config.model.hidden >= 512
    wanted = config.training.precision
    bf16 = wanted == "bf16" or (wanted == "auto" and large and computes_bf16(device))
    return Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=cpu)


def build_model(config: RunConfig, data: TrainingData, store: RegionStore) -> RegionModel:
    """Builds the network from a seeded generator, with region statistics and word vectors where asked for."""
    torch.manual_seed(config.seed)
    model = MODELS[config.architecture](store.dim, len(data.words), len(data.answers), config.model)
    if config.model.standardize:
        images = list(data.examples.image_ids[: data.ordinary])
        model.fit_regions(*region_statistics(store, images, config.training.statistics_images, config.seed))
    if config.data.glove:
        vectors, found = load_glove(config.data.glove, data.words.words, config.model.word_dim)
        model.load_word_vectors(torch.from_numpy(vectors), torch.from_numpy(found))
    return model


class _Progress:
    """The bar: loss, GS alignment and questions/s; one line an epoch where there is no terminal."""

    def __init__(self, total: int, done: int, shown: bool) -> None:
        text = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*text, TextColumn("{task.fields[note]}"), console=Console(stderr=True), disable=not shown)
        self.task = self.bar.add_task("training", total=total, completed=done, note="")

    def __enter__(self) -> _Progress:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def advance(self) -> None:
        self.bar.update(self.task, advance=1)

    def say(self, line: str) -> None:
        self.bar.console.print(line, highlight=False, markup=False)


def train(config: RunConfig, out: Path, quiet: bool = False) -> Path:
    """Trains a run, or goes on with one that was interrupted; a complete one is left as it is.

    Killed at any moment and called again, it ends with the bytes an uninterrupted run ends with (on the CPU).

    Args:
        config: the run's settings.
        out: the run directory.
        quiet: show no progress.

    Returns:
        The run directory.

    Raises:
        VqaGsError: settings or data are bad.
    """
    objectives = config.active_objectives()
    needy = [name for name in objectives if OBJECTIVES[name].needs_pairs]
    if needy and not config.data.pairs:
        raise UsageError(f"the objective {needy[0]} needs pairs", mend="name pair tables in data.pairs")
    if config.data.pairs and config.training.pairs_per_batch == 0:
        raise UsageError("data.pairs are given but training.pairs_per_batch is 0", mend="set it above 0")
    accelerator = make_accelerator(config)
    if accelerator.is_main_process:
        RunDirectory(Path(out), config)  # made once, before the other processes look at it
    accelerator.wait_for_everyone()
    directory = RunDirectory(Path(out), config)
    if directory.is_done:
        return directory.path
    return _Run(config, objectives, accelerator, directory, quiet).run()


class _Run:
    def __init__(
        self,
        config: RunConfig,
        objectives: dict[str, Any],
        accelerator: Accelerator,
        directory: RunDirectory,
        quiet: bool,
    ) -> None:
        self.config, self.accelerator, self.directory = config, accelerator, directory
        self.shown = accelerator.is_main_process and not quiet
        self.store = RegionStore(config.data.features)
        self.data = load_training_data(config.data, self.store, config.seed, bool(config.data.pairs), config.scoring)
        settings = config.training
        self.plan = Plan(
            self.data.ordinary,
            0 if self.data.pairs is None else len(self.data.pairs),
            settings.batch_size,
            settings.pairs_per_batch,
            config.seed,
            accelerator.process_index,
            accelerator.num_processes,
        )
        self.total_steps = settings.epochs * self.plan.steps_per_epoch
        if settings.max_steps:
            self.total_steps = min(self.total_steps, settings.max_steps)
        model = build_model(config, self.data, self.store)
        step = TrainingStep(model, objectives)
        optimizer = torch.optim.Adamax(model.parameters(), lr=settings.lr)
        self.step, self.optimizer = accelerator.prepare(step, optimizer)
        self.model: RegionModel = accelerator.unwrap_model(self.step).model
        self.parameters = list(self.model.parameters())
        self.validation = make_examples(self.data.validation, self.data.words, None, config.data.question_length)
        self.best: dict[str, Any] = {"epoch": -1, "accuracy": -1.0, "model": None}
        self.done_steps = 0
        self.recent, self.epoch_means = Averages(), Averages()
        self.steps_log: list[dict[str, Any]] = []
        self.epochs_log: list[dict[str, Any]] = []

    def run(self) -> Path:
        self._resume()
        if self.accelerator.is_main_process:
            self._record()
        path = self.directory.path
        main = self.accelerator.is_main_process
        if main:
            self.step_csv = CsvLog(
                path / "log.csv", ["step", "epoch", *_LOGGED, "questions_per_second"], self.steps_log
            )
            self.epoch_csv = CsvLog(
                path / "epochs.csv", ["epoch", "step", *_LOGGED, "iid_val", "seconds"], self.epochs_log
            )
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(path / "tensorboard"), purge_step=self.done_steps)
        per_epoch = self.plan.steps_per_epoch
        batches = read_ahead(Batcher(self.data, self.store, self.plan), range(self.done_steps, self.total_steps))
        self.waiting: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
        self.clock = self.epoch_clock = time.perf_counter()
        self.questions = 0
        settings = self.config.training
        with _Progress(self.total_steps, self.done_steps, self.shown) as self.progress:
            for batch in batches:
                if self._stops_early():
                    break
                self._train_step(batch)
                self.done_steps += 1
                ends_epoch = self.done_steps % per_epoch == 0 or self.done_steps == self.total_steps
                saves = bool(settings.checkpoint_every) and self.done_steps % settings.checkpoint_every == 0
                if self.done_steps % settings.log_every == 0:
                    self._log_step()
                if ends_epoch:
                    self._end_epoch()
                if ends_epoch or saves:
                    self._save()
            batches.close()  # type: ignore[attr-defined]
        self._finish()
        return path

    def _train_step(self, batch: Any) -> None:
        self.questions += len(batch.tokens)
        self.step.train()
        loss, sums, counts = self.step(batch.to(self.accelerator.device))
        self.optimizer.zero_grad()
        # Naming the parameters spares the gradient by the regions, which nobody asks for a second time.
        self.accelerator.backward(loss, inputs=self.parameters)
        self.accelerator.clip_grad_norm_(self.parameters, self.config.training.clip)
        self.optimizer.step()
        one = torch.ones((), device=loss.device)
        self.waiting.append(({"loss": loss.detach(), **sums}, {"loss": one, **counts}))
        self.progress.advance()

    def _flush(self) -> None:
        """Moves what steps reported from the device into the averages, over all processes."""
        for sums, counts in self.waiting:
            names = list(sums)
            packed = torch.stack([sums[name].double() for name in names] + [counts[name].double() for name in names])
            values = self.accelerator.reduce(packed, "sum").tolist()
            totals = dict(zip(names, values[: len(names)], strict=True))
            numbers = dict(zip(names, values[len(names) :], strict=True))
            self.recent.add(totals, numbers)
            self.epoch_means.add(totals, numbers)
        self.waiting.clear()

    def _log_step(self) -> None:
        self._flush()
        means = self.recent.means()
        self.recent = Averages()
        now = time.perf_counter()
        speed = self.questions * self.accelerator.num_processes / max(now - self.clock, 1e-9)
        self.clock, self.questions = now, 0
        epoch = self.done_steps / self.plan.steps_per_epoch
        row = {"step": self.done_steps, "epoch": epoch, **means, "questions_per_second": round(speed, 1)}
        self.steps_log.append(row)
        note = f"loss {means['loss']:.3f}"
        if "gs_cosine" in means:
            note += f"  GS alignment {means['gs_cosine']:+.3f}"
        self.progress.bar.update(self.progress.task, note=f"{note}  {speed:,.0f} questions/s")
        if self.accelerator.is_main_process:
            self.step_csv.append(row)
            for name, value in means.items():
                self.board.add_scalar(f"train/{name}", value, self.done_steps)

    def _end_epoch(self) -> None:
        self._flush()
        epoch = len(self.epochs_log)
        accuracy = float(self._score(self.data.validation, "iid_val", None)["overall"])
        now = time.perf_counter()
        means = self.epoch_means.means()
        self.epoch_means = Averages()
        row = {"epoch": epoch, "step": self.done_steps, **means, "iid_val": accuracy}
        self.epochs_log.append({**row, "seconds": round(now - self.epoch_clock, 2)})
        self.epoch_clock = self.clock = now
        if accuracy > self.best["accuracy"]:
            state = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
            self.best = {"epoch": epoch, "accuracy": accuracy, "model": state}
        if self.accelerator.is_main_process:
            self.epoch_csv.append(self.epochs_log[-1])
            self.board.add_scalar("iid_val/overall", accuracy, self.done_steps)
            self.board.flush()
        if self.shown:
            alignment = f", GS alignment {means['gs_cosine']:+.3f}" if "gs_cosine" in means else ""
            self.progress.say(
                f"epoch {epoch}: loss {means['loss']:.3f}{alignment}, in-domain {accuracy:.2f} %"
                f" ({self.config.scoring})"
            )

    def _stops_early(self) -> bool:
        patience = self.config.training.patience
        return bool(patience) and len(self.epochs_log) - 1 - self.best["epoch"] >= patience and bool(self.epochs_log)

    def _save(self) -> None:
        self._flush()
        if not self.accelerator.is_main_process:
            return
        self.directory.save_checkpoint(
            {
                "step": self.done_steps,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "best": self.best,
                "recent": self.recent.values,
                "epoch_means": self.epoch_means.values,
                "steps_log": self.steps_log,
                "epochs_log": self.epochs_log,
                "sources": self._sources(),
            }
        )

    def _resume(self) -> None:
        state = self.directory.load_checkpoint(self.accelerator.device)
        if state is None:
            return
        if state["sources"] != self._sources():
            raise UsageError(
                f"the data of {self.directory.path} changed since it was interrupted",
                mend="restore them, or remove the folder to train anew",
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best, self.done_steps = state["best"], state["step"]
        self.recent, self.epoch_means = Averages(state["recent"]), Averages(state["epoch_means"])
        self.steps_log, self.epochs_log = state["steps_log"], state["epochs_log"]

    def _sources(self) -> dict[str, str]:
        return {**self.data.sources, self.config.data.features: self.store.content_hash}

    def _record(self) -> None:
        self.data.words.save(self.directory.path / "words.json")
        self.data.answers.save(self.directory.path / "answers.json")
        self.directory.record(
            {
                "name": self.config.name,
                "seed": self.config.seed,
                "scoring": self.config.scoring,
                "selection": "highest in-domain accuracy (iid_val), one look at the tests after training",
                "sources": self._sources(),
                "features_fingerprint": self.store.fingerprint,
                "region_dim": self.store.dim,
                "words": len(self.data.words),
                "answers": len(self.data.answers),
                "questions": self.data.ordinary,
                "pairs": 0 if self.data.pairs is None else len(self.data.pairs),
                "parameters": self.model.parameter_count(),
                "device": str(self.accelerator.device),
                "processes": self.accelerator.num_processes,
                "precision": self.accelerator.mixed_precision,
                "config": asdict(self.config),
            }
        )

    def _score(
        self, questions: QuestionSet, split: str, files: SplitConfig | None, write: bool = False
    ) -> dict[str, Any]:
        """Scores a split; every process computes the same, so that all take the same decisions."""
        examples = (
            self.validation
            if questions is self.data.validation
            else make_examples(questions, self.data.words, None, self.config.data.question_length)
        )
        labels = predict_labels(self.model, examples, self.store, self.config.training.batch_size)
        answers = answers_by_id(questions, labels, self.data.answers)
        subsets = {name: read_id_list(file) for name, file in (files.subsets if files else {}).items()}
        pairs = {name: read_pair_list(file) for name, file in (files.pairs if files else {}).items()}
        if not write:
            return evaluate(questions, answers, self.config.scoring, split, subsets, pairs)
        evidence = Evidence(train=self.data.train.annotations, pairs=pairs)
        metrics = analyse(questions, answers, self.config.scoring, split, subsets, evidence=evidence)
        if self.config.data.test_selection == "acknowledged":
            metrics["selection"] = {"on_test": True}
            metrics["notes"].append("epochs were chosen on questions of a test split")
        if self.accelerator.is_main_process:
            write_results(self.directory.path / "predictions" / f"{split}.json", answers)
            write_json(self.directory.path / "metrics" / f"{split}.json", metrics)
        return metrics

    def _finish(self) -> None:
        """Takes the epoch chosen in-domain and looks at the tests, once."""
        self.model.load_state_dict(self.best["model"])
        main = self.accelerator.is_main_process
        if main:
            with atomic_path(self.directory.path / "model.safetensors") as temporary:
                save_file({name: value.contiguous() for name, value in self.best["model"].items()}, temporary)
        self._score(self.data.validation, "iid_val", self.config.data.iid_val, write=True)
        for split, files in self.config.data.tests.items():
            questions = read_split(files)
            require_images(questions, self.store)
            metrics = self._score(questions, split, files, write=True)
            if self.shown:
                self.progress.say(f"{split}: {metrics['overall']:.2f} % ({self.config.scoring})")
        if main:
            self.board.close()
            self.directory.finish()
        self.accelerator.wait_for_everyone()
