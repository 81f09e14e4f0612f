"""Training, evaluation and export. Runs from the checkout: `python -m training …`."""
