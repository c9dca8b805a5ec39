"""Token ids in, token ids out; text is unknown here."""
