"""`vqa-gs study`: arms x seeds x datasets from one file, to completion, and one report; `study status | cancel`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from vqa_gs.cli.on_cluster import COMMON, CommandJob, add_cluster_options, cluster_settings, left_running
from vqa_gs.cli.parsing import STATE, new_parser, require_count
from vqa_gs.cli.study_queue import cancel, status
from vqa_gs.common.errors import UsageError, VqaGsError

if TYPE_CHECKING:
    from vqa_gs.cluster.settings import SlurmSettings
    from vqa_gs.study.plan import PlannedRun, StudyPlan


def run(words: Sequence[str]) -> None:
    """Runs what is left of a study and writes its report, or does what a sub-command says."""
    if words and words[0] in ("status", "cancel"):
        {"status": status, "cancel": cancel}[words[0]](words[1:])
        return
    parser = new_parser(
        "study",
        "Train arms x seeds x datasets and compare them; called again it goes on. `vqa-gs study status OUT` tells of"
        " each run, `vqa-gs study cancel OUT` ends the jobs of a study on a cluster.",
        "vqa-gs study --config configs/study-demo.yaml --out runs/study --dry-run",
        common=COMMON,
    )
    add = parser.add_argument
    add("--config", type=str, required=True, help="the study, a YAML file")
    add("--out", type=str, required=True, help="folder of all runs and the report")
    add("--workers", type=int, default=1, help="runs at once, which share the cores and the GPUs")
    add("--shard", type=str, default=None, help="i/n: only every n-th run, one shard a job of a job array")
    add("--arms", type=str, nargs="+", default=[], help="only these arms, or all of a sweep by its name")
    add("--seeds", type=int, nargs="+", default=[], help="only these seeds, which need not be in the file")
    add("--datasets", type=str, nargs="+", default=[], help="only these datasets")
    add("--worlds", type=int, nargs="+", default=[], help="only these worlds")
    add("--set", type=str, nargs="+", default=[], help="section.field=value: settings of all runs, over the arms' own")
    add("--extra-test", action="append", default=[], metavar="NAME=FILE", help="another file text tasks are tested on")
    add("--final", action="store_true", help="open the study's final dataset with the arms chosen on the others")
    add("--dry-run", action="store_true", help="print the plan with time and memory, and do nothing")
    add("--trial-steps", type=int, default=5, help="with --dry-run: steps timed where no finished run tells; 0: none")
    add("--report-only", action="store_true", help="write the report of what is there")
    add("--image-dir", type=str, default=None, help="folder of the images, for the report's examples")
    add("--prepare-only", action="store_true", help="make the files that runs need, and train none")
    add("--runs-per-task", type=int, default=1, help="with slurm: for short ones")
    add_cluster_options(parser, "one run", trains=True)
    given = parser.parse_args(list(words))
    require_count("--workers", given.workers, most=1024)
    if given.trial_steps < 0:
        raise UsageError(f"--trial-steps must be at least 0, not {given.trial_steps}")
    modes = [f"--{mode}" for mode in ("dry-run", "report-only", "prepare-only") if given[mode.replace("-", "_")]]
    if len(modes) > 1:
        raise UsageError(f"{modes[0]} and {modes[1]} do not go together")
    require_count("--runs-per-task", given.runs_per_task)
    settings = cluster_settings(given)
    if given.on == "slurm" and given.shard:
        raise UsageError("--shard and --on slurm do not go together", mend="every run is a task of an array already")
    from vqa_gs.features.extract.shards import Shard
    from vqa_gs.study.checks import require_ours
    from vqa_gs.study.extras import require_study_extras
    from vqa_gs.study.listing import write_listing
    from vqa_gs.study.plan import make_plan
    from vqa_gs.study.prepare import outdated
    from vqa_gs.study.run import prepare_study, run_study
    from vqa_gs.study.spec import read_overrides

    shard = Shard.parse(given.shard) if given.shard else Shard(1, 1)
    sets, seeds = _with_seeds(given.set, given.seeds)
    plan = make_plan(given.config, Path(given.out), read_overrides(sets), seeds, given.extra_test)
    if given.final and not given.report_only:
        if given.dry_run:
            raise UsageError("--dry-run and --final do not go together", mend="the plan without --final shows the rest")
        from vqa_gs.study.final import open_final

        plan = replace(plan, opening=open_final(plan))
    chosen = plan.chosen(given.arms, seeds, given.datasets, given.final, given.worlds)
    runs = chosen[shard.number - 1 :: shard.of]
    console = Console(stderr=True, quiet=STATE.quiet)
    if given.dry_run:
        from vqa_gs.study.dry_run import print_plan

        print_plan(plan, runs, given.workers, given.trial_steps, console)
        return
    failure: VqaGsError | None = None
    if not given.report_only:
        require_study_extras(runs, outdated(plan.spec.prepare, plan.unneeded(runs)), plan.spec)
    write_listing(plan)
    if given.prepare_only:
        prepare_study(plan, runs, console)
        return
    if given.on == "slurm" and not given.report_only:
        _on_slurm(given, seeds, plan, runs, settings, console)
        return
    if given.report_only:
        require_ours(plan.runs, plan.spec)
    if not given.report_only:
        prepare_study(plan, runs, console)
        try:
            run_study(plan, runs, given.workers, console)
        except VqaGsError as error:  # what failed is part of the result
            failure = error
    if given.report_only or _reports(plan.runs if shard.of > 1 else runs):
        from vqa_gs.study.report import write_study_report

        for file in write_study_report(plan, Path(given.image_dir) if given.image_dir else None):
            print(file)
    if failure is not None:
        raise failure


def _on_slurm(
    given: Any,
    seeds: Sequence[int],
    plan: StudyPlan,
    runs: Sequence[PlannedRun],
    settings: SlurmSettings,
    console: Console,
) -> None:
    """Submits what is left, and follows it."""
    from vqa_gs.study.submit import follow_study, submit_study

    words = _again(given, seeds)
    report = CommandJob([*words, "--report-only", *(["--image-dir", given.image_dir] if given.image_dir else [])])
    prepare = CommandJob([*words, "--prepare-only"])
    submitted = submit_study(plan, runs, settings, given.runs_per_task, prepare, report)
    if not submitted.alive and all(run.status == "done" for run in runs):
        report.work()
        return
    counted = f"{submitted.runs} runs submitted, {submitted.waiting} were waiting or running"
    console.print(f"{counted}; see `vqa-gs study status {given.out}`", highlight=False, markup=False, soft_wrap=True)
    if given.detach:
        return
    try:
        follow_study(submitted, runs, settings.array_parallelism, console)
    except KeyboardInterrupt as error:
        told = f"`vqa-gs study status {given.out}` shows them, `vqa-gs study cancel {given.out}` ends them"
        raise left_running(submitted.records.logs, told) from error
    for file in ("study.html", "study.md", "study.json"):
        print(plan.out / file)


def _again(given: Any, seeds: Sequence[int]) -> list[str]:
    """Returns the words of a command that has the same study before it, for jobs."""
    words = ["study", "--config", given.config, "--out", given.out]
    lists = {"arms": given.arms, "seeds": seeds, "datasets": given.datasets, "worlds": given.worlds, "set": given.set}
    for name, values in lists.items():
        if values:
            words += [f"--{name}", *map(str, values)]
    return words + [word for test in given.extra_test for word in ("--extra-test", test)]


def _with_seeds(sets: Sequence[str], seeds: Sequence[int]) -> tuple[list[str], list[int]]:
    """Returns the words of --set without ``seeds=[...]``, which says what --seeds says."""
    others = [word for word in sets if word.partition("=")[0] != "seeds"]
    found = list(seeds)
    for word in sets:
        if word not in others:
            numbers = word.partition("=")[2].strip().strip("[]").replace(",", " ").split()
            if not numbers or not all(number.isdecimal() for number in numbers):
                raise UsageError(f"--set {word!r} names no seeds", mend="write --seeds 11 12")
            found += map(int, numbers)
    return others, found


def _reports(runs: Sequence[PlannedRun]) -> bool:
    """Whether there is something to report and nothing more to wait for; of a job array, the last job writes it."""
    states = {run.status for run in runs}
    return "done" in states and states <= {"done", "failed"}
