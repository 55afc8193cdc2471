"""Where a domain's mail goes, asked of name servers."""
