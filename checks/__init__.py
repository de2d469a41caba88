"""Measure targets and remember what was measured. Knows neither Django nor Apprise."""
