"""What the suites print: one line a fact, in which what differs from run to run is its shape."""

import os
import re
import time

HOST, PORT = os.environ["HOST"], int(os.environ["PORT"])
URL = f"redis://{HOST}:{PORT}/0"

# No condition takes longer, be the machine as slow as it may.
GIVES_UP_AFTER_S = 30

SHAPES = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}": "<uuid>",
    r"\b1\d{12}-\d+\b": "<stream id>",
    r"\b1\d{12}\b": "<ms>",
}


def part(name):
    """Starts a part of the transcript."""
    print(f"\n== {name}", flush=True)


def say(what, value):
    """Prints a fact."""
    text = repr(ordered(value))
    for pattern, shape in SHAPES.items():
        text = re.sub(pattern, shape, text)
    print(f"{what}: {text}", flush=True)


def say_of(what, work):
    """Prints what `work` gives, be it an error."""
    try:
        say(what, work())
    except Exception as error:
        say(what, error)


def until(is_so):
    """Waits until `is_so()`, which it then is.

    If it never is, the suite fails on either server: two that wait in vain would be equal.
    """
    begun = time.monotonic()
    while not is_so():
        if time.monotonic() - begun > GIVES_UP_AFTER_S:
            raise TimeoutError("a condition that was waited for did not come")
        time.sleep(0.01)
    return True


def ordered(value):
    """Sets have no order, so neither has what is printed of them. Errors are shown by their text."""
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, dict):
        return {key: ordered(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(ordered(inner) for inner in value)
    return value
