"""What is shown: a live view on a terminal, lines on a pipe, JSON for programs."""
