"""The frame of the pages that are written beside results: light and dark, on any width, offline."""

from __future__ import annotations

import html
from collections.abc import Sequence
from string import Template

from i2i.spec import ClassInfo

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { margin: 0 auto; max-width: 1400px; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: #1b1f24; background: #fff; color-scheme: light dark; }
h1 { font-size: 1.3rem; overflow-wrap: anywhere; }
figure { margin: 0 0 2rem; }
figcaption { font-weight: 600; overflow-wrap: anywhere; }
.row { overflow-x: auto; }
img { display: block; width: 100%; height: auto; }
p { overflow-wrap: anywhere; }
.class { display: inline-block; margin-right: 1rem; }
.class::before { content: ""; display: inline-block; width: .9em; height: .9em; margin-right: .3em;
  vertical-align: -.1em; border: 1px solid #8888; background: var(--colour); }
${style}@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #16181b; } }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


def page(title: str, body: str, style: str = "") -> bytes:
    """A page of that title, in plain text, and body, in HTML; `style` is CSS beside the frame's."""
    return _PAGE.substitute(title=html.escape(title), body=body, style=style).encode()


def class_legend(classes: Sequence[ClassInfo]) -> str:
    """What the classes are drawn in over a picture: the first not at all. Empty without classes."""
    if not classes:
        return ""
    first, *others = classes
    shown = [
        f'<span class="class" style="--colour: rgb{each.colour}">{html.escape(each.name)}</span>'
        for each in others
    ]
    return f"<p>{' '.join(shown)} {html.escape(first.name)} is not drawn.</p>\n"
