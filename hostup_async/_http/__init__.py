"""The HostUp API over HTTP: requests, responses, and no action sent twice.

Read `requester` (a call with its retries) first, then `attempt` (one try), `retry` (whether to send
again, one table), `responses` (a response to a value or an error), `problems` and `jobs` (which
come in several shapes), `wire` (JSON to models), and `transport` (one aiohttp session; whether a
request left this machine). Nothing above this package touches aiohttp or cattrs.
"""
