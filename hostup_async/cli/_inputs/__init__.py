"""From options, environment, files and keyring to an account, a selection and a policy.

`account` is the account and the store, with the `profiles` of the configuration file; `targets` are
the VPSes to act on; `policy` is how a run behaves.
"""
