"""How numbers become bytes: one class per format, numpy only, correct before fast."""
