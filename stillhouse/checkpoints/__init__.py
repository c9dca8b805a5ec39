"""Model files on disk, opened by content: GGUF."""
