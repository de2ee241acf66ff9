"""The HostUp API over HTTP: requests, responses, and no action sent twice.

Read `requester` (the client's requests) first, then `call` (a request with its retries), `attempt`
(one try), `retry` (whether to send again, one table), `identity` (whether a response belongs to its
request), `accepted` (which job is whose), `responses` (a response to a value or an error),
`problems` and `jobs` (which come in several shapes), `filters` (of the list), `wire` (JSON to
models), `exchange` and `transport` (aiohttp; whether a request left this machine), `server_clock`
(the server's time, from its `Date`). Nothing above this package touches aiohttp or cattrs.
"""
