"""Write a greeting as text and as JSON."""

import argparse
import json
import os
from pathlib import Path

GREETINGS = {
    "dutch": "Hallo, {}!",
    "english": "Hello, {}!",
    "french": "Bonjour, {} !",
    "german": "Guten Tag, {}!",
    "italian": "Ciao, {}!",
    "polish": "Cześć, {}!",
    "portuguese": "Olá, {}!",
    "spanish": "¡Hola, {}!",
}


def write(path: Path, text: str) -> None:
    """Write so that a reader sees all of it or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def main() -> None:
    """Read the values from one JSON argument, as the workflow passes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=json.loads, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--document", type=Path, required=True)
    args = parser.parse_args()
    language, who = args.values["language"], str(args.values["who"])
    if language not in GREETINGS:
        raise SystemExit(f"no greeting in {language!r}; there is one in: {', '.join(GREETINGS)}")
    # Not str.format on the whole: a name that contains {} stays as it is.
    before, after = GREETINGS[language].split("{}")
    greeting = before + who + after
    document = {"greeting": greeting, "language": language, "who": who}
    write(args.text, greeting + "\n")
    write(args.document, json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
