"""A person's id out of the vocabularies of registered models."""

from __future__ import annotations

import json

from exit_pipeline.files import write_text
from exit_pipeline.settings import Home

DESCRIPTION = "description.json"


def remove_from_models(home: Home, user_id: str) -> tuple[int, int]:
    """Puts a word that is no one's in the id's place; weights and their hash stay as they are.

    A model that reads ids keeps what it learned under that word, which nobody can ask for by then;
    a new training is what ends it. A model without ids (`id_dropout: 1`) never used its word.

    Returns:
        How many models knew the id, and how many of these read ids.
    """
    knew = read = 0
    for file in sorted((home.mlflow / "artifacts").glob(f"**/{DESCRIPTION}")):
        told = json.loads(file.read_text("utf-8"))
        words = told["encoder"]["vocabularies"].get("user_id", [])
        if user_id in words:
            knew, read = knew + 1, read + (told["spec"]["id_dropout"] < 1)
            place = words.index(user_id)
            words[place] = f"forgotten {place}"
            write_text(file, json.dumps(told, sort_keys=True))
    return knew, read
