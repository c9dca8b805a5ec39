"""One worker process a model: what is asked of it, what it answers, who keeps it alive."""
