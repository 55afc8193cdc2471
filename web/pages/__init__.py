"""What people open: one module for each page, with the forms that it sends."""
