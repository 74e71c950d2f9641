"""What every part of the application uses: errors and exit codes, files, the console, drawing, processes."""
