"""The clock of chat templates, stopped: a template that writes today's date would make other ids tomorrow."""

from __future__ import annotations

from datetime import datetime

TEMPLATE_DATE = datetime(2024, 7, 26)
"""The day on which every chat template is rendered, which Llama 3's templates write where no date is given."""

DATE_STRING = TEMPLATE_DATE.strftime("%d %b %Y")
"""The day as templates take it that have a variable for it (``date_string``)."""

_DIRECTIVES = [*"aAbBcdDeFfGhHIjmMpRSTuUVwWxXyYZ", *(f"-{code}" for code in "dmHIMSjy")]


def with_stopped_clock(template: str) -> str:
    """Return a chat template for which ``strftime_now`` is `TEMPLATE_DATE`, at midnight.

    transformers gives templates this function, and hands on no other in its place. So it is defined anew in the
    template, as a macro that writes each part of the date.
    """
    if "strftime_now" not in template:
        return template
    written = "".join(f"|replace('%{code}', {TEMPLATE_DATE.strftime(f'%{code}')!r})" for code in _DIRECTIVES)
    # The newline after the macro is taken off with it, so that the template still begins at the start of a line.
    return (
        "{% macro strftime_now(format) %}{{ format|replace('%%', '%\x00')" + written + "|replace('%\x00', '%') }}"
        "{% endmacro %}\n" + template
    )
