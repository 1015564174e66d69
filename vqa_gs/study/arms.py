"""Arms written out: what each inherits, one for each value of a sweep, and which it is tested against."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Any

from vqa_gs.common.errors import UsageError
from vqa_gs.common.names import LONGEST_NAME
from vqa_gs.study.spec import Settings, StudySpec, merged, nested


@dataclass(frozen=True)
class PlannedArm:
    """Runs that share everything but the seed.

    Attributes:
        name: what reports call it.
        settings: in what it differs from the study's base, nested.
        family: the name it is written under; that of several arms where it is swept.
        field: the dotted field that is swept, None where none is.
        value: the field's value.
        against: the names of the arms it is tested against.
    """

    name: str
    settings: Settings
    family: str
    field: str | None = None
    value: Any = None
    against: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The name as a folder's: small letters, digits, points and hyphens."""
        return slug(self.name)


def slug(name: str) -> str:
    """Returns a name as a folder's; a long one ends in a hash of it."""
    short = re.sub(r"[^\w.]+", "-", name.lower()).strip("-.")
    if len(short.encode()) <= LONGEST_NAME:
        return short
    begin = short.encode()[: LONGEST_NAME - 9].decode("utf-8", "ignore")
    return f"{begin}-{hashlib.sha256(short.encode()).hexdigest()[:8]}"


def expand_arms(spec: StudySpec) -> list[PlannedArm]:
    """Returns the arms of a study in the order of its file.

    Raises:
        UsageError: an arm extends or is tested against one that is not there, extends itself, or shares its folder
            with another.
    """
    arms: list[PlannedArm] = []
    for name, written in spec.arms.items():
        settings = _inherited(spec, name, ())
        if written.sweep is None:
            arms.append(PlannedArm(name, settings, name))
            continue
        field, values = written.sweep
        for value in values:
            own = merged(settings, nested({field: value}))
            arms.append(PlannedArm(f"{name} @ {_shown(value)}", own, name, field, value))
    folders: dict[str, str] = {}
    for arm in arms:
        if not arm.folder:
            raise UsageError("has no letter or digit to name a folder by", file=spec.file, record=f"arms.{arm.name}")
        other = folders.setdefault(arm.folder, arm.name)
        if other != arm.name:
            raise UsageError(
                f"{other!r} and {arm.name!r} would share the folder {arm.folder}",
                file=spec.file,
                record="arms",
                mend="rename one",
            )
    names = {arm.name for arm in arms}
    for wanted in spec.drawn:
        if wanted not in names:
            raise _no_arm(wanted, names, spec, "drawn")
    return [_with_control(arm, spec, names) for arm in arms]


def _inherited(spec: StudySpec, name: str, children: tuple[str, ...]) -> Settings:
    """Returns an arm's settings on top of those it extends."""
    written = spec.arms[name]
    if written.extends is None:
        return written.settings
    record = f"arms.{name}.extends"
    if written.extends in (*children, name):
        raise UsageError(f"{name!r} extends itself", file=spec.file, record=record)
    if written.extends not in spec.arms:
        raise UsageError(
            f"there is no arm {written.extends!r}",
            file=spec.file,
            record=record,
            mend=f"choose one of {', '.join(spec.arms)}",
        )
    return merged(_inherited(spec, written.extends, (*children, name)), written.settings)


def _with_control(arm: PlannedArm, spec: StudySpec, names: set[str]) -> PlannedArm:
    """Returns an arm with those it is tested against: of a swept one that of the same value."""
    own = spec.arms[arm.family].against
    record = f"arms.{arm.family}.against" if own else "control"
    wanted = own or ((spec.control,) if spec.control else ())
    found = dict.fromkeys(_resolved(arm, name, spec, names, record) for name in wanted if name != arm.name)
    return replace(arm, against=tuple(name for name in found if name != arm.name))


def _resolved(arm: PlannedArm, wanted: str, spec: StudySpec, names: set[str], record: str) -> str:
    for name in (f"{wanted} @ {_shown(arm.value)}", wanted):
        if name in names:
            return name
    if wanted in spec.arms:
        problem = f"{wanted!r} is swept and has no value of {arm.name!r}"
        mend = f"name one of its arms, {wanted!r} @ VALUE"
    else:
        raise _no_arm(wanted, names, spec, record)
    raise UsageError(problem, file=spec.file, record=record, mend=mend)


def _no_arm(wanted: str, names: set[str], spec: StudySpec, record: str) -> UsageError:
    choices = ", ".join(sorted(names))
    return UsageError(f"there is no arm {wanted!r}", file=spec.file, record=record, mend=f"choose one of {choices}")


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
