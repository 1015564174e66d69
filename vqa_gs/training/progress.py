"""What a training run shows on the terminal."""

from __future__ import annotations

from contextlib import ExitStack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vqa_gs.common.phases import LOG, phase


class TrainingBar:
    """A bar with loss, GS alignment and questions/s on a terminal; in the log a line a minute, and those of `say`.

    Args:
        total: steps of the run.
        done: steps done before.
        shown: show the bar.
    """

    def __init__(self, total: int, done: int, shown: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        note = TextColumn("{task.fields[note]}")
        self._total, self._done = total, done
        console = Console(stderr=True)
        self._bars = Progress(*columns, note, console=console, disable=not (shown and console.is_terminal))
        self._task = self._bars.add_task("training", total=total, completed=done, note="")

    def __enter__(self) -> TrainingBar:
        with ExitStack() as stack:
            self._far = stack.enter_context(phase("training", self._total, "steps"))
            self._far(self._done)
            self._far.has_bar = not self._bars.disable
            stack.enter_context(self._bars)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def advance(self) -> None:
        """Counts a step."""
        self._far(1)
        self._bars.update(self._task, advance=1)

    def note(self, means: dict[str, float], questions_per_second: float) -> None:
        """Shows the latest means beside the bar."""
        self._far.note = f"{_means(means)}, {questions_per_second:,.0f} questions/s"
        self._bars.update(self._task, note=self._far.note)

    def say(self, line: str) -> None:
        """Tells a line, which a terminal shows above the bar."""
        LOG.info("%s", line)

    def epoch(self, epoch: int, means: dict[str, float], accuracy: float, scoring: str) -> None:
        """Prints what an epoch came to."""
        self.say(f"epoch {epoch}: {_means(means)}, in-domain {accuracy:.2f} % ({scoring})")


def _means(means: dict[str, float]) -> str:
    alignment = f", GS alignment {means['gs_cosine']:+.3f}" if "gs_cosine" in means else ""
    return f"loss {means['loss']:.3f}{alignment}"
