"""A study on a cluster: preparation, runs and report as jobs that wait for each other, each submitted once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from vqa_gs.cluster.following import follow
from vqa_gs.cluster.job import Job as ClusterJob
from vqa_gs.cluster.queue import alive, cancel, submit
from vqa_gs.cluster.records import Records, Submission
from vqa_gs.cluster.settings import SlurmSettings
from vqa_gs.common.errors import VqaGsError
from vqa_gs.study.checks import require_data, require_ours, require_suites
from vqa_gs.study.costs import trained_seconds
from vqa_gs.study.jobs import TrainRuns
from vqa_gs.study.plan import PlannedRun, StudyPlan
from vqa_gs.study.prepare import outdated
from vqa_gs.study.progress import StudyBar
from vqa_gs.study.worker import JobResult


@dataclass(frozen=True)
class Submitted:
    """What a study has in the queue.

    Attributes:
        records: of its submissions.
        alive: those of them that Slurm knows, this call's among them.
        runs: how many runs this call submitted.
        waiting: how many were waiting or running before.
    """

    records: Records
    alive: list[Submission]
    runs: int
    waiting: int


def submit_study(
    plan: StudyPlan,
    runs: Sequence[PlannedRun],
    settings: SlurmSettings,
    runs_per_task: int,
    prepare: ClusterJob,
    report: ClusterJob,
) -> Submitted:
    """Submits what is left of a study, but for runs that are waiting or running.

    Args:
        plan: the study.
        runs: the runs in question.
        settings: what each task asks for.
        runs_per_task: runs that a task trains one after the other.
        prepare: the job that makes what the runs need.
        report: the job that writes the report.

    Raises:
        UsageError: settings or data of a run changed; a file is missing; Slurm did not take a job.
    """
    records = Records(plan.out / "slurm")
    with records.alone():
        before = records.submissions()
        there = alive(before)
        busy = {
            name
            for one in before
            for number in there.get(one.name, {})
            for name in one.tasks[number]
            if one.kind == "runs"
        }
        known = [one for one in before if one.name in there]
        left = [run for run in runs if run.status != "done" and _name(run, plan) not in busy]
        require_ours(runs, plan.spec)
        new: list[Submission] = []
        after: list[str] = [f"afterok:{one.job}" for one in known if one.kind == "prepare"]
        if left and not after:
            steps = outdated(plan.spec.prepare, plan.unneeded(runs))
            if steps:
                new.append(submit(records, "prepare", [prepare], [[]], settings, one_node=True))
                after.append(f"afterok:{new[-1].job}")
            else:
                require_data(left, plan.spec)
                require_suites(left)
        if left:
            for run in left:
                run.failure_file.unlink(missing_ok=True)
            chunks = [left[at : at + runs_per_task] for at in range(0, len(left), runs_per_task)]
            jobs = [_job(chunk, settings) for chunk in chunks]
            names = [[_name(run, plan) for run in chunk] for chunk in chunks]
            new.append(submit(records, "runs", jobs, names, settings, after))
            waited = [one.job for one in (*known, *new) if one.kind == "runs"]
            after = [f"afterany:{job}" for job in waited]
            new.append(submit(records, "report", [report], [[]], settings, after, one_node=True))
        return Submitted(records, [*known, *new], len(left), sum(run.status != "done" for run in runs) - len(left))


def _name(run: PlannedRun, plan: StudyPlan) -> str:
    return run.folder.relative_to(plan.out).as_posix()


def _job(runs: Sequence[PlannedRun], settings: SlurmSettings) -> TrainRuns:
    jobs = [run.job(run.folder.absolute()) for run in runs]
    return TrainRuns(jobs, [run.title for run in runs], settings.nodes, settings.per_node)


def follow_study(submitted: Submitted, runs: Sequence[PlannedRun], at_once: int, console: Console) -> None:
    """Shows what becomes of the runs until no job of the study is left.

    Args:
        submitted: what it has in the queue.
        runs: the runs in question.
        at_once: how many run at once, at the most.
        console: where it is shown.

    Raises:
        VqaGsError: a run failed, or is neither done nor in the queue any more.
        KeyboardInterrupt: the user interrupted it; the jobs go on.
    """
    open_runs = [run for run in runs if run.status != "done"]
    bar = StudyBar(len(runs), len(runs) - len(open_runs), at_once, console)
    shown: list[PlannedRun] = []

    def look() -> None:
        for run in list(open_runs):
            status = run.status
            if status in ("done", "failed"):
                open_runs.remove(run)
                result = JobResult("done" if status == "done" else "failed", run.failure or "")
                bar.ended(run, result, trained_seconds(run.folder) or 0.0)
            elif status == "begun" and run not in shown:
                shown.append(run)
                bar.started(run)

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    with bar:
        follow(submitted.records, submitted.alive, look, tell)
    failed = [run for run in runs if run.status == "failed"]
    lost = [run for run in runs if run.status not in ("done", "failed")]
    if failed:
        raise VqaGsError(
            f"{len(failed)} of {len(runs)} runs failed; the first: {failed[0].title}: {failed[0].failure}",
            mend="the same command submits them again, finished runs are left alone",
        )
    if lost:
        raise VqaGsError(
            f"{len(lost)} of {len(runs)} runs are not done, and no job of theirs is left; the first: {lost[0].title}"
            f"{_why(submitted)}",
            mend="the same command submits them again",
        )


def _why(submitted: Submitted) -> str:
    for one in submitted.alive:
        for number in range(len(one.tasks)):
            error = submitted.records.task(one.name, number).error
            if error:
                return f"; {one.kind}: {error}"
    return f"; what jobs said is in {submitted.records.logs}"


def cancel_study(records: Records) -> int:
    """Ends all jobs of a study; runs write a checkpoint first.

    Returns:
        How many tasks were waiting or running.

    Raises:
        UsageError: Slurm cannot be asked.
    """
    with records.alone():
        submissions = records.submissions()
        ended = cancel(submissions)
        for one in submissions:
            one.cancelled = True
        records.write(submissions)
    return ended
