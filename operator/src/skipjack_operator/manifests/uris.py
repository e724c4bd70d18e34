"""What a resolved spec's URIs need mounted."""

from __future__ import annotations

from skipjack.resolve import ResolvedSpec


def sources_of(spec: ResolvedSpec) -> list[str]:
    """Every URI that is read."""
    start = [spec.start_from.uri, spec.start_from.checkpoints] if spec.start_from else []
    return [spec.model.uri, *start, *(source.uri for source in (*spec.dataset.train, *spec.dataset.validation))]


def names(uris: list[str], scheme: str) -> list[str]:
    """What the URIs of that scheme name, each once: pvc://NAME/… and configmap://NAME/…"""
    return sorted({uri.removeprefix(f"{scheme}://").split("/")[0] for uri in uris if uri.startswith(f"{scheme}://")})


def written_claims_of(spec: ResolvedSpec) -> list[str]:
    """PersistentVolumeClaims that are written."""
    return names([spec.output.uri, spec.checkpoint.uri], "pvc")


def claims_of(spec: ResolvedSpec) -> list[str]:
    """PersistentVolumeClaims that are read or written."""
    return sorted({*names(sources_of(spec), "pvc"), *written_claims_of(spec)})


def configmaps_of(spec: ResolvedSpec) -> list[str]:
    return names(sources_of(spec), "configmap")
