"""Reset VPSes from a cron job, and say with the exit code what became of them.

    */5 * * * *  HOSTUP_API_KEY=... python reset_by_cron.py vps_01hx... vps_01hy...

Exit codes: 0 all completed, 1 some failed or were refused, 4 the outcome of some is unknown: look
at those before they are reset again.
"""

import sys

from hostup_sync import Client, HostUpError, Job, Operation, OutcomeUnknown


def main(vps_ids: list[str]) -> int:
    """Send the resets, wait for all of them, and return the exit code."""
    with Client() as client:
        ends: list[Job | HostUpError] = []
        operations: list[Operation] = []
        for vps_id in vps_ids:
            try:
                operations.append(client.vps.reset(vps_id))
            except HostUpError as error:
                print(f"{vps_id}: {error}", file=sys.stderr)
                ends.append(error)
        for operation, end in client.wait_all(operations, timeout=600):
            print(f"{operation.vps_id}: {end.status if isinstance(end, Job) else end}")
            ends.append(end)
    if any(isinstance(end, OutcomeUnknown) for end in ends):
        return 4
    return int(any(isinstance(end, HostUpError) for end in ends))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
