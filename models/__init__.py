"""What is true: tables, allowed transitions, named queries, settings, and the shapes that clients see."""
