"""endorsements."""
