"""Laws bound to a method, ready for ``pytest.mark.parametrize``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from denoise.testing.laws import LAWS, Law
from denoise.testing.subject import Subject


@dataclass(frozen=True)
class Check:
    """One law for one method; call it."""

    subject: Subject
    law: Law

    def __call__(self) -> None:
        """Check.

        Raises
        ------
        ConformanceError
            The method breaks the law; the message says which and by how much.
        """
        self.law(self.subject)

    def __str__(self) -> str:
        values = "-".join(str(value) for value in self.subject.parameters.values())
        return "-".join(part for part in (self.subject.name, values, self.law.__name__) if part)


def conformance_checks(method: str, **parameters: Any) -> list[Check]:
    """Every law for an installed method.

    Parameters
    ----------
    method : str
        Its name in the entry-point group ``denoise.methods``.
    **parameters
        Of the method; the laws hold for any that are valid.

    Returns
    -------
    list of Check
        Looked up when called: a method that is not installed fails there, not at collection.
    """
    subject = Subject(method, parameters)
    return [Check(subject, law) for law in LAWS]
