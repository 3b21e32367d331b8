"""Fonts of figures: those installed that have Chinese, emoji and other scripts, and what to do where none has."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

STAND_IN = "\u00b7"
"""What is drawn for a character that no installed font has."""

# matplotlib brings DejaVu Sans, so a figure looks the same on every machine. The others serve the characters that it
# lacks; colour fonts of emoji are not among them, since matplotlib draws outlines only.
_FIRST = "DejaVu Sans"
_OTHERS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB", "Heiti SC"),
    *(
        "Microsoft YaHei",
        "SimHei",
        "Yu Gothic",
        "Malgun Gothic",
        "Apple SD Gothic Neo",
        "Noto Sans",
        "Noto Sans Arabic",
    ),
    *("Noto Sans Devanagari", "Noto Sans Hebrew", "Noto Sans Thai", "Noto Emoji", "Symbola", "Segoe UI Emoji"),
    *("Segoe UI Symbol", "Apple Symbols", "Noto Sans Symbols", "Noto Sans Symbols 2", "Noto Sans Math", "FreeSerif"),
    *("FreeSans", "Arial Unicode MS", "Unifont"),
)
_SCRIPT = re.compile(r"(CJK|HIRAGANA|KATAKANA|HANGUL|ARABIC|HEBREW|DEVANAGARI|THAI|CYRILLIC|GREEK)\b")


def families() -> list[str]:
    """Return the names of the fonts to draw with, the first that has a character first."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [_FIRST, *(name for name in _OTHERS if name in installed)]


def drawable(text: str) -> tuple[str, set[str]]:
    """Return a text as it can be drawn, and the characters that no installed font has.

    Control characters and others that have no picture of their own (joiners, variation selectors, marks of direction)
    are left out. A missing character is drawn as `STAND_IN`; `missing_text` says so at the foot of a figure.
    """
    known = _known_characters(tuple(families()))
    missing = {character for character in text if ord(character) not in known and not _has_no_picture(character)}
    shown = "".join(
        STAND_IN if character in missing else character for character in text if not _has_no_picture(character)
    )
    return shown, missing


def missing_text(missing: set[str]) -> str:
    """Return the sentence for a figure's foot about characters that no installed font has; empty without any."""
    if not missing:
        return ""
    names = [unicodedata.name(character, f"U+{ord(character):04X}") for character in sorted(missing)]
    scripts = sorted({found.group(1).capitalize() for name in names if (found := _SCRIPT.search(name))})
    which = ", ".join("CJK" if script == "Cjk" else script for script in scripts)
    others = sum(_SCRIPT.search(name) is None for name in names)
    if others:
        which = " and ".join(filter(None, [which, f"{others} symbol{'' if others == 1 else 's'}"]))
    return f"{STAND_IN} stands for characters that no installed font has ({which}); install one, such as Noto."


def _has_no_picture(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"} or "\ufe00" <= character <= "\ufe0f"


@lru_cache(maxsize=4)
def _known_characters(names: tuple[str, ...]) -> frozenset[int]:
    """Return the code points that some font of these families has."""
    known: set[int] = set()
    for name in names:
        path = font_manager.findfont(font_manager.FontProperties(family=[name]), fallback_to_default=False)
        known |= FT2Font(path).get_charmap().keys()
    return frozenset(known)
