"""The report of a run: what its folder holds, as one HTML page and as figures for programs."""

from cluster.report.course import course_of
from cluster.report.html import FIGURES, REPORT, write_report
from cluster.report.record import BASELINE_FILE

__all__ = ["BASELINE_FILE", "FIGURES", "REPORT", "course_of", "write_report"]
