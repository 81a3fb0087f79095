-- The sum of a list of doubles, from its first to its last.
aggregate({{ list }}, cast(0 as double), (sum, value) -> sum + value)
