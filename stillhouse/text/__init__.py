"""What a model says: tokenizer, template, thought and answer."""
