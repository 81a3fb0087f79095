"""The command line. Each module holds the commands of one concern; `main` puts them together."""
