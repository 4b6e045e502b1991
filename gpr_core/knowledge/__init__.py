"""External knowledge: what is said about a user, from events before a day, and who said it."""
