"""The table for people, and the same in JSON."""

import dataclasses

from . import goals
from .results import geometric_mean

REFERENCE = "TCG"
HOST = "native"
NAME_WIDTH = 18
TIME_WIDTH = 10
RATIO_WIDTH = 9


def accelerators(results):
    return [name for name in results.names if name not in (REFERENCE, HOST)]


def has(results, name):
    return name in results.times


def in_cells(value, width, form):
    return f"{'-' if value is None else form(value):>{width}}"


def milliseconds(value):
    return f"{value * 1000:.1f}"


def number(value):
    return f"{value:.2f}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One thing asked of what was measured: `must reach` or `goal`."""

    measured: str
    value: float
    asked: str
    limit: float
    at_most: bool = False

    def said(self):
        if self.value is None:
            return "not measured"
        return "met" if (self.value <= self.limit if self.at_most else self.value >= self.limit) else "MISSED"


def heading(results):
    text = f"{'milliseconds':{NAME_WIDTH}}" + "".join(f"{name:>{TIME_WIDTH}}" for name in (HOST, REFERENCE)
                                                   if has(results, name))
    for name in accelerators(results):
        text += f"  {name:>{max(TIME_WIDTH, len(name))}}"
        text += f"{'vs TCG':>{RATIO_WIDTH}} " if has(results, REFERENCE) else ""
        text += f"{'vs host':>{RATIO_WIDTH}}" if has(results, HOST) else ""
    return text


def row_line(results, class_name, row):
    text = f"{row:{NAME_WIDTH}}" + "".join(in_cells(results.seconds(name, row), TIME_WIDTH, milliseconds)
                                         for name in (HOST, REFERENCE) if has(results, name))
    for name in accelerators(results):
        text += "  " + in_cells(results.seconds(name, row), max(TIME_WIDTH, len(name)), milliseconds)
        if has(results, REFERENCE):
            speed = results.ratio(row, REFERENCE, name)
            low = speed is not None and speed < goals.row_must(class_name, row)
            text += in_cells(speed, RATIO_WIDTH, number) + ("!" if low else " ")
        if has(results, HOST):
            text += in_cells(results.ratio(row, name, HOST), RATIO_WIDTH, number)
    return text


def mean_line(results, class_name):
    width = NAME_WIDTH + TIME_WIDTH * (has(results, HOST) + has(results, REFERENCE))
    text = f"{'geometric mean':{width}}"
    for name in accelerators(results):
        text += " " * (2 + max(TIME_WIDTH, len(name)))
        if has(results, REFERENCE):
            text += in_cells(results.class_ratio(class_name, REFERENCE, name), RATIO_WIDTH, number) + " "
        if has(results, HOST):
            text += in_cells(results.class_ratio(class_name, name, HOST), RATIO_WIDTH, number)
    return text.rstrip()


def class_verdicts(results, class_name, name):
    goal = goals.GOALS[class_name]
    verdicts = []
    if has(results, REFERENCE):
        speed = results.class_ratio(class_name, REFERENCE, name)
        verdicts.append(Verdict("against TCG", speed, "must reach", goal.must_speed))
        if goal.goal_speed:
            verdicts.append(Verdict("against TCG", speed, "goal", goal.goal_speed))
    if has(results, HOST) and goal.goal_cost:
        cost = results.class_ratio(class_name, name, HOST)
        verdicts.append(Verdict("against the host", cost, "goal", goal.goal_cost, at_most=True))
    if class_name == "smp":
        speedup = results.speedup(name)
        verdicts.append(Verdict("two threads against one", speedup, "must reach", goals.SMP_MUST))
        verdicts.append(Verdict("two threads against one", speedup, "goal", goals.SMP_GOAL))
    return verdicts


def overall_verdicts(results, name):
    verdicts = []
    if has(results, REFERENCE):
        speeds = [results.ratio(row, REFERENCE, name) for _, row in results.rows]
        least = min((speed for speed in speeds if speed is not None), default=None)
        verdicts.append(Verdict("slowest row against TCG", least, "must reach", goals.EVERY_ROW_MUST))
    if has(results, HOST):
        cost = compute_cost(results, name)
        verdicts.append(Verdict("compute rows against the host", cost, "goal", goals.COMPUTE_COST_GOAL, at_most=True))
    return verdicts


