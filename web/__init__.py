"""The page: runs, live, and the account, for people with a browser. Served beside the HTTP API, by the same process."""
