"""Words and interfaces that everything else shares. No I/O, clock or randomness."""
