"""The HTML page about a conversion: one file, nothing fetched."""

from __future__ import annotations

from typing import Any

from jinja2 import DictLoader, Environment

from lacewing.converter.report import ConversionReport, LayerReport

_BAR_HEIGHT = 120  # pixels
_BAR_WIDTH = 10

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ r.output }}</title><style>
body{font:14px system-ui,sans-serif;margin:2em auto;max-width:80em;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}th,td{padding:.25em .6em;border-bottom:1px solid #ddd;text-align:right}
th:first-child,td:first-child,td:last-child,th:last-child{text-align:left}code{overflow-wrap:anywhere}
.warning{background:#fe9;color:#222;padding:.5em 1em}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}}
</style></head><body>
<h1>{{ r.output }}</h1>
<p>{{ r.source }}: {{ r.source_bytes }} bytes &rarr; {{ r.output_bytes }} bytes; sparsity
{{ "%.1f" | format(100 * r.sparsity) }} %; {{ "%.3f" | format(r.predicted_ms) }} ms predicted ({{ r.profile }}, one
thread); {{ "%.1f" | format(r.seconds) }} s</p>
{% for w in r.warnings %}<p class="warning">{{ w }}</p>{% endfor %}
{% if r.attempts %}<h2>Search for the sparsity</h2>
<table><tr><th>sparsity</th><th>points lost on {{ r.judged_by }} held-out samples</th></tr>
{% for a in r.attempts | sort(attribute="sparsity") %}<tr><td>{{ "%.0f" | format(100 * a.sparsity) }} %</td>
<td>{{ "%.2f" | format(a.drop) }}</td></tr>
{% endfor %}</table>{% endif %}
{% if r.tuning %}<h2>Fine-tuning</h2>
<p>{{ r.tuning.epochs }} epochs on {{ r.tuning.samples }} samples{% if r.tuning.drop is not none %}; metric on
{{ r.tuning.held_out }} held-out samples: float {{ "%.4f" | format(r.tuning.metric.float) }}, now
{{ "%.4f" | format(r.tuning.metric.quantized) }}{% endif %}</p>
{% if r.tuning.discarded is not none %}<p>The file is of before training: {{ "%.2f" | format(r.tuning.drop) }} points lost without
it, {{ "%.2f" | format(r.tuning.discarded) }} with it.</p>{% else %}<p>SQNR below is of the trained network: what int8 costs it.</p>{% endif %}
<table><tr><th>stage</th><th>epoch</th><th>loss</th><th>sparsity of pruned layers</th><th>metric</th></tr>
{% for stage, epochs in r.tuning.history.items() %}{% for e in epochs %}<tr><td>{{ stage }}</td><td>{{ loop.index }}</td>
<td>{{ "%.4f" | format(e.loss) }}</td><td>{{ "%.2f" | format(e.sparsity) }}</td>
<td>{{ "%.4f" | format(e.metric) if "metric" in e }}</td></tr>
{% endfor %}{% endfor %}</table>{% endif %}
{% if r.narrowed %}<h2>Channels</h2>
<table><tr><th>layer</th><th>before</th><th>after</th></tr>
{% for name, (before, after) in r.narrowed.items() %}<tr><td>{{ name }}</td><td>{{ before }}</td><td>{{ after }}</td></tr>
{% endfor %}</table>{% endif %}
{% if r.rearranged %}<h2>Rearrangement: saliency that the blocks keep</h2>
<table><tr><th>layer</th><th>before</th><th>after</th></tr>
{% for name, (before, after) in r.rearranged.items() %}<tr><td>{{ name }}</td><td>{{ "%.4f" | format(before) }}</td>
<td>{{ "%.4f" | format(after) }}</td></tr>
{% endfor %}</table>{% endif %}
<h2>Multiply-accumulates by layer (grey: dropped)</h2>
<svg width="{{ bars | length * width }}" height="{{ height }}" role="img"
 aria-label="multiply-accumulates by layer">
{% for b in bars %}<g><title>{{ b.name }}: {{ b.kept }} of {{ b.macs }}</title>
<rect x="{{ loop.index0 * width }}" y="{{ height - b.full }}" width="{{ width - 2 }}" height="{{ b.full }}"
 fill="#bbb"/><rect x="{{ loop.index0 * width }}" y="{{ height - b.part }}" width="{{ width - 2 }}"
 height="{{ b.part }}" fill="#2a7"/></g>
{% endfor %}</svg>
<h2>Layers</h2>
<table><tr><th>layer</th><th>kind</th><th>weights</th><th>output</th><th>block</th><th>sparsity</th><th>bytes</th>
<th>MACs</th><th>kept</th><th>us</th><th>SQNR dB</th><th>dense because</th></tr>
{% for l in r.layers %}<tr><td>{{ l.name }}</td><td>{{ l.kind }}</td><td>{{ l.weight_shape | join("x") }}</td>
<td>{{ l.output_shape | join("x") }}</td><td>{{ l.block }}</td><td>{{ "%.2f" | format(l.sparsity) }}</td>
<td>{{ l.bytes }}</td><td>{{ l.macs }}</td><td>{{ l.kept_macs }}</td><td>{{ "%.1f" | format(l.predicted_us) }}</td>
<td>{{ "equal" if l.sqnr_db is none else "%.1f" | format(l.sqnr_db) }}</td><td>{{ l.dense_reason }}</td></tr>
{% endfor %}</table>
<h2>Reproduce</h2><p><code>{{ r.command }}</code></p>
<p>{% for name, version in r.versions.items() %}{{ name }} {{ version }}{{ ", " if not loop.last }}{% endfor %}</p>
</body></html>
"""


def report_page(report: ConversionReport) -> str:
    """The whole page; every text of the model is escaped."""
    environment = Environment(autoescape=True, loader=DictLoader({"page": _TEMPLATE}))
    largest = max((la.macs for la in report.layers), default=1) or 1
    bars = [_bar(la, largest) for la in report.layers]
    return environment.get_template("page").render(r=report, bars=bars, width=_BAR_WIDTH, height=_BAR_HEIGHT)


def _bar(layer: LayerReport, largest: int) -> dict[str, Any]:
    return {
        "name": layer.name,
        "macs": layer.macs,
        "kept": layer.kept_macs,
        "full": round(_BAR_HEIGHT * layer.macs / largest, 1),
        "part": round(_BAR_HEIGHT * layer.kept_macs / largest, 1),
    }
