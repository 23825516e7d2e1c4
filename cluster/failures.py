"""Errors of the control plane that become an exit status, apart from what raises them: to name one imports no Ray."""


class GateRefusedError(RuntimeError):
    """A gate said no, or never said yes; exit status 3."""


class ServingFailedError(RuntimeError):
    """The application did not come up; the message holds the reason that Serve gives."""
