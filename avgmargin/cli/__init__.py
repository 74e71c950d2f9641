"""The command line: what can be asked, and one function for each command, which imports what it needs when it runs."""
