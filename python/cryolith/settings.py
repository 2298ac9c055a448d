# SPDX-License-Identifier: BSD-3-Clause
"""What makes a settings class: a frozen dataclass whose fields know their unit and their range.

One class per stage is the Python argument, the TOML table and the provenance record at once. A typo fails
when the object is made, with the nearest valid name.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from typing_extensions import dataclass_transform

from .errors import ConfigError
from .units import parse_bytes, parse_length

__all__ = ["from_mapping", "setting", "settings", "to_mapping"]

T = TypeVar("T")


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    minimum: float = -math.inf,
    maximum: float = math.inf,
) -> Any:
    """Declare one field: its default, what it means, its unit and its range.

    A field of unit ``angstrom`` also takes words ("0.34 nm"), one of unit ``bytes`` also "8 GB".
    """
    metadata = {"help": help, "unit": unit, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata=metadata)


# setting() is not named as a field specifier: type checkers then see a plain default in every field.
@dataclass_transform(kw_only_default=True, frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen dataclass that checks names, types and ranges when it is constructed."""
    made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    original = made.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **values: Any) -> None:
        known = [f.name for f in dataclasses.fields(made)]  # type: ignore[arg-type]
        for name in values:
            if name not in known:
                raise ConfigError(_unknown(name, known, made.__name__))
        original(self, *args, **values)
        hints = typing.get_type_hints(made)
        for f in dataclasses.fields(made):  # type: ignore[arg-type]
            object.__setattr__(self, f.name, _checked(getattr(self, f.name), f, hints[f.name]))
        check = getattr(self, "check", None)
        if check is not None:
            check()

    made.__init__ = init  # type: ignore[method-assign]
    return made


def _unknown(name: str, known: list[str], owner: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"valid names: {', '.join(known)}"
    return f"{owner}: unknown setting {name!r}; {hint}"


def _checked(value: Any, f: dataclasses.Field[Any], hint: Any) -> Any:
    unit = f.metadata.get("unit", "")
    parse = {"angstrom": parse_length, "bytes": parse_bytes}.get(unit)
    words = _words(hint)
    if parse is not None and isinstance(value, str) and value not in words:
        try:
            value = parse(value, f.name)
        except ConfigError as e:
            also = f"; or one of {', '.join(map(repr, words))}" if words else ""
            raise ConfigError(f"{e}{also}") from None
    value = _typed(value, f.name, hint)
    low, high = f.metadata.get("minimum", -math.inf), f.metadata.get("maximum", math.inf)
    for number in value if isinstance(value, tuple) else (value,):
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        if is_number and not low <= number <= high:  # written so that NaN is refused
            raise ConfigError(
                f"{f.name}: found {number}, expected {low} to {high} {unit}".rstrip()
                + f" ({f.metadata.get('help', '')})"
            )
    return value


def _words(hint: Any) -> tuple[Any, ...]:
    """Return the values that a hint names literally, such as "auto" in ``float | Literal["auto"]``."""
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    return tuple(w for option in typing.get_args(hint) for w in _words(option))


def _typed(value: Any, name: str, hint: Any) -> Any:
    """Return ``value`` as ``hint`` says, or refuse it by name."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(value, name, options)
    if origin is typing.Literal:
        return _literal(value, name, options)
    if origin is tuple and isinstance(value, (list, tuple)):
        inner = options[:1] * len(value) if options[1:] == (...,) else options
        if len(inner) == len(value):
            return tuple(_typed(v, name, o) for v, o in zip(value, inner, strict=True))
        raise ConfigError(f"{name}: found {len(value)} values {value!r}, expected {len(inner)}")
    if hint in (int, float):
        return _number(value, name, hint)
    if (hint in (bool, str) or dataclasses.is_dataclass(hint)) and isinstance(value, hint):
        return value
    raise _wrong_type(value, name, hint)


def _wrong_type(value: Any, name: str, hint: Any) -> ConfigError:
    expected = getattr(hint, "__name__", str(hint))
    return ConfigError(f"{name}: found {value!r} ({type(value).__name__}), expected {expected}")


def _number(value: Any, name: str, hint: type[int] | type[float]) -> int | float:
    """Take numpy's numbers as well as Python's; a bool is not a number."""
    try:
        if hint is int and isinstance(value, numbers.Integral) and not isinstance(value, bool):
            return int(value)
        if hint is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
            return float(value)
    except OverflowError as e:
        raise ConfigError(f"{name}: found an integer of {len(str(value))} digits") from e
    raise _wrong_type(value, name, hint)


def _one_of(value: Any, name: str, options: tuple[Any, ...]) -> Any:
    if value is None and type(None) in options:
        return None
    choices = [o for o in options if o is not type(None)]
    for option in choices[:-1]:
        try:
            return _typed(value, name, option)
        except ConfigError:
            continue
    return _typed(value, name, choices[-1])


def _literal(value: Any, name: str, options: tuple[Any, ...]) -> Any:
    for option in options:
        if type(value) is type(option) and value == option:
            return option
    near = difflib.get_close_matches(str(value), [str(o) for o in options], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"{name}: found {value!r}, expected one of {', '.join(map(repr, options))}{hint}"
    )


def from_mapping(cls: type[T], values: Mapping[str, Any], owner: str = "") -> T:
    """Make settings from a (nested) mapping such as a TOML table."""
    hints = typing.get_type_hints(cls)
    owner = owner or cls.__name__
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name not in hints:
            raise ConfigError(_unknown(name, list(hints), owner))
        inner = hints[name]
        if dataclasses.is_dataclass(inner):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{name}: found {value!r}, expected a table [{name}]")
            value = from_mapping(typing.cast(Any, inner), value, f"[{name}]")
        made[name] = value
    return cls(**made)


def to_mapping(value: Any) -> dict[str, Any]:
    """Return settings as plain nested dictionaries, without the fields that are None."""
    out: dict[str, Any] = {}
    for f in dataclasses.fields(value):
        v = getattr(value, f.name)
        if dataclasses.is_dataclass(v):
            out[f.name] = to_mapping(v)
        elif v is not None:
            out[f.name] = list(v) if isinstance(v, tuple) else v
    return out
