"""`growth doctor`: what keeps this machine from verifying mail."""
