"""`vqa-gs completion bash|zsh|fish`: a script that makes the shell complete commands and options."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib import import_module

from vqa_gs.cli import COMMANDS
from vqa_gs.cli.parsing import Listed, listing, new_parser

SHELLS = ("bash", "zsh", "fish")
_EXAMPLE = """
vqa-gs completion bash > ~/.local/share/bash-completion/completions/vqa-gs
vqa-gs completion zsh > ~/.zfunc/_vqa-gs     # a folder of $fpath
vqa-gs completion fish > ~/.config/fish/completions/vqa-gs.fish
"""


def run(words: Sequence[str]) -> None:
    """Prints the script; it is made anew after an update, as it holds all options."""
    parser = new_parser("completion", "Print what makes a shell complete commands and options.", _EXAMPLE)
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    shell = parser.parse_args(list(words)).shell
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](options()))


def options() -> dict[tuple[str, ...], list[str]]:
    """Returns what may follow each command: the commands of a group, or the flags of a command."""
    found: dict[tuple[str, ...], list[str]] = {(): list(COMMANDS)}
    waiting: list[tuple[str, ...]] = [(name,) for name in COMMANDS]
    with listing():
        for command in waiting:
            try:
                import_module(f"vqa_gs.cli.{command[0]}").run(list(command[1:]))
            except Listed as told:
                found[command] = list(told.commands) or sorted(
                    flag for flag in told.flags if flag.startswith("--") and not flag.endswith(("+", ".help"))
                )
                waiting += [(*command, name) for name in told.commands]
    return found


def _cases(found: dict[tuple[str, ...], list[str]], line: str) -> list[str]:
    """Returns the branches of a `case` of sh, the longest commands first."""
    order = sorted(filter(None, found), key=lambda command: -len(command))
    return [
        f"    {shlex.quote(' '.join(command))}*) {line.format(words=shlex.quote(' '.join(found[command])))} ;;"
        for command in order
    ]


def _bash(found: dict[tuple[str, ...], list[str]]) -> str:
    return "\n".join(
        [
            "_vqa_gs() {",
            '  local cur="${COMP_WORDS[COMP_CWORD]}" known=""',
            f"  if [ $COMP_CWORD -eq 1 ]; then known={shlex.quote(' '.join(found[()]))}; else",
            '  case "${COMP_WORDS[*]:1:2} " in',
            *_cases(found, "known={words}"),
            "  esac; fi",
            # Anything else is a file, which the shell completes by itself.
            '  COMPREPLY=($(compgen -W "$known" -- "$cur"))',
            "}",
            "complete -o default -o bashdefault -F _vqa_gs vqa-gs",
        ]
    )


def _zsh(found: dict[tuple[str, ...], list[str]]) -> str:
    return "\n".join(
        [
            "#compdef vqa-gs",
            "_vqa_gs() {",
            '  local known=""',
            f"  if (( CURRENT == 2 )); then known={shlex.quote(' '.join(found[()]))}; else",
            '  case "${words[2]} ${words[3]} " in',
            *_cases(found, "known={words}"),
            "  esac; fi",
            "  compadd -- ${=known}",
            "  _files",
            "}",
            'if [ "$funcstack[1]" = "_vqa-gs" ]; then _vqa_gs "$@"; else compdef _vqa_gs vqa-gs; fi',
        ]
    )


def _fish(found: dict[tuple[str, ...], list[str]]) -> str:
    lines = [f"complete -c vqa-gs -n __fish_use_subcommand -f -a {shlex.quote(' '.join(found[()]))}"]
    for command, names in found.items():
        if not command:
            continue
        seen = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in command)
        if names and not names[0].startswith("-"):
            lines.append(f"complete -c vqa-gs -n {shlex.quote(seen)} -f -a {shlex.quote(' '.join(names))}")
        lines += [f"complete -c vqa-gs -n {shlex.quote(seen)} -l {flag[2:]}" for flag in names if flag.startswith("--")]
    return "\n".join(lines)
