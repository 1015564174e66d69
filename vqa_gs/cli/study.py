"""`vqa-gs study`: arms x seeds x datasets from one file, to completion, and one report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vqa_gs.cli._shared import new_parser
from vqa_gs.common.errors import UsageError


def run(words: Sequence[str]) -> None:
    """Runs what is left of a study and writes its report."""
    from features.extract.shards import Shard
    from vqa_gs.study.plan import make_plan
    from vqa_gs.study.run import all_settled, prepare_study, run_study
    from vqa_gs.study.spec import read_overrides

    parser = new_parser("study", "Train arms x seeds x datasets and compare them; called again it goes on.")
    add = parser.add_argument
    add("--config", type=str, required=True, help="the study, a YAML file")
    add("--out", type=str, required=True, help="folder of all runs and the report")
    add("--workers", type=int, default=1, help="runs at once, which share the cores and the GPUs")
    add("--shard", type=str, default=None, help="i/n: only every n-th run, one shard a job of a job array")
    add("--arms", type=str, nargs="+", default=[], help="only these arms, or all of a sweep by its name")
    add("--seeds", type=int, nargs="+", default=[], help="only these seeds")
    add("--datasets", type=str, nargs="+", default=[], help="only these datasets")
    add("--set", type=str, nargs="+", default=[], help="section.field=value: settings of all runs, over the arms' own")
    add("--dry-run", action="store_true", help="print the plan with time and memory, and do nothing")
    add("--trial-steps", type=int, default=5, help="with --dry-run: steps timed where no finished run tells; 0: none")
    add("--report-only", action="store_true", help="write the report of what is there")
    given = parser.parse_args(list(words))
    if given.workers < 1:
        raise UsageError(f"--workers must be at least 1, not {given.workers}")
    if given.trial_steps < 0:
        raise UsageError(f"--trial-steps must be at least 0, not {given.trial_steps}")
    if given.dry_run and given.report_only:
        raise UsageError("--dry-run and --report-only do not go together")
    shard = Shard.parse(given.shard) if given.shard else Shard(1, 1)
    plan = make_plan(given.config, Path(given.out), read_overrides(given.set))
    runs = plan.chosen(given.arms, given.seeds, given.datasets)[shard.number - 1 :: shard.of]
    console = Console(stderr=True)
    if given.dry_run:
        from vqa_gs.study.dry_run import print_plan

        print_plan(plan, runs, given.workers, given.trial_steps, console)
        return
    try:
        if not given.report_only:
            prepare_study(plan, runs, console)
            run_study(plan, runs, given.workers, console)
    finally:
        # Failed runs are part of the result. Of a job array, the job that ends last writes the report.
        if given.report_only or (runs and (all_settled(plan.runs) or (shard.of == 1 and all_settled(runs)))):
            from vqa_gs.study.report import write_study_report

            for file in write_study_report(plan):
                print(file)
