"""The page at `/docs`: the OpenAPI description as plain HTML, which loads nothing."""

from __future__ import annotations

import json
from html import escape
from typing import Any


def reference_page(openapi: dict[str, Any]) -> str:
    """Returns every route with what it takes and gives, and every schema that they name."""
    info = openapi["info"]
    routes = [
        _route(path, method, told)
        for path, methods in openapi["paths"].items()
        for method, told in methods.items()
    ]
    schemas = [
        f"<h3 id='{escape(name)}'>{escape(name)}</h3><pre>{_json(told)}</pre>"
        for name, told in openapi["components"]["schemas"].items()
    ]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        "<meta name='color-scheme' content='light dark'>"
        f"<title>{title}</title><h1>{title}</h1><p>{escape(info.get('description', ''))} "
        "The same for machines: <a href='/openapi.json'>openapi.json</a>.</p>"
        f"{''.join(routes)}<h2>Schemas</h2>{''.join(schemas)}</html>"
    )


def _route(path: str, method: str, told: dict[str, Any]) -> str:
    given = told.get("requestBody")
    takes = f"<dt>takes</dt><dd>{_names(given)}</dd>" if given else ""
    gives = "".join(
        f"<dt>{status}</dt><dd>{escape(answer['description'])} {_names(answer)}</dd>"
        for status, answer in told["responses"].items()
    )
    head = f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(told.get('description', ''))}</p>"
    return f"{head}<dl>{takes}{gives}</dl>"


def _names(part: dict[str, Any]) -> str:
    """Links to the schemas of a body."""
    schemas = [kind.get("schema", {}) for kind in part.get("content", {}).values()]
    names = [one["$ref"].rpartition("/")[2] for one in schemas if "$ref" in one]
    return " ".join(f"<a href='#{escape(name)}'>{escape(name)}</a>" for name in names)


def _json(told: dict[str, Any]) -> str:
    return escape(json.dumps(told, indent=1, ensure_ascii=False))
