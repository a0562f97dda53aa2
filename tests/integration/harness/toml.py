"""Writes plain dicts as TOML, for configurations."""


def _scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_scalar(item)}" for key, item in value.items()) + " }"
    raise TypeError(type(value))


def dump(table, prefix=""):
    """A dict becomes a table; a list under `[[...]]`-style keys ("listener", "user") an array of tables."""
    lines = []
    deeper = []
    for key, value in table.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and key not in ("password", "service", "tls"):
            deeper.append(f"\n[{path}]\n" + dump(value, path + "."))
        elif key in ("listener", "user") and isinstance(value, list):
            for item in value:
                deeper.append(f"\n[[{path}]]\n" + "".join(f"{k} = {_scalar(v)}\n" for k, v in item.items()))
        else:
            lines.append(f"{key} = {_scalar(value)}\n")
    return "".join(lines) + "".join(deeper)
