"""Not imported before a request asks for it."""


def stamp(number):
    text = f"stamp-{number}"
    return text  # probe: later
