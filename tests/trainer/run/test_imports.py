"""What a start waits for."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_trainer_that_tracks_nothing_imports_no_trackers_library() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    seen = "import sys, skipjack_trainer.run; print(sorted({'mlflow', 'wandb', 'tensorboard'} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", seen], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
