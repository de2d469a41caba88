"""Who may see what: the one table of the project's URLs. What does not stand in it is denied."""
