"""The HTML page of ``inspect``: one file, no script, nothing fetched."""

from __future__ import annotations

from html import escape
from typing import Any

from lacewing.commands.output import size

_STYLE = """
body{font:14px system-ui,sans-serif;margin:2em auto;max-width:90em;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}td,th{padding:.3em .6em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1em}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
.bar{display:inline-block;height:.8em;background:#2a7;vertical-align:middle}.holes{background:#ddd}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}td,th{border-color:#444}.holes{background:#555}}
"""
_HEADER = ("layer", "kind", "input", "output", "block", "kept", "MACs", "kept MACs", "bytes", "us", "kernel")


def page(name: str, report: dict[str, Any]) -> str:
    """The page for ``layers.summary``'s report; every text of the model is escaped."""
    facts = {
        "file": size(report["file_bytes"]),
        "SHA-256": report["sha256"],
        "work memory": size(report["memory_bytes"]),
        "multiply-accumulates": f"{report['kept_macs']:,} of {report['macs']:,} ({report['sparsity']:.1%} dropped)",
        "predicted time": f"{report['predicted_ms']:.3f} ms, {report['profile']}, one thread",
        "inputs": _tensors(report["inputs"]),
        "outputs": _tensors(report["outputs"]),
        "float layers": ", ".join(report["float_layers"]) or "none",
    }
    terms = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
    head = "".join(f"<th>{column}</th>" for column in _HEADER)
    rows = "".join(_row(layer) for layer in report["layers"])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(name)}</title><style>{_STYLE}</style><h1>{escape(name)}</h1><dl>{terms}</dl>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></html>\n"
    )


def _row(layer: dict[str, Any]) -> str:
    cells = (
        escape(layer["name"] or "-"),
        escape(layer["kind"]),
        shape(layer["input_shape"]),
        shape(layer["output_shape"]),
        layer["block"] or "",
        _bar(layer["sparsity"]),
        f"{layer['macs']:,}" if layer["macs"] else "",
        f"{layer['kept_macs']:,}" if layer["macs"] else "",
        size(layer["weight_bytes"]) if layer["weight_bytes"] else "",
        f"{layer['predicted_us']:.1f}",
        escape(layer["kernel"]),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def shape(dims: tuple[int, ...] | list[int]) -> str:
    """Dims as people write them: 1x3x224x224."""
    return "x".join(map(str, dims))


def _bar(sparsity: float | None) -> str:
    if sparsity is None:
        return ""
    kept = 1 - sparsity
    full, holes = round(60 * kept), 60 - round(60 * kept)
    return (
        f'{kept:.0%} <span class="bar" style="width:{full}px"></span>'
        f'<span class="bar holes" style="width:{holes}px"></span>'
    )


def _tensors(tensors: list[dict[str, Any]]) -> str:
    return ", ".join(f"{t['name']} {t['dtype']} {shape(t['shape'])}" for t in tensors)
