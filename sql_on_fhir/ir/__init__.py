"""The logical plan of a view: typed expressions and row steps, without a word of SQL."""
