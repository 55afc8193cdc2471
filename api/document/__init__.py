"""The OpenAPI document: what the API sends and takes, with examples, and a page that shows it."""
