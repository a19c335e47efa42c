"""The viewer: a napari plugin over the package `denoise`. Everything is imported on first use.

What napari asks for by name is in ``napari.yaml``; ``launch`` opens a window with all docks. A dock has its folder:

- ``run``: Denoise. A method, its parameters, a preview, the run.
- ``inspect``: Inspect. An aperture, its spectra and numbers, moments, residual, cuts.
- ``compare``: Compare. Two layers: blink, wipe, difference. Its windows: ``side_by_side`` (several methods),
  ``volume`` (3D) and ``trust`` (what a result is worth).
- ``provenance_dock``: Provenance.

What they share: ``reader``, ``writer``, ``layers``, ``lazy`` and ``world`` (cubes as layers and back), ``sky_view`` and
``theme`` (how they look), ``jobs`` and ``studies`` (work in threads), ``methods`` and ``part`` (methods, on part of a
cube), ``panel`` (what a dock is made of).
"""
