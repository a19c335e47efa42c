"""Put ``models/`` and ``pipelines/`` inside the wheel as package data, where they hold files."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DataFolders(BuildHookInterface):  # type: ignore[type-arg]
    """An editable install finds these folders in the checkout; a wheel carries them under ``denoise/``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folders to a standard build."""
        if version == "editable":
            return
        for name in ("models", "pipelines"):
            folder = Path(self.root, name)
            if folder.is_dir() and any(path.is_file() for path in folder.rglob("*")):
                build_data["force_include"][str(folder)] = f"denoise/{name}"
