"""Which files of a data set are of a split and a subset, by the hub's conventions: the `configs` that a README's front matter
lists (https://huggingface.co/docs/hub/datasets-manual-configuration), else folders' and files' names
(https://huggingface.co/docs/hub/datasets-file-names-and-splits)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skipjack.resolve.resolved import ResolvedSource

from ..errors import DataInvalid, DataNotFound

README = "README.md"
NO_ROWS = frozenset({"dataset_infos.json", "dataset_dict.json", "dataset_info.json", "state.json"})
"""JSON that tells of a data set and is none of its rows."""

MEANS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""Words in a file's name → the split."""

SHARD = re.compile(r"-\d{5}-of-\d{5}(-[0-9a-f]+)?$")
FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---\s*$", re.DOTALL | re.MULTILINE)
SHOWN = 20

Splits = Mapping[str, Sequence[str]]
"""Name of a split → its files."""


@dataclass(frozen=True, slots=True)
class Config:
    """A subset, as a README has it: patterns of files by split; none where names tell, in `folder`."""

    name: str
    folder: str
    patterns: dict[str, tuple[str, ...]]
    is_default: bool


def files_of(files: Sequence[str], configs: Sequence[Config], source: ResolvedSource) -> list[str]:
    """Those of `files`, paths from the data set's root, that are of the source's subset and split. Raises DataNotFound with those there are."""
    named = _by_readme(files, configs, source) if configs else _by_names(files, source)
    splits = {name: found for name, found in named.items() if found}
    if not splits:
        raise DataNotFound(f"{source.title}: its README names no file that is there.")
    wanted = source.split
    if wanted is None and len(splits) > 1:
        raise DataInvalid(f"{source.title}: it has several splits: name one in `split`: {_listed(splits)}.")
    name = next(iter(splits)) if wanted is None else wanted if wanted in splits else MEANS.get(wanted, wanted)
    if name not in splits:
        raise DataNotFound(f"{source.title}: there is no such split; there are: {_listed(splits)}.")
    return list(splits[name])


def _by_readme(files: Sequence[str], configs: Sequence[Config], source: ResolvedSource) -> Splits:
    if source.subset:
        fitting = [config for config in configs if config.name == source.subset]
    else:
        fitting = list(configs) if len(configs) == 1 else [config for config in configs if config.is_default]
    if not fitting:
        raise _no_subset(source, [config.name for config in configs])
    config = fitting[0]
    if not config.patterns:
        return _by_words([file for file in files if file.startswith(config.folder)])
    return {
        split: [
            file for file in files if any(_globbed(config.folder + pattern).fullmatch(file) for pattern in patterns)
        ]
        for split, patterns in config.patterns.items()
    }


def _by_names(files: Sequence[str], source: ResolvedSource) -> Splits:
    """A subset is a folder, at the root or in `data`."""
    if not source.subset:
        return _by_words(files)
    inside = [file for file in files if file.startswith((f"{source.subset}/", f"data/{source.subset}/"))]
    if not inside:
        folders = {file.removeprefix("data/").split("/")[0] for file in files if "/" in file.removeprefix("data/")}
        raise _no_subset(source, sorted(folders))
    return _by_words(inside)


def _by_words(files: Iterable[str]) -> Splits:
    """By what files are called; where no name tells a split, all are train's."""
    splits: dict[str, list[str]] = {}
    unnamed = []
    for file in files:
        if file.rpartition("/")[2] in NO_ROWS:
            continue
        if (split := split_of(file)) is None:
            unnamed.append(file)
        else:
            splits.setdefault(split, []).append(file)
    return splits or {"train": unnamed}


def split_of(file: str) -> str | None:
    """train_sft of data/train_sft-00000-of-00003.parquet, validation of en/chats.dev.jsonl and of dev/chats.jsonl; None of chats.jsonl."""
    *folders, name = file.split("/")
    stem = name.removesuffix(".gz").rpartition(".")[0]
    bare = SHARD.sub("", stem)
    if _means(bare):
        return _means(bare)
    words = [word for word in re.split("[^a-z]+", bare.lower()) if word in MEANS]
    if words:
        return MEANS[words[0]]
    if bare != stem:
        return bare
    return next((found for folder in reversed(folders) if (found := _means(folder))), None)


def _means(name: str) -> str | None:
    """The split of just that name: train, dev as validation, train_sft as itself."""
    return MEANS.get(name) or (name if re.match(r"(train|validation|test)_\w+$", name) else None)


def configs_of(readme: str, title: str) -> tuple[Config, ...]:
    """What a README's front matter tells of subsets; none where it doesn't. Raises DataInvalid."""
    import yaml

    front = FRONT.match(readme)
    if not front:
        return ()
    try:
        told = yaml.safe_load(front[1])
    except yaml.YAMLError as error:
        raise DataInvalid(f"{title}: the front matter of its {README} is no YAML: {error}") from error
    configs = told.get("configs") if isinstance(told, dict) else None
    try:
        return tuple(_config(config) for config in configs or ())
    except (TypeError, KeyError, AttributeError) as error:
        raise DataInvalid(f"{title}: the `configs` of its {README} are not as the hub has them: {error!r}") from error


def _config(told: dict[str, Any]) -> Config:
    name = str(told.get("config_name", "default"))
    folder = f"{told['data_dir'].strip('/')}/" if told.get("data_dir") else ""
    return Config(
        name, folder, _patterns(told.get("data_files") or []), told.get("default") is True or name == "default"
    )


def _patterns(told: Any) -> dict[str, tuple[str, ...]]:
    """A pattern, a list of them, or a list of {split, path}."""
    patterns: dict[str, tuple[str, ...]] = {}
    for entry in told if isinstance(told, list) else [told]:
        split, path = ("train", entry) if isinstance(entry, str) else (str(entry["split"]), entry["path"])
        paths = (path,) if isinstance(path, str) else tuple(path)
        patterns[split] = (*patterns.get(split, ()), *(path.removeprefix("./") for path in paths))
    return patterns


def _globbed(pattern: str) -> re.Pattern[str]:
    """A pattern of paths: '**' goes through folders, '*' and '?' don't."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    means = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(means.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts))


def _no_subset(source: ResolvedSource, known: Sequence[str]) -> DataInvalid | DataNotFound:
    if source.subset:
        return DataNotFound(f"{source.title}: there is no such subset; there are: {_listed(known)}.")
    return DataInvalid(f"{source.title}: it has several subsets: name one in `subset`: {_listed(known)}.")


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (", …" if len(listed) > SHOWN else "") or "none"
