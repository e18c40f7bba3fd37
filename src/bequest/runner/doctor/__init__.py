"""What ails a run: one file for each kind of finding, gathered in `examine`."""
