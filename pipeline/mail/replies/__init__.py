"""What a mail server's reply means."""
