"""Collects the outcomes of all runs; medians and ratios of them."""

import math
import statistics

BOOT_ROWS = [("boot", "boot_wall"), ("boot", "boot_cpu")]
MOST_BY_OTHERS = 0.2  # processors
CLOCK_TOLERANCE = 0.02  # of the host's time, and no less than
CLOCK_GRAIN = 0.2  # seconds: starting a program and a slow console


def median(values):
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def geometric_mean(values):
    known = [value for value in values if value]
    return math.exp(statistics.fmean(map(math.log, known))) if known else None


class Results:
    def __init__(self, rows, names):
        self.rows = rows  # (class, row), in the order of the table
        self.names = names  # of the subjects, in the order of the table
        self.times = {name: [] for name in names}  # for each run a dictionary row -> seconds
        self.clocks = {name: [] for name in names}  # of each boot (guest's, host's, emulator's processor seconds)
        self.others = {name: [] for name in names}  # processors that other programs took, for each run
        self.flags = {}
        self.skipped = {name: set() for name in names}
        self.checksums = {}  # row -> {checksum: subjects that printed it}
        self.remarks = []
        self.problems = []

    def begin_run(self):
        for runs in self.times.values():
            runs.append({})

    def problem(self, text):
        if text not in self.problems:
            self.problems.append(text)

    def add_boot(self, name, outcome):
        self.times[name][-1].update(boot_wall=outcome.wall, boot_cpu=outcome.cpu)

    def add_rows(self, name, outcome, boots):
        for row, seconds in outcome.seconds.items():
            self.times[name][-1][row] = statistics.median(seconds)
            for checksum in outcome.checksums[row]:
                self.checksums.setdefault(row, {}).setdefault(checksum, set()).add(name)
        self.skipped[name].update(outcome.skipped)
        self.remarks += [f"{name}: {remark}" for remark in outcome.remarks if f"{name}: {remark}" not in self.remarks]
        for failure in outcome.failures:
            self.problem(f"{name}: row {failure}")
        self.clocks[name].append((outcome.guest_time, outcome.host_time, outcome.cpu))
        if abs(outcome.guest_time - outcome.host_time) > max(CLOCK_GRAIN, CLOCK_TOLERANCE * outcome.host_time):
            said = f"{outcome.guest_time:.2f} s while the host's went {outcome.host_time:.2f} s"
            self.problem(f"{name}: the guest's clock is wrong: it went {said}")
        if boots:
            self.flags[name] = outcome.flags

    def add_others(self, name, processors):
        self.others[name].append(processors)
        if processors > MOST_BY_OTHERS:
            run = len(self.others[name])
            self.remarks.append(f"{name}: other programs took {processors:.1f} processors in run {run}: "
                                "measure on a quiet host")

    def check_checksums(self):
        for row, checksums in self.checksums.items():
            if len(checksums) > 1:
                said = "; ".join(f"{checksum} {', '.join(sorted(by))}" for checksum, by in checksums.items())
                self.problem(f"row {row}: the checksums differ: {said}")

    def check_complete(self, name, wanted):
        """Notes rows that gave no time in some run, although they were not skipped."""
        missing = [row for row in wanted if any(row not in run for run in self.times[name])]
        missing = [row for row in missing if row not in self.skipped[name]]
        if missing:
            self.problem(f"{name}: not a time in every run of {' '.join(missing)}")

    def seconds(self, name, row):
        return median(run.get(row) for run in self.times[name])

    def ratio(self, row, above, below):
        """Median over the runs of one subject's time divided by the other's in the same run."""
        if above not in self.times or below not in self.times:
            return None
        pairs = [(a.get(row), b.get(row)) for a, b in zip(self.times[above], self.times[below])]
        return median([a / b for a, b in pairs if a and b])

    def speedup(self, name):
        """Two threads against one."""
        pairs = [(run.get("one_thread"), run.get("two_threads")) for run in self.times[name]]
        return median([one / two for one, two in pairs if one and two])

    def rows_of(self, class_name):
        return [row for of, row in self.rows if of == class_name]

    def class_ratio(self, class_name, above, below):
        return geometric_mean([self.ratio(row, above, below) for row in self.rows_of(class_name)])
