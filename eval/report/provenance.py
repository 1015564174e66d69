"""How a run was made, as a report tells it: its record, its configuration, the command that repeats it."""

from __future__ import annotations

import shlex
from typing import Any

from vqa_gs.eval.arms import Arm
from vqa_gs.eval.report_content.blocks import MISSING, RunCard
from vqa_gs.eval.runs import RunSummary, flatten


def _lookup(record: dict[str, Any], leaf: str) -> Any:
    """Returns the value filed under a name at any depth, the shallowest first; None if there is none."""
    flat = flatten(record)
    keys = sorted((key for key in flat if key.rsplit(".", 1)[-1] == leaf), key=lambda key: key.count("."))
    return flat[keys[0]] if keys else None


def revision(run: RunSummary) -> str:
    """Returns the git revision a run was made with, shortened."""
    found = _lookup(run.provenance, "git_revision")
    if not isinstance(found, str) or not found:
        return MISSING
    commit, plus, rest = found.partition("+")
    return commit[:10] + plus + rest


def versions(run: RunSummary) -> str:
    """Returns the versions that matter most, in one line."""
    named = [("vqa-gs", "vqa_gs"), ("torch", "torch"), ("Python", "python")]
    found = [(label, _lookup(run.provenance, leaf)) for label, leaf in named]
    return ", ".join(f"{label} {value}" for label, value in found if isinstance(value, str)) or MISSING


def command_to_repeat(run: RunSummary) -> tuple[str, bool]:
    """Returns the command that makes the run again, and whether the run recorded it itself."""
    recorded = run.provenance.get("command")
    if isinstance(recorded, list) and recorded:
        return shlex.join(str(part) for part in recorded), True
    if isinstance(recorded, str) and recorded.strip():
        return recorded.strip(), True
    return f"vqa-gs train --config {shlex.quote(str(run.folder / 'config.yaml'))}", False


def run_card(run: RunSummary, arm: Arm) -> RunCard:
    """Returns how a run was made: everything its record and its metrics files tell of it."""
    command, recorded = command_to_repeat(run)
    facts = [("folder", str(run.folder)), ("seed", MISSING if run.seed is None else str(run.seed))]
    for key, value in flatten(run.provenance).items():
        if key and key.split(".", 1)[0] not in ("command", "seed") and value not in (None, "", {}, []):
            facts.append((key, str(value)))
    for split, metrics in run.metrics.items():
        for name, source in metrics.sources.items():
            facts.append((f"scored on {split}: {name}", f"{source.path} {source.sha256}".strip()))
    return RunCard(f"{run.name} · {arm.name}", tuple(facts), command, recorded, run.config_text.rstrip())
