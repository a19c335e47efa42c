"""The conformance suite: the laws that every denoiser keeps, for our methods and for those of other packages.

In the tests of a package that adds a method through the entry-point group ``denoise.methods``::

    import pytest
    from denoise.testing import conformance_checks

    @pytest.mark.parametrize("check", conformance_checks("mymethod", strength=2), ids=str)
    def test_conformance(check):
        check()

A denoiser scales with its input and keeps fluxes; an enhancer, whose result is for display, has to be affine-invariant
instead. Each law asks what applies to the category, and to what ``Denoiser.keeps_unit`` says of the result.
"""

from denoise.testing.checks import Check, conformance_checks
from denoise.testing.subject import ConformanceError, Subject

__all__ = ["Check", "ConformanceError", "Subject", "conformance_checks"]
