"""Run by ``make wheel-check`` on a screen, with the wheel and its extra ``gui`` alone; not a pytest file."""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path

os.environ["NAPARI_CONFIG"] = ""
warnings.simplefilter("ignore")


def main() -> None:
    from npe2 import PluginManifest
    from qtpy.QtWidgets import QApplication

    import napari_denoise

    if "site-packages" not in Path(napari_denoise.__file__).resolve().parts:
        sys.exit(f"the plugin was imported from {napari_denoise.__file__}, not from the installed wheel")
    PluginManifest.from_distribution("astro-denoise").validate_imports()
    app = QApplication([])
    import napari

    from napari_denoise.launch import add_docks

    viewer = napari.Viewer()
    viewer.open_sample("astro-denoise", "muse")
    dock = add_docks(viewer)["Denoise"]
    end = time.monotonic() + 120
    while dock.study is None and time.monotonic() < end:
        app.processEvents()
    dock.run()
    while dock.job is not None and time.monotonic() < end:
        app.processEvents()
    if "ist" not in viewer.layers:
        sys.exit(f"the viewer of the wheel did not denoise its sample: {dock.message.text()}")
    viewer.close()
    sys.stdout.write("the viewer of the wheel is fine\n")


if __name__ == "__main__":
    main()
