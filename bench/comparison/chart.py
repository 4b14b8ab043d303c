"""An SVG chart: for every row a bar of TCG's time divided by Calco's, on a logarithmic scale, grouped by class."""

import math
from xml.sax.saxutils import escape

from . import goals, report

LABELS = 150  # width of the column of names
PLOT = 620
RIGHT = 62  # width of the column of numbers
BAR = 11
ROW_GAP = 5
CLASS_GAP = 30
TOP_MARGIN = 74
COLOURS = ["#3b7dd8", "#d9822b", "#2f9e62", "#a05bc8", "#c94f5d", "#7a8794"]

STYLE = """
  svg { font: 12px system-ui, sans-serif; } .paper { fill: #ffffff; }
  text { fill: #1f2328; } .dim { fill: #59636e; } .head { font-weight: 600; }
  .grid { stroke: #d1d9e0; } .one { stroke: #59636e; stroke-width: 1.5; }
  .must { stroke: #c93c37; stroke-width: 2; } .goal { stroke: #1a7f37; stroke-width: 2; stroke-dasharray: 4 3; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } text { fill: #e6edf3; } .dim { fill: #9198a1; }
    .grid { stroke: #30363d; } .one { stroke: #9198a1; } .must { stroke: #f47067; } .goal { stroke: #57ab5a; }
  }
"""


def text(x, y, content, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(content)}</text>'


def vertical(x, top, bottom, kind):
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="{kind}"/>'


class Scale:
    """Places ratios on a logarithmic axis whose ends are among 1, 2 and 5 times a power of ten, and which holds 1."""

    def __init__(self, values):
        low, high = min([1, *values]), max([1, *values])
        steps = [factor * 10.0**power for power in range(-5, 6) for factor in (1, 2, 5)]
        first = max(step for step in steps if step <= low)
        last = min(step for step in steps if step >= high)
        if first == last:
            first, last = 0.5, 2.0
        self.first, self.last = first, last
        self.ticks = [step for step in steps if first <= step <= last]

    def x(self, value):
        part = math.log(value / self.first) / math.log(self.last / self.first)
        return LABELS + PLOT * min(1, max(0, part))


def legend(names):
    parts, x = [], LABELS
    for name, colour in zip(names, colours(names)):
        parts.append(f'<rect x="{x}" y="32" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(text(x + 17, 42, name))
        x += 40 + 7 * len(name)
    parts.append(vertical(x + 6, 31, 45, "must") + text(x + 14, 42, "must reach"))
    parts.append(vertical(x + 106, 31, 45, "goal") + text(x + 114, 42, "goal"))
    return parts


def colours(names):
    return [COLOURS[i % len(COLOURS)] for i in range(len(names))]


def bars(results, names, row, y, scale):
    parts = [text(LABELS - 8, y + BAR * len(names) / 2 + 4, row, anchor="end")]
    for i, (name, colour) in enumerate(zip(names, colours(names))):
        ratio = results.ratio(row, report.REFERENCE, name)
        top = y + i * BAR
        shown = "-" if ratio is None else f"{ratio:.2f}"
        parts.append(text(LABELS + PLOT + RIGHT - 8, top + BAR - 2, shown, anchor="end"))
        if ratio is None:
            continue
        left, right = sorted((scale.x(1), scale.x(ratio)))
        parts.append(f'<rect x="{left:.1f}" y="{top}" width="{max(1, right - left):.1f}" height="{BAR - 1}" rx="2" '
                     f'fill="{colour}"/>')
    return parts


def class_part(results, names, class_name, y, scale):
    """One class with its heading; the parts, and where the next class begins."""
    means = [results.class_ratio(class_name, report.REFERENCE, name) for name in names]
    shown = ", ".join("-" if mean is None else f"{mean:.2f}" for mean in means)
    note = f"geometric mean {shown}"
    if class_name == "smp" and report.speedup_line(results):
        note += "; " + report.speedup_line(results)
    parts = [text(8, y + 12, class_name, "head"), text(LABELS, y + 12, note, "dim")]
    y += 20
    top = y
    for row in results.rows_of(class_name):
        parts += bars(results, names, row, y, scale)
        y += BAR * len(names) + ROW_GAP
    goal = goals.GOALS[class_name]
    parts.append(vertical(scale.x(goal.must_speed), top - 2, y, "must"))
    if goal.goal_speed:
        parts.append(vertical(scale.x(goal.goal_speed), top - 2, y, "goal"))
    return parts, y + CLASS_GAP - ROW_GAP


def draw(results, title):
    names = report.accelerators(results)
    ratios = [results.ratio(row, report.REFERENCE, name) for _, row in results.rows for name in names]
    limits = [limit for of in report.classes(results)
              for limit in (goals.GOALS[of].must_speed, goals.GOALS[of].goal_speed) if limit]
    scale = Scale([ratio for ratio in ratios if ratio] + limits)
    body, y = [], TOP_MARGIN
    for class_name in report.classes(results):
        parts, y = class_part(results, names, class_name, y, scale)
        body += parts
    grid = [vertical(scale.x(tick), TOP_MARGIN - 8, y - CLASS_GAP, "one" if tick == 1 else "grid")
            for tick in scale.ticks]
    ticks = [text(scale.x(tick), TOP_MARGIN - 12, f"{tick:g}", "dim", "middle") for tick in scale.ticks]
    width = LABELS + PLOT + RIGHT
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" viewBox="0 0 {width} {y}">',
             f"<style>{STYLE}</style>", '<rect width="100%" height="100%" class="paper"/>',
             text(8, 20, title, "head"), *legend(names), *ticks, *grid, *body, "</svg>"]
    return "\n".join(lines) + "\n"
