"""The database: the one place where the truth is kept.

Each file holds the statements of one kind of row, as plain functions that take the
transaction's connection first, and return nouns of ``domain``. Statements that every
erasure runs are made once, as constants: SQLAlchemy builds one slower than it runs it.
"""
