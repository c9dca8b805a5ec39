"""Facts as data: models, their files and where each figure comes from."""
