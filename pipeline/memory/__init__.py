"""What an account knows from earlier runs, and does not pay for again."""
