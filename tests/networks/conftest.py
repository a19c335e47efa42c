"""A recipe small enough to train in a test."""

import pytest

from denoise.networks.recipe import checked_recipe


@pytest.fixture
def tiny():
    """Plain values of a recipe: a network of two levels on small cubes."""
    return {
        "version": 1,
        "name": "tiny",
        "seed": 3,
        "network": {"widths": [4, 6], "blocks": [1, 1]},
        "simulation": {
            "shapes": [{"shape": [8, 32, 32], "batch": 2}, {"shape": [1, 32, 32], "batch": 3, "weight": 0.3}],
            "kinds": {"disc": 0.5, "merger": 0.25, "empty": 0.25},
            "noise": {"white_convolved": 0.5, "imaged": 0.2, "white": 0.3},
            "beam": [2.0, 4.0],
        },
        "optimiser": {"steps": 20, "warm_up": 3, "validate_every": 10, "validation": 2},
        "guard": {"steps": 0},
    }


@pytest.fixture
def tiny_recipe(tiny):
    return checked_recipe(tiny, "tiny.yaml")


@pytest.fixture
def tiny_model(tiny_recipe):
    """A model with weights that do something everywhere."""
    torch = pytest.importorskip("torch")
    from denoise.networks.unet3d import ScaleSpaceUNet
    from denoise.networks.weights import Model

    torch.manual_seed(2)
    network = ScaleSpaceUNet((4, 6), (1, 1))
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return Model(network.eval().requires_grad_(False), tiny_recipe, "")
