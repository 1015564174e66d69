"""The documentation site: every page is in its menu, links move with the pages, nothing is loaded from elsewhere."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml

import vqa_gs

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "site"
LOADED = re.compile(r'<(?:script|img|iframe|source)[^>]*\ssrc="([^"]*)"|<link[^>]*\shref="([^"]*)"')


def in_menu(entries):
    """Yields the pages of a menu, however deep."""
    for entry in entries:
        for target in entry.values():
            yield from in_menu(target) if isinstance(target, list) else [target]


def test_every_page_is_in_the_menu():
    menu = list(in_menu(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert sorted(menu) == sorted({*pages, "index.md", "contributing.md"})


@pytest.mark.parametrize(
    ("written", "leads"),
    [
        ("[a](docs/start.md#install)", "[a](start.md#install)"),
        ("[a](../CONTRIBUTING.md)", "[a](contributing.md)"),
        ("[a](CONTRIBUTING.md#a-model)", "[a](contributing.md#a-model)"),
        ("![a](docs/figures/demo.svg)", "![a](figures/demo.svg)"),
        ("[a](training.md), `docs/start.md`", "[a](training.md), `docs/start.md`"),
    ],
)
def test_links_move_with_the_pages(written, leads):
    spec = spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    hooks = module_from_spec(spec)
    spec.loader.exec_module(hooks)
    assert hooks.moved(written) == leads


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == vqa_gs.__version__
    assert f"version = {{{vqa_gs.__version__}}}" in readme
    assert cited["license"] in (ROOT / "LICENSE").read_text(encoding="utf-8")
    for work in (cited, *cited["references"]):
        assert f"title = {{{work['title']}}}" in readme
        assert all("name" in author or "family-names" in author for author in work["authors"])


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere():
    if not SITE.is_dir():
        pytest.skip("the site is not built: make docs")
    pages = sorted(SITE.glob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loaded = [one or other for one, other in LOADED.findall(page.read_text(encoding="utf-8"))]
        assert not [file for file in loaded if re.match(r"(\w+:)?//", file) and not file.startswith("data:")], page
    for style in SITE.rglob("*.css"):
        assert not re.search(r"url\((['\"]?)(https?:)?//", style.read_text(encoding="utf-8")), style


@pytest.mark.slow
def test_the_reference_has_the_public_names():
    if not SITE.is_dir():
        pytest.skip("the site is not built: make docs")
    text = (SITE / "api.html").read_text(encoding="utf-8")
    for name in vqa_gs.__all__:
        assert name.startswith("__") or re.search(rf'id="vqa_gs[\w.]*\.{name}"', text), name
    assert ":::" not in text
