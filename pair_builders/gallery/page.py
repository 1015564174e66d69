"""The gallery as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vqa_gs.common.web import script_hash, script_json


def render_gallery(title: str, payload: Mapping[str, Any]) -> str:
    """Returns the page. Every text is escaped; besides, the page allows no script but its own, by hash.

    Args:
        title: the page's title.
        payload: what :meth:`vqa_gs.pair_builders.gallery.content.Gallery.payload` returned.
    """
    loader = PackageLoader("vqa_gs.pair_builders.gallery", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )

    def source(name: str) -> str:
        return loader.get_source(environment, name)[0]

    script = source("gallery.js")
    return environment.get_template("gallery.html").render(
        title=title,
        shown=len(payload["rows"]),
        total=payload["total"],
        data=Markup(script_json(payload)),
        script=Markup(script),
        style=Markup(source("gallery.css")),
        script_hash=script_hash(script),
    )
