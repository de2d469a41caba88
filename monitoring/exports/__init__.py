"""What was measured, to take away: results, intervals, roll-ups and reports as CSV or JSON."""
