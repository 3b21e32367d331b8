"""Fonts of figures: what is drawn of characters that the first font lacks, and what is said of those that none has."""

from __future__ import annotations

from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped] # comes with matplotlib
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped] # likewise
from matplotlib import font_manager

from tokimp.report.plot import fonts

HIEROGLYPH = "\U00013000"


@pytest.fixture
def hieroglyphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install, for a test, a font that has one hieroglyph, and return its name."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((500, 0), (500, 700), (0, 700)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "bird"])
    builder.setupCharacterMap({ord(HIEROGLYPH): "bird"})
    builder.setupGlyf({".notdef": pen.glyph(), "bird": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (600, 0), "bird": (600, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Symbola", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    path = tmp_path / "symbola.ttf"
    builder.save(path)
    entry = font_manager.FontEntry(fname=str(path), name="Symbola", style="normal", size="scalable")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist, entry])
    font_manager.fontManager._findfont_cached.cache_clear()  # type: ignore[attr-defined]
    return "Symbola"


def test_the_first_font_is_the_one_that_matplotlib_brings() -> None:
    """Figures look the same on every machine; other fonts only serve what it lacks."""
    assert fonts.families()[0] == "DejaVu Sans"


def test_what_is_installed_is_drawn(hieroglyphs: str) -> None:
    """A character of a font that is installed stays as it is, and nothing is said."""
    assert hieroglyphs in fonts.families()
    assert fonts.drawable(f"a{HIEROGLYPH}") == (f"a{HIEROGLYPH}", set())


def test_what_no_font_has_is_a_dot_and_said() -> None:
    """The foot counts symbols and names scripts."""
    shown, missing = fonts.drawable(f"a{HIEROGLYPH}b")
    assert (shown, missing) == ("a\u00b7b", {HIEROGLYPH})
    assert "(1 symbol)" in fonts.missing_text(missing)
    assert "(CJK, Hangul and 2 symbols)" in fonts.missing_text({"\u4e2d", "\uac00", HIEROGLYPH, "\U00013001"})
    assert fonts.missing_text(set()) == ""


def test_characters_without_a_picture_are_left_out() -> None:
    """Joiners, selectors, marks of direction and control characters are no letters, and nobody misses them."""
    assert fonts.drawable("a\u200d\ufe0f\u202e\x07b") == ("ab", set())
