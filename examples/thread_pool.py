"""Thirty-two threads on one client: one event loop serves them all, and one budget.

Each thread blocks on its own call; the requests keep to the API's rate limit together.
"""

from concurrent.futures import ThreadPoolExecutor, as_completed

from hostup_sync import Client, HostUpError, JobStatus


def main() -> None:
    """Reset every VPS of the account, and print what became of each."""
    with Client() as client, ThreadPoolExecutor(32) as pool:

        def reset(vps_id: str) -> JobStatus | str:
            return client.vps.reset(vps_id).wait(timeout=600).status

        resets = {pool.submit(reset, vps.id): vps.id for vps in client.vps.list()}
        for future in as_completed(resets):
            try:
                print(resets[future], future.result())
            except HostUpError as error:
                print(resets[future], error)


if __name__ == "__main__":
    main()
