"""llama.cpp reads a file back: what it says comes after rows of tokens, and which tokens it makes of texts.

Run as a program, since llama.cpp ends its process where a file is broken: `python -m skipjack_trainer.export.llama_cpp.reader FILE`, what is
asked on standard input, what was said on standard output, both as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from ...errors import ExportFailed

WAIT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Said:
    likely: list[dict[int, float]]
    """Of each row: token → its log-probability as the next one, for the likeliest of them."""
    tokens: list[list[int]]
    """Of each text."""


def ask(file: Path, rows: Sequence[Sequence[int]], texts: Sequence[str], likeliest: int, threads: int) -> Said:
    """What llama.cpp says, by a process of its own. Raises ExportFailed."""
    asked = {
        "rows": [list(map(int, row)) for row in rows],
        "texts": list(texts),
        "likeliest": likeliest,
        "threads": threads,
    }
    command = [sys.executable, "-m", __name__, str(file)]
    ran = subprocess.run(
        command,
        input=json.dumps(asked),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    if ran.returncode != 0:
        last = " ".join(ran.stderr.split())[-600:]
        raise ExportFailed(
            f"output.formats: llama.cpp can't read the GGUF file that was written ({ran.returncode}): {last}"
        )
    told = json.loads(ran.stdout.splitlines()[-1])
    return Said([{int(token): value for token, value in row.items()} for row in told["likely"]], told["tokens"])


def serve(file: str, context: int, threads: int) -> Any:
    """llama.cpp's own server, in this process, on a free port of 127.0.0.1."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.hostnames, settings.port = file, ["127.0.0.1"], 0
    settings.n_ctx, settings.n_parallel, settings.cpuparams.n_threads = context, 1, threads
    settings.warmup, settings.fit_params = False, False
    # Attention and what is held of earlier tokens are in 16 bits unless asked otherwise: the file is judged here, not that.
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    return xllamacpp.Server(settings)


def post(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = Request(f"{address}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=WAIT_SECONDS) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def next_tokens(address: str, row: Sequence[int], likeliest: int, plain: int) -> dict[int, float]:
    """`plain`: a token of whole letters. It is made to come next, since of others there are no probabilities; those told are from before that."""
    body = {
        "prompt": list(row),
        "n_predict": 1,
        "n_probs": likeliest,
        "logit_bias": [[plain, 1e4]],
        "cache_prompt": False,
    }
    first = post(address, "completion", body)["completion_probabilities"][0]
    return {each["id"]: each["logprob"] for each in first["top_logprobs"]}


def main(file: str) -> None:
    asked = json.loads(sys.stdin.read())
    server = serve(file, max(map(len, asked["rows"])) + 8, asked["threads"])
    address = server.listening_address
    whole = {"add_special": True, "parse_special": True}
    plain = post(address, "tokenize", {"content": "a"})["tokens"][-1]
    likely = [next_tokens(address, row, asked["likeliest"], plain) for row in asked["rows"]]
    tokens = [post(address, "tokenize", {"content": text} | whole)["tokens"] for text in asked["texts"]]
    print(json.dumps({"likely": likely, "tokens": tokens}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
