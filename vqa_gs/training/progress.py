"""What a training run shows on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vqa_gs.common.phases import LOG


class TrainingBar:
    """A bar with loss, GS alignment and questions/s on a terminal; the lines of `say` go to the log as well.

    Args:
        total: steps of the run.
        done: steps done before.
        shown: show the bar.
    """

    def __init__(self, total: int, done: int, shown: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        note = TextColumn("{task.fields[note]}")
        console = Console(stderr=True)
        self._bars = Progress(*columns, note, console=console, disable=not (shown and console.is_terminal))
        self._task = self._bars.add_task("training", total=total, completed=done, note="")

    def __enter__(self) -> TrainingBar:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def advance(self) -> None:
        """Counts a step."""
        self._bars.update(self._task, advance=1)

    def note(self, means: dict[str, float], questions_per_second: float) -> None:
        """Shows the latest means beside the bar."""
        self._bars.update(self._task, note=f"{_means(means)}  {questions_per_second:,.0f} questions/s")

    def say(self, line: str) -> None:
        """Tells a line, which a terminal shows above the bar."""
        LOG.info("%s", line)

    def epoch(self, epoch: int, means: dict[str, float], accuracy: float, scoring: str) -> None:
        """Prints what an epoch came to."""
        self.say(f"epoch {epoch}: {_means(means)}, in-domain {accuracy:.2f} % ({scoring})")


def _means(means: dict[str, float]) -> str:
    alignment = f", GS alignment {means['gs_cosine']:+.3f}" if "gs_cosine" in means else ""
    return f"loss {means['loss']:.3f}{alignment}"
