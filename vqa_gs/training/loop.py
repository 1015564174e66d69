"""The training loop: one run from settings to a run directory with model, logs and metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from vqa_gs.common.collector import uncollected
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import atomic_path, sha256_file
from vqa_gs.common.phases import FileHandler, listening, phase
from vqa_gs.common.stopping import Stopped, stoppable
from vqa_gs.contracts import Batch, Objective
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.pipeline.image_plan import ImagePlan, shares
from vqa_gs.pipeline.plan import Plan
from vqa_gs.pipeline.read_ahead import read_ahead
from vqa_gs.pipeline.task import Split
from vqa_gs.requirements import SHARED_IMAGES
from vqa_gs.tasks import TASKS
from vqa_gs.training.checkpoint import Checkpoint
from vqa_gs.training.config import RunConfig
from vqa_gs.training.extras import require_extras
from vqa_gs.training.hardware import make_accelerator
from vqa_gs.training.logs import CsvLog, EventLog, Meter, Row
from vqa_gs.training.opened import load
from vqa_gs.training.optimization import learning_rate, make_optimizer
from vqa_gs.training.processes import Processes
from vqa_gs.training.progress import TrainingBar
from vqa_gs.training.run_dir import RunDirectory
from vqa_gs.training.step import TrainingStep

# Columns of every run's logs; terms that report more add theirs.
_LOGGED = ["loss", "answer_loss", "gs_loss", "gs_cosine"]


def train(config: RunConfig, out: Path, quiet: bool = False) -> Path:
    """Trains a run, or goes on with one that was interrupted; a complete one is left as it is.

    Killed at any moment and called again, it ends with the bytes an uninterrupted run ends with (on the CPU). SIGTERM
    and SIGUSR2 cost it no step: it writes a checkpoint at the end of the one it is at.

    Launched as several processes (``torchrun``, ``accelerate launch``), they train one model: batch sizes are those
    of all processes together, and bad input that one of them meets ends all with the same error.

    Args:
        config: the run's settings.
        out: the run directory.
        quiet: show no progress.

    Returns:
        The run directory.

    Raises:
        VqaGsError: settings or data are bad.
        Stopped: a signal ended it.
    """
    objectives = config.check()
    require_extras(config)
    processes = Processes(make_accelerator(config))
    directory = RunDirectory(Path(out), config)
    log = FileHandler()
    with ExitStack() as stack:
        if processes.is_main:
            stack.enter_context(listening(log))
        with processes.together():
            if processes.is_main:
                stack.enter_context(directory.claimed())
        if not processes.tell(directory.is_done):
            with processes.together():
                run = _Run(config, objectives, processes, directory, log, quiet)
            run.train()
    return directory.path


class _Run:
    """One run: what it is made of, and where it stands."""

    def __init__(
        self,
        config: RunConfig,
        objectives: dict[str, Any],
        processes: Processes,
        directory: RunDirectory,
        log: FileHandler,
        quiet: bool,
    ) -> None:
        self.config, self.settings, self.processes, self.directory = config, config.training, processes, directory
        self.log, self.shown = log, processes.is_main and not quiet

        with phase("reading and checking the data"), uncollected():
            self.task = TASKS[config.task](config)
        self.validation, self.tests = self.task.validation, self.task.tests
        self.notes = list(self.task.notes)
        self.plan = self._make_plan()
        self.total_steps = self.settings.epochs * self.plan.steps_per_epoch
        if self.settings.max_steps:
            self.total_steps = min(self.total_steps, self.settings.max_steps)

        with phase("building the model"):
            self.model = self.task.build_model()
        self.statistics = replace(self.task.statistics(self.model), said_by=self._said_by)
        self.learned = TrainingStep(self.model, objectives, type(self.task), self.statistics)
        self.step: Any = self.learned  # several processes wrap it
        self.batcher = self.task.batcher(self.plan, self.learned.requirements)
        self.logged = list(dict.fromkeys([*_LOGGED, *self.learned.logged]))
        self.parameters = [parameter for parameter in self.learned.parameters() if parameter.requires_grad]
        self.optimizer: Any = make_optimizer(self.settings, self.parameters)

        self.done_steps = 0
        self.best: dict[str, Any] = {"epoch": -1, "accuracy": -1.0, "model": None}
        self.meter = Meter(processes)
        self.steps_log: list[Row] = []
        self.epochs_log: list[Row] = []

    def _make_plan(self) -> Plan:
        """Returns the plan of steps: of images where they are to be shared and can be, else of examples."""
        config, settings, task = self.config, self.settings, self.task
        sizes = task.pairs, settings.batch_size, settings.pairs_per_batch, config.seed
        ours = self.processes.rank, self.processes.size
        images = task.image_of() if settings.share_images else None
        if images is not None and SHARED_IMAGES in task.models[config.architecture].provides(config.model):
            if shares(settings.share_images, images):
                return ImagePlan(images, settings.max_questions_per_image, *sizes, *ours)
        elif settings.share_images is True:
            self.notes.append(
                f"questions do not share images: the model {config.architecture} of the task {config.task} cannot"
            )
        return Plan(task.ordinary, *sizes, *ours, task.lengths)

    def train(self) -> None:
        """Trains what is left to train, then looks at the tests."""
        self.step, self.optimizer = self.processes.accelerator.prepare(self.step, self.optimizer)
        with self.processes.together():
            self._resume()
            if self.processes.is_main:
                self.directory.save_settings()
                self.log.open(self.directory.path / "train.log")
                self._record()
                self._open_logs()
        batches = read_ahead(self.batcher, range(self.done_steps, self.total_steps))
        self.questions, self.clock, self.epoch_clock = 0, time.perf_counter(), time.perf_counter()
        with TrainingBar(self.total_steps, self.done_steps, self.shown) as self.bar:
            for note in self.notes:
                self.bar.say(f"note: {note}")
            with stoppable() as stop, closing(batches):
                for batch in self.processes.each(batches):
                    if self._stops_early():
                        break
                    self._train_step(batch)
                    self.done_steps += 1
                    ends_epoch = self.done_steps % self.plan.steps_per_epoch == 0 or self.done_steps == self.total_steps
                    saves = self.settings.checkpoint_every and self.done_steps % self.settings.checkpoint_every == 0
                    if self.done_steps % self.settings.log_every == 0:
                        self._log_step()
                    if ends_epoch:
                        self._end_epoch()
                    signal = self.processes.highest(stop.asked)
                    if ends_epoch or saves or signal:
                        self._save()
                    if signal:
                        stop.heard = True
                        raise Stopped(signal, f"{self.directory.path} goes on after step {self.done_steps}")
            self._finish()

    def _train_step(self, batch: Batch) -> None:
        self.questions += len(batch)
        self.step.train()
        loss, sums, counts = self.step(batch.to(self.processes.accelerator.device))
        self.optimizer.zero_grad()
        rate = learning_rate(self.settings, self.done_steps, self.plan.steps_per_epoch, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # Naming the parameters spares the gradient by the regions, which nobody asks for a second time.
        self.processes.accelerator.backward(loss, inputs=self.parameters)
        self.processes.accelerator.clip_grad_norm_(self.parameters, self.settings.clip)
        self.optimizer.step()
        one = torch.ones((), device=loss.device)
        self.meter.add({"loss": loss, **sums}, {"loss": one, **counts})
        self.bar.advance()

    def _finite(self, means: dict[str, float]) -> dict[str, float]:
        """Refuses to go on with a loss that is no number any more; every process comes to the same end."""
        if not math.isfinite(means["loss"]):
            raise UsageError(
                f"the loss of {self.directory.path} is {means['loss']} after {self.done_steps} steps",
                mend="lower training.lr or the weights of the objectives",
            )
        return means

    def _log_step(self) -> None:
        means = self._finite(self.meter.take_recent())
        now = time.perf_counter()
        speed = self.questions * self.processes.size / max(now - self.clock, 1e-9)
        self.clock, self.questions = now, 0
        epoch = self.done_steps / self.plan.steps_per_epoch
        row = {"step": self.done_steps, "epoch": epoch, **means, "questions_per_second": round(speed, 1)}
        self.steps_log.append(row)
        self.bar.note(means, speed)
        with self.processes.together():
            if self.processes.is_main:
                self.step_csv.append(row)
                self.events.add({f"train/{name}": value for name, value in means.items()}, self.done_steps)

    def _end_epoch(self) -> None:
        means = self._finite(self.meter.take_epoch())
        epoch = len(self.epochs_log)
        accuracy = self.validation.score(self._predict(self.validation))
        now = time.perf_counter()
        row = {"epoch": epoch, "step": self.done_steps, **means, "iid_val": accuracy}
        self.epochs_log.append({**row, "seconds": round(now - self.epoch_clock, 2)})
        self.epoch_clock = self.clock = now
        if accuracy > self.best["accuracy"]:
            state = {name: value.detach().cpu().clone() for name, value in self.learned.state_dict().items()}
            self.best = {"epoch": epoch, "accuracy": accuracy, "model": state}
        self.bar.epoch(epoch, means, accuracy, self.config.scoring)
        with self.processes.together():
            if self.processes.is_main:
                self.epoch_csv.append(self.epochs_log[-1])
                self.events.add({"iid_val/overall": accuracy}, self.done_steps)

    def _stops_early(self) -> bool:
        patience = self.settings.patience
        return bool(patience and self.epochs_log) and len(self.epochs_log) - 1 - self.best["epoch"] >= patience

    def _save(self) -> None:
        self.meter.collect()
        with self.processes.together():
            if self.processes.is_main:
                Checkpoint(
                    self.done_steps,
                    self.learned.state_dict(),
                    self.optimizer.state_dict(),
                    self.best,
                    self.meter.recent.values,
                    self.meter.epoch.values,
                    self.steps_log,
                    self.epochs_log,
                    self.task.sources,
                ).save(self.directory.checkpoint)

    def _resume(self) -> None:
        file = self.directory.checkpoint
        if not file.exists():
            return
        saved = Checkpoint.load(file, torch.device("cpu"))
        saved.check_place(file, self.plan.steps_per_epoch, self.total_steps)
        saved.restore(file, self.learned, self.optimizer, self.task.sources)
        self.done_steps, self.best = saved.step, saved.best
        self.meter = Meter(self.processes, saved.recent, saved.epoch_means)
        self.steps_log, self.epochs_log = saved.steps_log, saved.epochs_log

    def _open_logs(self) -> None:
        path, names = self.directory.path, self.logged
        self.step_csv = CsvLog(path / "log.csv", ["step", "epoch", *names, "questions_per_second"], self.steps_log)
        self.epoch_csv = CsvLog(path / "epochs.csv", ["epoch", "step", *names, "iid_val", "seconds"], self.epochs_log)
        self.events = EventLog(path / "tensorboard", self.done_steps)

    def _record(self) -> None:
        self.task.save(self.directory.path)
        device = self.processes.accelerator.device
        self.directory.record(
            {
                "name": self.config.name,
                "task": self.config.task,
                "seed": self.config.seed,
                "scoring": self.config.scoring,
                "selection": "highest in-domain accuracy (iid_val), one look at the tests after training",
                "sources": self.task.sources,
                **self.task.facts(),
                "questions": self.task.ordinary,
                "pairs": self.task.pairs,
                "images_shared": self.plan.by_image,
                "parameters": sum(parameter.numel() for parameter in self.parameters),
                "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
                "processes": self.processes.size,
                "threads": torch.get_num_threads(),
                "precision": self.processes.accelerator.mixed_precision,
                "config": asdict(self.config),
            }
        )

    def _predict(self, split: Split, more: Sequence[Objective] = ()) -> Tensor:
        """Looks at a split; each process at a share of it, of which all learn, so that all take the same decisions."""
        processes, batch = self.processes, self.settings.batch_size
        with processes.together(), processes.accelerator.autocast():
            terms = [*self.learned.at_test, *more]
            found = split.predict(self.model, batch, processes.rank, processes.size, terms)
        return processes.sum(found)

    def _said_by(self, run: str) -> Tensor:
        """Asks another finished run about the training examples; its model is a source of this one then."""
        other = load(run)
        if other.settings.task != self.config.task:
            raise UsageError(f"{run} learnt the task {other.settings.task}, this run is to learn {self.config.task}")
        self.task.sources[f"{run}/model.safetensors"] = sha256_file(other.folder / "model.safetensors")
        return self.task.said_by(other)

    def _splits(self) -> list[Split]:
        return [self.validation, *self.tests]

    def _finish(self) -> None:
        """Takes the epoch chosen in-domain and looks at the tests, once; at the last epoch's too, where asked."""
        if self.settings.report_last_epoch:
            self._look([split.named(f"{split.name}_last_epoch") for split in self._splits()])
        self.learned.load_state_dict(self.best["model"])
        with self.processes.together():
            if self.processes.is_main:
                _save_tensors(self.model, self.directory.path / "model.safetensors")
                if self.learned.terms.state_dict():
                    _save_tensors(self.learned.terms, self.directory.path / "objectives.safetensors")
        self._look(self._splits())
        for weight in self.settings.report_priors:
            kind = OBJECTIVES["prior_at_test"]
            term = kind(kind.Settings(weight=weight), self.statistics).to(self.processes.accelerator.device)
            self._look([split.named(f"{split.name}_prior_{weight:g}") for split in self._splits()], [term])
        with self.processes.together():
            if self.processes.is_main:
                self.events.close()
                self.directory.finish()

    def _look(self, splits: list[Split], more: Sequence[Objective] = ()) -> None:
        """Predicts and analyses splits with the model as it is, its answers chosen with a say of further terms."""
        for split in splits:
            found = self._predict(split, more)
            with self.processes.together():
                if self.processes.is_main:
                    with phase(f"analysing {split.name}"):
                        split.ground(self.model, [*self.learned.at_test, *more])
                        metrics = split.report(found, self.directory.path)
                    if split is not self.validation:
                        self.bar.say(f"{split.name}: {metrics.overall:.2f} % ({metrics.scoring})")


def _save_tensors(module: nn.Module, file: Path) -> None:
    """Writes the tensors of a module, by name."""
    with atomic_path(file) as temporary:
        try:
            save_file({name: value.cpu().contiguous() for name, value in module.state_dict().items()}, temporary)
        except SafetensorError as error:
            raise DataError(f"cannot be written: {error}", file=file, mend="is the disk full?") from error
