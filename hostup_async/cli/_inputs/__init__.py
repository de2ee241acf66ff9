"""From options, environment, files and keyring to an account, a selection and a policy.

`account` is the account and the store, with the `profiles` of the configuration file and `paths`
that mean one file everywhere; `targets` are the VPSes to act on, of which `id_lists` are read;
`policy` is how a run behaves, and `limits` what is said of the rate limit.
"""
