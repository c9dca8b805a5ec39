"""What a model gets right: tasks, samples, grades, and what they say of a quantisation."""
