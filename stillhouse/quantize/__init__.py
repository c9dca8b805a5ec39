"""Making quantised models, and measuring what that cost."""
