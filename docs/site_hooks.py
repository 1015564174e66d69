"""Hooks of MkDocs: README.md is the home page, CONTRIBUTING.md a page; links between all lead to the pages' places.

On GitHub the two stand at the root and link to ``docs/...``; on the site all pages are in one folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
AT_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}
# Files of the project that pages link to and that are no pages.
ALONG = ("CITATION.cff", "LICENSE")


def moved(markdown: str) -> str:
    """Returns a page whose links, as they lead on GitHub, lead to where pages are on the site."""
    markdown = re.sub(r"\]\((?:\.\./)?docs/", "](", markdown)
    for name, page in AT_ROOT.items():
        markdown = re.sub(rf"\]\((?:\.\./)?{re.escape(name)}", f"]({page}", markdown)
    return markdown


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that stand at the root."""
    from mkdocs.structure.files import File

    for name, page in AT_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    for name in ALONG:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Moves the links of a page; one that is a whole part of the menu has no menu of its own."""
    if page.parent is None:
        page.meta["hide"] = ["navigation"]
    return moved(markdown)
