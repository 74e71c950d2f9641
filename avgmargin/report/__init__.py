"""The report: numbers gathered from finished jobs, claims in words, the page, and pages of stored runs."""
