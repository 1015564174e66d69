"""The page of `features stats --html`: what was counted, a histogram, images that stand out with their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from vqa_gs.features.info import binned
from vqa_gs.features.layout import ImageId
from vqa_gs.features.stats import StoreStats, facts

Pictures = Mapping[ImageId, "tuple[str, int, int] | None"]
"""Data addresses with width and height by image; what is missing has no picture."""

_STYLE = """
:root { color-scheme: light dark; --bar: #0b63ae; --soft: #586274; --line: #dde2ea }
@media (prefers-color-scheme: dark) { :root { --bar: #74bdf5; --soft: #a2adbf; --line: #2d3644 } }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600; white-space: nowrap }
td, th { padding: .3rem .8rem .3rem 0; vertical-align: top; border-bottom: 1px solid var(--line) }
.bar { display: block; height: .9rem; background: var(--bar); min-width: 2px }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; padding: 0 }
.cards li { list-style: none } img { width: 100%; height: auto } small, p { color: var(--soft) }
"""


def page(found: StoreStats, pictures: Pictures) -> str:
    """Returns the page as HTML that needs nothing but itself; all that comes from files is escaped."""
    return "\n".join(_lines(found, pictures)) + "\n"


def _lines(found: StoreStats, pictures: Pictures) -> Iterator[str]:
    title = f"Region store {escape(found.path)}"
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
    yield "<table>"
    for name, text in facts(found):
        yield f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'
    yield "</table><h2>Regions an image</h2><table><tr><th>regions</th><th>images</th><th></th></tr>"
    rows = binned(found.counts)
    most = max(count for _, count in rows)
    for label, count in rows:
        bar = f'<span class="bar" style="width:{100 * count / most:.1f}%"></span>'
        yield f'<tr><td>{escape(label)}</td><td>{count:,}</td><td style="width:70%">{bar}</td></tr>'
    yield "</table>"
    if found.outliers:
        yield "<h2>Images that stand out</h2><p>By the mean length of their vectors, in median absolute deviations.</p>"
        yield '<ul class="cards">'
        for image_id, mean, distance in found.outliers:
            yield _card(image_id, f"mean length {mean:.4g}, {distance:.1f} deviations", pictures)
        yield "</ul>"
    if found.duplicates:
        yield "<h2>The same features</h2>"
        for same in found.duplicates[:12]:
            yield '<ul class="cards">' + "".join(_card(image_id, "", pictures) for image_id in same[:6]) + "</ul>"
    yield "</body></html>"


def _card(image_id: ImageId, text: str, pictures: Pictures) -> str:
    name = escape(str(image_id))
    shown = pictures.get(image_id)
    picture = ""
    if shown is not None:
        picture = f'<img src="{shown[0]}" width="{shown[1]}" height="{shown[2]}" alt="image {name}">'
    return f"<li>{picture}<div>{name}</div><small>{escape(text)}</small></li>"
