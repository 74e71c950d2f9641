"""The application: command line, `reproduce` and the report. Imports the other three packages; nothing imports it."""
