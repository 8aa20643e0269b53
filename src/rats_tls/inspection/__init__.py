"""Shows what bytes say, field by field. Nothing is verified or judged here."""
