"""What the commands do.

Plan and confirm, run and follow, the exit code, recorded runs, and reads.
"""
