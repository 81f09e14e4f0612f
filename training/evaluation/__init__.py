"""A model on a set of pictures: questions, scores and intervals, costs, comparisons, pages."""
