"""What the notebooks import: data sets, plots, seeds, bookkeeping. No task's answer is in here."""
