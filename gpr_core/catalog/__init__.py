"""The versioned set of ads: prefix tree, attributes in time, eligibility, legality, budgets."""
