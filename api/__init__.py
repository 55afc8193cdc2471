"""The HTTP API: routes, access, and what keeps one request from slowing down others."""
