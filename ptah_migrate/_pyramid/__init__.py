"""The Pyramid side: directives, declarations for a scan, events, what a start-up does."""
