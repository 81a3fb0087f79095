"""Cron as a profile writes it: five fields of numbers or names, `*`, ranges, steps and lists.

Ours: Dagster's own check comes with all of Dagster. It takes whatever this one lets through.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
FIELDS = {
    "minute": range(60),
    "hour": range(24),
    "day of the month": range(1, 32),
    "month": range(1, 13),
    "day of the week": range(8),  # Sunday is 0 and 7
}
NAMES = {"month": dict(zip(MONTHS, range(1, 13), strict=True)),
         "day of the week": dict(zip(DAYS, range(7), strict=True))}  # fmt: skip
PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


def check_cron(text: str) -> str:
    """Returns a cron as it is.

    Raises:
        ValueError: It has not five fields, one of them is not of its kind, or no day fits it.
    """
    fields = text.lower().split()
    if len(fields) != len(FIELDS):
        raise ValueError(f"{text!r} has {len(fields)} fields, not five: {', '.join(FIELDS)}")
    found = [_numbers(name, field) for name, field in zip(FIELDS, fields, strict=True)]
    first, months = min(found[2]), found[3]
    if first > max(LENGTHS[month - 1] for month in months):
        raise ValueError(f"{text!r} never comes: no such month has a day {first}")
    return text


def _numbers(name: str, field: str) -> set[int]:
    numbers: set[int] = set()
    for part in field.split(","):
        match = PART.fullmatch(part)
        if match is None or (match[3] and match[1] and not match[2]):
            raise ValueError(f"{part!r} is no {name}: write a number, `*`, 1-5, */2 or 1-5/2")
        numbers.update(_span(name, match[1], match[2])[:: _step(name, match[3])])
    return numbers


def _span(name: str, first: str | None, last: str | None) -> range:
    if first is None:
        return FIELDS[name]
    low = _number(name, first)
    high = _number(name, last) if last else low
    if last == "sun" and low:
        high = 7
    if low > high:
        raise ValueError(f"{first}-{last} is no {name}: it goes backwards")
    return range(low, high + 1)


def _number(name: str, word: str) -> int:
    number = NAMES.get(name, {}).get(word, int(word) if word.isdecimal() else -1)
    if number not in FIELDS[name]:
        raise ValueError(f"{word!r} is no {name}: {FIELDS[name][0]} … {FIELDS[name][-1]}")
    return number


def _step(name: str, step: str | None) -> int:
    if step is None:
        return 1
    if int(step) not in range(1, len(FIELDS[name]) + 1):
        raise ValueError(f"/{step} is no step of a {name}: 1 … {len(FIELDS[name])}")
    return int(step)


Cron = Annotated[str, AfterValidator(check_cron)]
