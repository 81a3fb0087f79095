-- Run once, by Postgres' image, when its volume is new. Dagster's database is made by the image.
create database mlflow;
