"""Vega-Lite specifications to SVG that stands in a page: no script, no style, colours of the page."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

_SVG = "http://www.w3.org/2000/svg"
_ELEMENTS = frozenset({"svg", "g", "path", "line", "rect", "circle", "text", "tspan", "title"})
# all that Vega draws with; no links, no handlers, no style, which a strict Content-Security-Policy refuses
_ATTRIBUTE = re.compile(
    r"[dxyr]|[xy][12]|[dc][xy]|width|height|viewBox|transform|display|class|opacity|text-anchor|fill(-opacity)?|"
    r"stroke(-(width|opacity|dasharray|dashoffset|linecap|linejoin|miterlimit))?|font-(size|weight|style|family)"
)
INK, MUTED, LINE = "var(--ink)", "var(--muted)", "var(--line)"
_CONFIG = {
    "background": None,
    "padding": {"left": 14, "right": 34, "top": 6, "bottom": 6},  # text is wider in a browser than it is taken for
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": LINE,
        "domainColor": LINE,
        "tickColor": LINE,
        "labelFontSize": 13,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelLimit": 260,
        "labelPadding": 5,
        "labelFlush": False,
    },
    "legend": {"labelColor": INK, "titleColor": INK, "labelFontSize": 13, "titleFontSize": 13, "labelLimit": 260},
    "header": {"labelColor": INK, "titleColor": INK, "labelFontSize": 13, "titleFontSize": 13},
    "title": {"color": INK, "fontSize": 13, "fontWeight": "normal"},
    "text": {"color": INK, "fontSize": 12},
}


def draw(spec: dict[str, Any], caption: str) -> str:
    """A specification as SVG, which is safe to stand in HTML as it is.

    Its colours may be CSS variables of the page. What a mark says of itself is shown where the pointer rests.

    Args:
        spec: Vega-Lite with its data in it; nothing is fetched.
        caption: what is seen, for those who do not see it.

    Raises: ValueError if the specification cannot be drawn.
    """
    import vl_convert  # starts a JavaScript engine on first use

    whole = {"config": _CONFIG, **spec}
    drawn = ElementTree.fromstring(vl_convert.vegalite_to_svg(whole, allowed_base_urls=[]))
    _clean(drawn)
    drawn.set("role", "img")
    drawn.set("aria-label", caption)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(drawn, encoding="unicode")


def _clean(element: ElementTree.Element) -> None:
    """Leave what draws; the label of a mark becomes its title."""
    label = element.get("aria-label") if _name(element) in {"path", "line", "rect"} else None
    for key in [key for key in element.attrib if not _ATTRIBUTE.fullmatch(key)]:
        del element.attrib[key]
    for child in list(element):
        if _name(child) not in _ELEMENTS or child.get("display") == "none":
            element.remove(child)
        else:
            _clean(child)
    if label and not len(element):
        ElementTree.SubElement(element, f"{{{_SVG}}}title").text = label


def _name(element: ElementTree.Element) -> str:
    return str(element.tag).removeprefix(f"{{{_SVG}}}")
