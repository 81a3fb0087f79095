"""What is watched of a model in production: its inputs, and what it says of new days."""
