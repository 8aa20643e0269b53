"""Where Endorsements come from."""
