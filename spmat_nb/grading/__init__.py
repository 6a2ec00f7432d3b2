"""Grading of assignments with nbgrader: student code runs in a closed process, checks run in the grader's."""
