"""Networks: what they are, how they are trained, where their weights are. Nothing here imports torch before it is used.

- ``unet3d``: the published 3D U-Net, and ours, which turns the scale space of the data into gains of its sub-bands
- ``scalespace``: what ours sees and what it weighs, as arrays (NumPy)
- ``examples``, ``losses``, ``training``: simulated examples by seed, what is minimised, the loop
- ``finetune``, ``pairs``, ``blocks``, ``pool``, ``gate``: going on with a trained network on cubes without truth
- ``noiser``, ``noiser_training``: the tiny network for display, compiled (NumPy), and its training
- ``weights``: trained models in ``models/<name>``
"""