def compute_cost(results, name):
    """Geometric mean over all rows of the classes that compute."""
    rows = [row for of, row in results.rows if of in goals.COMPUTE_CLASSES]
    return geometric_mean([results.ratio(row, name, HOST) for row in rows])


def verdict_lines(verdicts, name):
    """One line for each thing measured, with all that is asked of it."""
    lines = []
    for measured in dict.fromkeys(verdict.measured for verdict in verdicts):
        asked = [verdict for verdict in verdicts if verdict.measured == measured]
        value = asked[0].value
        said = ", ".join(f"{v.asked} {'at most ' if v.at_most else ''}{v.limit:g}: {v.said()}" for v in asked)
        lines.append(f"  {name}, {measured}: {'-' if value is None else number(value)} ({said})")
    return lines


def classes(results):
    return list(dict.fromkeys(of for of, _ in results.rows))


def speedup_line(results):
    parts = [f"{name} {number(results.speedup(name))}" for name in results.names if results.speedup(name)]
    return "two threads against one: " + ", ".join(parts) if parts else None


def flag_lines(results):
    """What the processors of TCG and of each accelerator say of themselves, where they differ."""
    lines = []
    reference = results.flags.get(REFERENCE)
    for name in accelerators(results):
        own = results.flags.get(name)
        if reference and own and reference != own:
            lines.append(f"CPU flags that only TCG has, not {name}: {' '.join(sorted(reference - own)) or '-'}")
            lines.append(f"CPU flags that only {name} has, not TCG: {' '.join(sorted(own - reference)) or '-'}")
    return lines


def clock_lines(results):
    lines = []
    for name, clocks in results.clocks.items():
        ours, hosts, processor = (sum(column) for column in zip(*clocks)) if clocks else (0, 0, 0)
        lines.append(f"rows of {name}: {ours:.2f} s by their clock, {hosts:.2f} s by the host's; "
                     f"{processor:.2f} s of processor time with booting")
    return lines


def table(results):
    lines = [heading(results)]
    for class_name in classes(results):
        lines += ["", f"{class_name}"]
        lines += [row_line(results, class_name, row) for row in results.rows_of(class_name)]
        if len(results.rows_of(class_name)) > 1 and (has(results, REFERENCE) or has(results, HOST)):
            lines.append(mean_line(results, class_name))
        if class_name == "smp" and speedup_line(results):
            lines.append(speedup_line(results))
        for name in accelerators(results):
            lines += verdict_lines(class_verdicts(results, class_name, name), name)
    overall = [line for name in accelerators(results) for line in verdict_lines(overall_verdicts(results, name), name)]
    if overall:
        lines += ["", "all", *overall]
    lines += ["", *flag_lines(results), *clock_lines(results)]
    lines += [f"NOTE: {remark}" for remark in results.remarks]
    lines += [f"PROBLEM: {problem}" for problem in results.problems]
    return "\n".join(lines)


def verdict_objects(verdicts):
    return [{**dataclasses.asdict(verdict), "verdict": verdict.said()} for verdict in verdicts]


def as_json(results, settings):
    names = accelerators(results)
    return {
        "settings": settings,
        "rows": [{
            "class": of, "name": row,
            "seconds": {name: results.seconds(name, row) for name in results.names},
            "tcg_over_calco": {name: results.ratio(row, REFERENCE, name) for name in names},
            "calco_over_native": {name: results.ratio(row, name, HOST) for name in names},
        } for of, row in results.rows],
        "classes": [{
            "class": of,
            "tcg_over_calco": {name: results.class_ratio(of, REFERENCE, name) for name in names},
            "calco_over_native": {name: results.class_ratio(of, name, HOST) for name in names},
            "asked": {name: verdict_objects(class_verdicts(results, of, name)) for name in names},
        } for of in classes(results)],
        "asked": {name: verdict_objects(overall_verdicts(results, name)) for name in names},
        "speedup_of_two_threads": {name: results.speedup(name) for name in results.names},
        "clocks": {name: [dict(zip(("guest", "host", "processor"), clock)) for clock in clocks]
                   for name, clocks in results.clocks.items()},
        "processors_of_other_programs": results.others,
        "cpu_flags": {name: sorted(flags) for name, flags in results.flags.items()},
        "checksums": {row: {said: sorted(by) for said, by in sums.items()} for row, sums in results.checksums.items()},
        "skipped": {name: sorted(rows) for name, rows in results.skipped.items()},
        "remarks": results.remarks,
        "problems": results.problems,
        "runs": results.times,
    }
