"""The HostUp API over HTTP: one request out, one answer in, and an action never sent twice.

Read `requester` (a call with its retries) first, then `attempt` (one try), `retry` (whether to send
again, one table), `responses` (an answer to a value or an error), `problems` and `jobs` (what comes
in several shapes), `wire` (JSON to models), and `transport` (one aiohttp session; whether a request
left this machine). Nothing above this package touches aiohttp or cattrs.
"""
