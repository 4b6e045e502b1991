"""The frozen simulator: rankers, rules, budgets and requests of one day, and rollouts on them."""
