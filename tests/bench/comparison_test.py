#!/usr/bin/env python3
"""Tests of bench/compare's parts that need no emulator."""

import sys
import unittest
import xml.etree.ElementTree
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
from comparison import chart, guest, report, results, subjects  # noqa: E402

ROWS = [("integer", "crc32"), ("smp", "one_thread"), ("smp", "two_threads")]


def outcome(seconds, checksum="1", guest_time=1.0, host_time=1.0):
    return subjects.Outcome(seconds={row: [time] for row, time in seconds.items()},
                            checksums={row: {checksum} for row in seconds}, guest_time=guest_time, host_time=host_time)


def two_runs():
    collected = results.Results(ROWS, ["TCG", "jit", "native"])
    for factor in (1, 2):
        collected.begin_run()
        collected.add_rows("TCG", outcome({"crc32": 6.0 * factor, "one_thread": 4.0, "two_threads": 4.0}), True)
        collected.add_rows("jit", outcome({"crc32": 2.0 * factor, "one_thread": 2.0, "two_threads": 1.0}), True)
        collected.add_rows("native", outcome({"crc32": 1.0, "one_thread": 1.0, "two_threads": 0.5}), False)
    return collected


class ReaderTest(unittest.TestCase):
    def setUp(self):
        self.reader = subjects.Reader()

    def test_takes_time_and_checksum_of_a_row(self):
        self.reader.line("row crc32 0.250000000 00000000cebde01c", 0)
        self.assertEqual(self.reader.outcome.seconds, {"crc32": [0.25]})
        self.assertEqual(self.reader.outcome.checksums, {"crc32": {"00000000cebde01c"}})

    def test_reads_a_line_behind_control_sequences_of_the_firmware(self):
        self.reader.line("\x1bc\x1b[?7l\x1b[2Jflags\t\t: fpu sse2", 0)
        self.assertEqual(self.reader.outcome.flags, {"fpu", "sse2"})

    def test_measures_guest_and_host_time_between_begin_and_end(self):
        self.reader.line("begin 10.5", 100.0)
        self.reader.line("end 12.5", 103.0)
        self.assertEqual((self.reader.outcome.guest_time, self.reader.outcome.host_time), (2.0, 3.0))

    def test_keeps_what_failed_and_what_was_skipped(self):
        self.reader.line("fail sieve signal 11", 0)
        self.reader.line("skip avx2_float", 0)
        self.assertEqual(self.reader.outcome.failures, ["sieve signal 11"])
        self.assertEqual(self.reader.outcome.skipped, ["avx2_float"])

    def test_keeps_what_the_emulator_itself_says(self):
        self.reader.line("calco: -accel jit: there is no translator yet; interpreting", 0)
        self.assertEqual(self.reader.outcome.remarks, ["calco: -accel jit: there is no translator yet; interpreting"])


class RunTest(unittest.TestCase):
    def test_kills_a_command_that_takes_too_long(self):
        status, reader = subjects.run(["sleep", "60"], 0.2)
        self.assertEqual(status, -9)
        self.assertEqual(reader.last_lines, ["killed after 0.2 seconds"])

    def test_gives_the_exit_status(self):
        status, reader = subjects.run(["sh", "-c", "echo fail x; exit 3"], 10)
        self.assertEqual((status, reader.outcome.failures), (3, ["x"]))


class ResultsTest(unittest.TestCase):
    def test_ratio_is_taken_within_a_run(self):
        self.assertEqual(two_runs().ratio("crc32", "TCG", "jit"), 3.0)

    def test_seconds_are_the_median_of_the_runs(self):
        self.assertEqual(two_runs().seconds("jit", "crc32"), 3.0)

    def test_class_ratio_is_the_geometric_mean_of_its_rows(self):
        self.assertAlmostEqual(two_runs().class_ratio("smp", "TCG", "jit"), 8**0.5)

    def test_speedup_compares_two_threads_with_one(self):
        self.assertEqual(two_runs().speedup("jit"), 2.0)

    def test_different_checksums_are_a_problem(self):
        collected = two_runs()
        collected.add_rows("jit", outcome({"crc32": 1.0}, checksum="2"), True)
        collected.check_checksums()
        self.assertEqual(collected.problems, ["row crc32: the checksums differ: 1 TCG, jit, native; 2 jit"])

    def test_a_clock_that_goes_too_slowly_is_a_problem(self):
        collected = two_runs()
        collected.add_rows("jit", outcome({}, guest_time=9.0, host_time=10.0), True)
        self.assertEqual(collected.problems,
                         ["jit: the guest's clock is wrong: it went 9.00 s while the host's went 10.00 s"])

    def test_a_row_without_a_time_is_a_problem_unless_it_was_skipped(self):
        collected = two_runs()
        collected.skipped["jit"].add("avx2_float")
        collected.check_complete("jit", ["crc32", "avx2_float", "sieve"])
        self.assertEqual(collected.problems, ["jit: not a time in every run of sieve"])

    def test_other_programs_that_take_much_of_the_host_are_remarked(self):
        collected = two_runs()
        collected.add_others("jit", 0.1)
        collected.add_others("jit", 0.75)
        self.assertEqual(collected.remarks,
                         ["jit: other programs took 0.8 processors in run 2: measure on a quiet host"])


class ReportTest(unittest.TestCase):
    def test_table_says_what_is_met_and_what_is_missed(self):
        text = report.table(two_runs())
        self.assertIn("jit, against TCG: 3.00 (must reach 2: met, goal 4: MISSED)", text)
        self.assertIn("jit, two threads against one: 2.00 (must reach 1.7: met, goal 1.95: met)", text)
        self.assertIn("jit, compute rows against the host: 3.00 (goal at most 2: MISSED)", text)

    def test_table_stands_without_tcg_and_without_host(self):
        collected = results.Results(ROWS, ["jit"])
        collected.begin_run()
        collected.add_rows("jit", outcome({"crc32": 2.0}), True)
        self.assertRegex(report.table(collected), r"crc32 +2000\.0")


class ChartTest(unittest.TestCase):
    def test_is_xml_with_a_bar_for_every_row(self):
        drawn = xml.etree.ElementTree.fromstring(chart.draw(two_runs(), "TCG < Calco"))
        bars = [bar for bar in drawn.iter("{http://www.w3.org/2000/svg}rect") if bar.get("height") == "10"]
        self.assertEqual(len(bars), len(ROWS))

    def test_scale_is_logarithmic_and_holds_one(self):
        scale = chart.Scale([3.0, 90.0])
        self.assertEqual((scale.first, scale.last), (1.0, 100.0))
        self.assertAlmostEqual(scale.x(10.0), (scale.x(1.0) + scale.x(100.0)) / 2)


class ArchiveTest(unittest.TestCase):
    def test_entries_of_the_archive_begin_at_multiples_of_four(self):
        archive = guest.archive(b"12345")  # names stand behind a head of 110 bytes
        self.assertEqual(len(archive) % 4, 0)
        self.assertEqual([archive.find(name) % 4 for name in (b"bench\0", b"bench/rows\0", b"TRAILER!!!\0")], [2, 2, 2])


unittest.main()
