"""What an account remembers from earlier runs, so that nobody is asked or paid twice."""
