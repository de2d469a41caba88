"""Objectives (SLOs): what was promised of a monitor, and what of the error budget is left."""
