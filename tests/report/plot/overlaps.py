"""Whether texts of a figure lie over each other, or are cut off at its edge."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

_SLACK = 1.0
"""Pixels that two boxes may share: a box is a little larger than its letters."""


def texts_of(figure: Figure) -> list[Text]:
    """Return the visible texts of a drawn figure, but for the heading, whose details stand in room made for them."""
    figure.draw_without_rendering()
    found: list[Text] = []
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_text().strip() and text.get_visible() and text is not figure._suptitle:  # type: ignore[attr-defined]
            found.append(text)
    hidden = {id(text) for axis in figure.findobj(Axes) for text in _hidden_labels(axis)}
    return [text for text in found if id(text) not in hidden]


def overlapping(texts: Sequence[Text]) -> list[tuple[str, str]]:
    """Return the pairs of texts that lie over each other."""
    boxes = [(text, _box(text)) for text in texts]
    return [
        (one.get_text(), other.get_text())
        for (one, box), (other, second) in combinations(boxes, 2)
        if _share(box, second)
    ]


def cut_off(texts: Sequence[Text], figure: Figure) -> list[str]:
    """Return the texts that reach over the edge of a figure."""
    page = figure.bbox
    return [
        text.get_text()
        for text in texts
        if not isinstance(text, Annotation)
        and (
            _box(text).x0 < page.x0 - _SLACK
            or _box(text).x1 > page.x1 + _SLACK
            or _box(text).y0 < page.y0 - _SLACK
            or _box(text).y1 > page.y1 + _SLACK
        )
    ]


def _box(text: Text) -> Bbox:
    return text.get_window_extent()


def _share(one: Bbox, other: Bbox) -> bool:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(width > _SLACK and height > _SLACK)


def _hidden_labels(axis: object) -> list[Text]:
    """Return the labels of ticks that are outside an axis's range or turned off: they are there, and are not drawn."""
    assert isinstance(axis, Axes)
    hidden = []
    for which, limits in ((axis.xaxis, sorted(axis.get_xlim())), (axis.yaxis, sorted(axis.get_ylim()))):
        is_on = axis.axison and which.get_visible()
        for tick in (*which.get_major_ticks(), *which.get_minor_ticks()):
            outside = not limits[0] - 1e-9 <= tick.get_loc() <= limits[1] + 1e-9
            for label in (tick.label1, tick.label2):
                if outside or not is_on or not label.get_visible():
                    hidden.append(label)
    return hidden
