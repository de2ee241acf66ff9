"""From options, environment, files and keyring to an account, a selection and a policy."""
