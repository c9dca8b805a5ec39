"""The still command: one command a file, each thin: parse, call, print."""
