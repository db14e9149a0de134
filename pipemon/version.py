"""pipemon's version: the package is built with it, since looking it up among the installed ones slows every import."""

__version__ = "0.1.0"
