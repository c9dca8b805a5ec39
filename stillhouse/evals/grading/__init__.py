"""Whether an answer is right: one file a kind of answer, and the process that they run in."""
