"""The parts of bench/compare: building the guest, running it, judging and showing what came out."""
