"""Frame and charts of the pages that are written beside results."""
