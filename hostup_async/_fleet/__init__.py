"""Many VPSes at once: planned, sent within bounds, followed to their end, recorded."""
