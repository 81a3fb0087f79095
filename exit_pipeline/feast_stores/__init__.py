"""Stores of our own for Feast: offline on DuckDB and Delta, online on a sqlite made safe."""
