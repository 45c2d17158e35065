"""Messages of our own topics as rows of tables."""
