"""A stored result in the other forms that were asked for: each is written, run by its own reader, and stored only if it says what the model says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from skipjack.protocol import Result, StoredFormat
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.resolved import ResolvedFormat

from ..data.example import Example
from ..digests import digest_of_all, facts, files_in
from ..errors import ExportFailed
from ..model import fetch_model
from ..shape import Head
from ..storage import Access, bring
from .card import CARD
from .formats import FORMATS, to_make
from .output import MARK, OWN_FOLDER, Output
from .plan import Plan, check_fence, find, forget, keep, refuse_overtaken
from .samples import samples_of
from .whole import Whole, make_whole

TABLE = "\n## Written as\n"


def plan(spec: ResolvedSpec, head: Head, rows: Sequence[Example], attempt: int, output: Output, access: Access) -> None:
    """Notes what is to be written, before the result is stored. `rows`: held out ones where there are any."""
    if to_make(spec):
        keep(Plan(spec=spec, head=head.name, samples=samples_of(rows, head), attempt=attempt), output, access.scratch)


def exported(output: Output, result: Result, attempt: int, access: Access, tell: Callable[[str], None]) -> Result:
    """The result with all its forms, once they are stored. Raises ExportFailed: what was trained is kept, and what was written before;
    Interrupted where a later attempt has taken over."""
    told = find(output)
    if told is None:
        return result
    refuse_overtaken(told, attempt)
    told = keep(told.model_copy(update={"attempt": attempt}), output, access.scratch)
    stored = brought(output, told, access)
    try:
        told = with_all_made(told, stored, output, access, tell)
    except ExportFailed as error:
        raise ExportFailed(f"{error} What was trained is kept in {output.spec.output.uri}.") from error
    formats = (*stored_as_trained(told.spec, result), *told.made)
    check_fence(output, attempt)
    result = output.complete(result.model_copy(update={"formats": formats}), told.files, card(stored / CARD, formats))
    forget(output)
    return result


def with_all_made(told: Plan, stored: Path, output: Output, access: Access, tell: Callable[[str], None]) -> Plan:
    """The plan, once each form that was left is stored. Raises ExportFailed."""
    left = to_make(told.spec)[len(told.made) :]
    if not left:
        return told
    tell(f"what was trained is stored; to be written of it: {', '.join(each.title for each in left)}")
    base, _ = fetch_model(told.spec, access)
    folder = access.scratch / "whole"
    shutil.rmtree(folder, ignore_errors=True)
    whole = make_whole(base, stored, told.spec, told.kind, told.samples, folder)
    for wanted in left:
        made = make(whole, wanted, access.scratch / "format")
        check_fence(output, told.attempt)
        told = keep(store(made, wanted, told, output), output, access.scratch)
        tell(sentence(told.made[-1]))
    return told


def brought(output: Output, told: Plan, access: Access) -> Path:
    """The folder of what was trained, on this machine."""
    here = access.scratch / "export"
    if (here / MARK).is_file():
        return here
    if (place := output.store.local(output.path)) is not None:
        return place
    others = {output.at(name) for name in told.files}
    there = [
        entry for entry in output.store.list(output.path) if not entry.path.startswith(output.at(f"{OWN_FOLDER}/"))
    ]
    bring(output.store, [entry for entry in there if entry.path not in others], access.scratch / "stored")
    return access.scratch / "stored" / output.path


def make(whole: Whole, wanted: ResolvedFormat, folder: Path) -> tuple[Path, float]:
    """The folder that was written, and the greatest difference. Raises ExportFailed where it says something else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    form = FORMATS[wanted.type]
    with failing(wanted):
        form.write(whole, wanted.quantization, folder)
        far = form.differs(whole, wanted.quantization, folder)
    if much := form.bound(whole, wanted.quantization).exceeded(far):
        raise ExportFailed(
            f"output.formats: what {wanted.title} says differs {much}, from what the model says as it was trained: leave it out, or choose another."
        )
    return folder, far.greatest


@contextmanager
def failing(wanted: ResolvedFormat) -> Iterator[None]:
    """What libraries raise of a model that they can't write or read, as ExportFailed. That memory ran out is another thing."""
    try:
        yield
    except (RuntimeError, ValueError, KeyError) as error:
        if "allocate memory" in str(error):
            raise
        why = f"{type(error).__name__}: {str(error).strip()[-400:]}"
        raise ExportFailed(
            f"output.formats: {wanted.title} of this model can't be written or read back ({why}): leave it out."
        ) from error


def store(made: tuple[Path, float], wanted: ResolvedFormat, told: Plan, output: Output) -> Plan:
    """Stores it in its folder of the output; the plan, with it made."""
    folder, far = made
    path = folder_of(wanted)
    files = files_in(folder)
    stored = {name: facts(file) for name, file in files.items()}
    output.add(path, files)
    form = StoredFormat(
        type=wanted.type.value,
        quantization=wanted.quantization.value if wanted.quantization else None,
        path=path,
        digest=digest_of_all(stored),
        bytes=sum(fact["bytes"] for fact in stored.values()),
        difference=far,
    )
    all_files = told.files | {f"{path}/{name}": fact for name, fact in stored.items()}
    return told.model_copy(update={"made": [*told.made, form], "files": all_files})


def folder_of(wanted: ResolvedFormat) -> str:
    """merged, onnx, onnx-int4, gguf-q8_0 …"""
    return wanted.title.lower().replace(" ", "-")


def stored_as_trained(spec: ResolvedSpec, result: Result) -> list[StoredFormat]:
    """What was asked for and is the stored result itself."""
    made = to_make(spec)
    assert result.output_digest is not None, "it is stored"
    metrics = result.metrics.get("output_mib", 0.0)
    return [
        StoredFormat(type=each.type.value, path=".", digest=result.output_digest, bytes=round(metrics * 2**20))
        for each in spec.output.formats
        if each not in made
    ]


def sentence(form: StoredFormat) -> str:
    return (
        f"stored {form.title} in {form.path}/ ({form.bytes / 2**20:.1f} MiB, differs by at most {form.difference:.2g})"
    )


def card(own: Path, formats: Sequence[StoredFormat]) -> str:
    """The card, with a table of the forms before its settings."""
    rows = "".join(
        f"| {form.type} | {form.quantization or 'as trained'} | `{form.path}` | {form.bytes / 2**20:.1f} | "
        f"{'' if form.difference is None else f'{form.difference:.2g}'} | `{form.digest}` |\n"
        for form in formats
    )
    head = "| what | weights | folder | MiB | greatest difference | digest |\n| --- | --- | --- | --- | --- | --- |\n"
    before, settings, after = own.read_text().partition("\n## Settings\n")
    # Whoever goes on after a crash may find a card that has the table already.
    return f"{before.partition(TABLE)[0]}{TABLE}{head}{rows}{settings}{after}"
