"""The command line: one file per command. It judges nothing itself."""
