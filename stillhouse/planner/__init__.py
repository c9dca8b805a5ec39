"""What fits, how fast it will be, how good, and what it costs: arithmetic, shown."""
